import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { headerEdit } from "./header-edit.ts"
import { PolicyError } from "./policy-error.ts"
import type { Outcome, Policy, PolicyInput, PolicyRequest, ResponseSummary, Route } from "./policy.ts"

/** A decision that ends the request, and the policy that made it. */
export interface Decision {
  readonly policy: string
  readonly outcome: NonNullable<Outcome>
}

/** The policies of a router, each in its long form, in order. */
export const namedPolicies = (policies: readonly PolicyInput[]): readonly Policy[] =>
  policies.map((policy, at) =>
    typeof policy === "function" ? { name: policy.name || `policies[${at}]`, onRoute: policy } : policy,
  )

/** Runs `onRequest` of each policy. Synchronous as long as they are. Throws what they throw, and on what is no outcome. */
export const decideRequest = (policies: readonly Policy[], request: PolicyRequest): Decided =>
  first(policies, (policy) => policy.onRequest?.(request))

/** Runs `onRoute` of each policy, as {@link decideRequest} does. */
export const decideRoute = (policies: readonly Policy[], request: PolicyRequest, route: Route): Decided =>
  first(policies, (policy) => policy.onRoute?.(request, route))

/** The request's fields after every policy's `onForward`. Throws what they throw. */
export const editForward = (
  policies: readonly Policy[],
  list: HeaderList,
  route: Route,
  names: HopHeaderNames,
): HeaderList => {
  if (!policies.some(({ onForward }) => onForward !== undefined)) return list
  const { edit, fields } = headerEdit(list, names)
  for (const policy of policies) policy.onForward?.(edit, route)
  return fields()
}

/** What edits the fields of a machine's response, or `undefined` if no policy does. It throws what the policies throw. */
export const responseEditor = (
  policies: readonly Policy[],
  route: Route,
  names: HopHeaderNames,
): ((head: ResponseSummary, list: HeaderList) => HeaderList) | undefined => {
  if (!policies.some(({ onResponse }) => onResponse !== undefined)) return undefined
  return (head, list) => {
    const { edit, fields } = headerEdit(list, names)
    for (const policy of policies) policy.onResponse?.(head, edit, route)
    return fields()
  }
}

type Decided = Decision | undefined | Promise<Decision | undefined>

const first = (policies: readonly Policy[], decide: (policy: Policy) => unknown, from = 0): Decided => {
  for (let at = from; at < policies.length; at++) {
    const policy = policies[at]!
    const decided = decide(policy)
    if (isThenable(decided)) {
      return Promise.resolve(decided).then((late) => outcomeOf(policy, late) ?? first(policies, decide, at + 1))
    }
    const decision = outcomeOf(policy, decided)
    if (decision !== undefined) return decision
  }
  return undefined
}

// A promise of another realm (a test runner's, a vm context's) is one as well.
const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function"

/** Fails closed: `return false` is a mistake, and must not let anybody in. */
const outcomeOf = (policy: Policy, decided: unknown): Decision | undefined => {
  if (decided === undefined) return undefined
  if (!isOutcome(decided)) {
    throw new TypeError(`policy ${policy.name} must return undefined, { deny }, { redirect } or { respond }`)
  }
  return { policy: policy.name, outcome: decided }
}

const isOutcome = (value: unknown): value is NonNullable<Outcome> => {
  if (typeof value !== "object" || value === null) return false
  const { deny, redirect, respond } = value as Readonly<Record<string, unknown>>
  if (deny !== undefined) return deny instanceof PolicyError
  if (redirect !== undefined) return isRedirect(redirect)
  return isResponse(respond)
}

const statuses: readonly unknown[] = [301, 302, 303, 307, 308]

const isRedirect = (value: unknown): boolean => {
  const { status, location } = (value ?? {}) as Readonly<Record<string, unknown>>
  return statuses.includes(status) && typeof location === "string" && /^[\x21-\x7e]+$/.test(location)
}

const isResponse = (value: unknown): boolean => {
  const { status, headers } = (value ?? {}) as Readonly<Record<string, unknown>>
  return Number.isInteger(status) && (status as number) >= 200 && (status as number) <= 599 && Array.isArray(headers)
}
