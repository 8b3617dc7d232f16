import type { Policy, PolicyRequest, Route } from "../policies/policy.ts"
import type { TraceStep } from "./trace.ts"

/**
 * Policies as `explain` runs them, by the code that runs them for requests: each one that may be asked is followed by a mark, which is
 * reached only if the policy let the request pass, and says so in the trace; in place of any other one stands a mark alone. So an ordinary
 * request pays nothing for it, and nothing reads an outcome a second time. For one explanation.
 */
export const explainedPolicies = (
  policies: readonly Policy[],
  trace: TraceStep[],
  asksPolicies: boolean,
): readonly Policy[] => policies.flatMap((policy) => explained(policy, trace, asksPolicies))

const explained = (policy: Policy, trace: TraceStep[], asksPolicies: boolean): readonly Policy[] => {
  const { name, enforces } = policy
  const [hasRequest, hasRoute] = [policy.onRequest !== undefined, policy.onRoute !== undefined]
  let isAsked = false
  let isNamed = false
  let before: PolicyRequest["visitor"]

  const ask = <A>(request: PolicyRequest, run: () => A): A | undefined => {
    isAsked = asksPolicies && isExplainable(policy, request)
    before = request.visitor
    if (isAsked) return run()
    if (!isNamed) trace.push({ step: "policy", outcome: name, decision: "not evaluated" })
    isNamed = true
    return undefined
  }
  const passed = ({ visitor }: PolicyRequest): undefined => {
    if (!isAsked) return
    const isNew = visitor !== undefined && visitor !== before
    trace.push({
      step: "policy",
      outcome: name,
      ...(isNew
        ? { decision: "visitor", visitor: { by: visitor.by, subject: visitor.subject } }
        : { decision: "passed" }),
    })
  }
  return [
    {
      name,
      ...(enforces === undefined ? {} : { enforces }),
      ...(hasRequest && {
        onRequest: (request: PolicyRequest) => ask(request, () => policy.onRequest!(request)),
      }),
      ...(hasRoute && {
        onRoute: (request: PolicyRequest, route: Route) => ask(request, () => policy.onRoute!(request, route)),
      }),
    },
    { name, ...(hasRequest && { onRequest: passed }), ...(hasRoute && { onRoute: passed }) },
  ]
}

/** A marker that throws marks nothing as safe. */
const isExplainable = (policy: Policy, request: PolicyRequest): boolean => {
  if (typeof policy.explainable !== "function") return policy.explainable === true
  try {
    const marked: unknown = policy.explainable(request)
    // A promise is not true yet.
    return marked === true
  } catch {
    return false
  }
}
