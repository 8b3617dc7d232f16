import { headerValue } from "@project-ingress/forward"
import type { GeneratedResponse } from "@project-ingress/forward"
import * as Effect from "effect/Effect"
import { ProxyFailed } from "../errors.ts"
import type { RouterError } from "../errors.ts"
import { AccessDenied } from "../policies/access-denied.ts"
import { PolicyError } from "../policies/policy-error.ts"
import type { Outcome, Policy, PolicyInput, PolicyRequest, Route } from "../policies/policy.ts"
import type { VisitorRequest } from "./sender.ts"

/** The request ends here with a response that no machine gave: a policy's own, or a redirect. */
export interface Decided {
  readonly _tag: "Decided"
  readonly response: GeneratedResponse
}

export const isDecided = (error: object): error is Decided => "response" in error

/** The policies of a router, each in its long form, in order. */
export const namedPolicies = (policies: readonly PolicyInput[]): readonly Policy[] =>
  policies.map((policy, at) =>
    typeof policy === "function" ? { name: policy.name || `policies[${at}]`, onRoute: policy } : policy,
  )

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
  const guarded = policies.some((policy) => policy.onRoute !== undefined)
  return {
    onRequest: decided(() => first(policies, (policy) => policy.onRequest?.(asked))),
    onRoute: guarded
      ? (route) => decided(() => first(policies, (policy) => policy.onRoute?.(asked, route)))
      : unguarded.onRoute,
  }
}

/** Nobody decides about routes: what a record calls private is then closed, rather than open because nobody looked. */
const unguarded: Authorization = {
  onRequest: Effect.void,
  onRoute: ({ settings }) =>
    settings.visibility === "private"
      ? Effect.fail(
          new AccessDenied({ reason: "the port is private and the router has no policy that decides about routes" }),
        )
      : Effect.void,
}

const decided = (decide: () => Outcome | Promise<Outcome>): Effect.Effect<void, RouterError | Decided> =>
  Effect.suspend(() => {
    try {
      const outcome = decide()
      if (outcome === undefined) return Effect.void
      if (!(outcome instanceof Promise)) return end(outcome)
      return Effect.flatMap(
        Effect.tryPromise({ try: () => outcome, catch: (cause) => new ProxyFailed({ cause }) }),
        (late) => (late === undefined ? Effect.void : end(late)),
      )
    } catch (cause) {
      return Effect.fail(new ProxyFailed({ cause }))
    }
  })

const end = (outcome: NonNullable<Outcome>): Effect.Effect<never, RouterError | Decided> => {
  if ("deny" in outcome) return Effect.fail(outcome.deny)
  if ("redirect" in outcome) return Effect.fail(redirect(outcome.redirect.status, outcome.redirect.location))
  return Effect.fail({ _tag: "Decided", response: outcome.respond })
}

/** A redirect that nobody may keep: the next visitor may be somebody else. */
export const redirect = (status: number, location: string): Decided => ({
  _tag: "Decided",
  response: { status, headers: ["Location", location, "Cache-Control", "no-store"] },
})

/** A request as policies see it. */
const policyRequest = (
  request: VisitorRequest,
  waitUntil: ((work: Promise<unknown>) => void) | undefined,
): PolicyRequest => ({
  method: request.method,
  scheme: request.scheme,
  host: request.host,
  port: publicPort(request),
  path: request.path,
  header: (lowerName) => headerValue(request.headers, lowerName),
  clientAddress: request.clientAddress,
  upgrade: request.upgrade !== false,
  get signal() {
    return request.signal
  },
  waitUntil: waitUntil ?? ignore,
})

const publicPort = ({ host, scheme }: VisitorRequest): number => {
  const named = /:(\d{1,5})$/.exec(host)?.[1]
  return named === undefined ? (scheme === "https" ? 443 : 80) : Number(named)
}

const ignore = (): void => {}

/** The first outcome. Synchronous as long as the policies are. Throws what they throw, and on what is no outcome. */
const first = (
  policies: readonly Policy[],
  decide: (policy: Policy) => unknown,
  from = 0,
): Outcome | Promise<Outcome> => {
  for (let at = from; at < policies.length; at++) {
    const policy = policies[at]!
    const decided = decide(policy)
    if (isThenable(decided)) {
      return Promise.resolve(decided).then((late) => outcomeOf(policy, late) ?? first(policies, decide, at + 1))
    }
    const outcome = outcomeOf(policy, decided)
    if (outcome !== undefined) return outcome
  }
  return undefined
}

// Not `instanceof`: a promise of another realm, such as a test runner's, is one as well.
const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function"

/** Fails closed: `return false` is a mistake, and must not let anybody in. */
const outcomeOf = (policy: Policy, decided: unknown): Outcome => {
  if (decided === undefined) return undefined
  if (!isOutcome(decided)) {
    throw new TypeError(`policy ${policy.name} must return undefined, { deny }, { redirect } or { respond }`)
  }
  return decided
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
