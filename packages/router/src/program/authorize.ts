import type { GeneratedResponse } from "@project-ingress/forward"
import * as Effect from "effect/Effect"
import { ProxyFailed } from "../errors.ts"
import type { RouterError } from "../errors.ts"
import { decideRequest, decideRoute } from "../policies/evaluate.ts"
import type { Decision } from "../policies/evaluate.ts"
import { AccessDenied } from "../policies/access-denied.ts"
import type { Policy, Route } from "../policies/policy.ts"
import { policyRequest } from "./policy-request.ts"
import type { VisitorRequest } from "./sender.ts"

/** The request ends here with a response that no machine gave: a policy's own, or a redirect. */
export interface Decided {
  readonly _tag: "Decided"
  readonly response: GeneratedResponse
}

export const isDecided = (error: object): error is Decided => "response" in error

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
  if (policies.length === 0) return unguarded
  const asked = policyRequest(request, waitUntil)
  const guarded = policies.some(({ onRoute }) => onRoute !== undefined)
  return {
    onRequest: decided(() => decideRequest(policies, asked)),
    onRoute: guarded ? (route) => decided(() => decideRoute(policies, asked, route)) : unguarded.onRoute,
  }
}

/** Nobody decides about routes: what a record calls private is then closed, rather than open because nobody looked. */
const unguarded: Authorization = {
  onRequest: Effect.void,
  onRoute: ({ settings }) =>
    settings.visibility === "private"
      ? Effect.fail(new AccessDenied({ reason: "the port is private and the router has no policy that decides about routes" }))
      : Effect.void,
}

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
