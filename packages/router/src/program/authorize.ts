import type { GeneratedResponse } from "@project-ingress/forward"
import * as Effect from "effect/Effect"
import { ProxyFailed } from "../errors.ts"
import type { RouterError } from "../errors.ts"
import { decideRequest, decideRoute } from "../policies/evaluate.ts"
import type { Decision } from "../policies/evaluate.ts"
import type { Policy, Route } from "../policies/policy.ts"
import { policyRequest } from "./policy-request.ts"
import type { VisitorRequest } from "./sender.ts"

/** The request ends here with a response that no machine gave: a policy's own, or a redirect. */
export interface Decided {
  readonly _tag: "Decided"
  readonly response: GeneratedResponse
}

/** The policies of one request, phase by phase. Each succeeds if the request may go on. */
export interface Authorization {
  readonly onRequest: Effect.Effect<void, RouterError | Decided>
  readonly onRoute: (route: Route) => Effect.Effect<void, RouterError | Decided>
}

/** Asks the policies about a request. What they throw, and what is no outcome, is a `ProxyFailed`. */
export const authorize = (
  policies: readonly Policy[],
  request: VisitorRequest,
  waitUntil: ((work: Promise<unknown>) => void) | undefined,
): Authorization => {
  if (policies.length === 0) return everybody
  const asked = policyRequest(request, waitUntil)
  return {
    onRequest: decided(() => decideRequest(policies, asked)),
    onRoute: (route) => decided(() => decideRoute(policies, asked, route)),
  }
}

const everybody: Authorization = { onRequest: Effect.void, onRoute: () => Effect.void }

const decided = (
  decide: () => Decision | undefined | Promise<Decision | undefined>,
): Effect.Effect<void, RouterError | Decided> =>
  Effect.suspend(() => {
    try {
      const decision = decide()
      if (decision === undefined) return Effect.void
      if (!(decision instanceof Promise)) return end(decision)
      return Effect.flatMap(
        Effect.tryPromise({ try: () => decision, catch: (cause) => new ProxyFailed({ cause }) }),
        (late) => (late === undefined ? Effect.void : end(late)),
      )
    } catch (cause) {
      return Effect.fail(new ProxyFailed({ cause }))
    }
  })

const end = ({ outcome }: Decision): Effect.Effect<never, RouterError | Decided> => {
  if ("deny" in outcome) return Effect.fail(outcome.deny)
  if ("redirect" in outcome) return Effect.fail(redirect(outcome.redirect.status, outcome.redirect.location))
  return Effect.fail({ _tag: "Decided", response: outcome.respond })
}

/** A redirect that nobody may keep: the next visitor may be somebody else. */
export const redirect = (status: number, location: string): Decided => ({
  _tag: "Decided",
  response: { status, headers: ["Location", location, "Cache-Control", "no-store"] },
})
