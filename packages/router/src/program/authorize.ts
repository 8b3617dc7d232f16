import type { GeneratedResponse } from "@project-ingress/forward"
import { publicPort, validGeneratedResponse } from "@project-ingress/forward/internal"
import * as Effect from "effect/Effect"
import { ProxyFailed, RouteInvalid } from "../errors.ts"
import type { RouterError } from "../errors.ts"
import { AccessDenied } from "../policies/access-denied.ts"
import { PolicyError, PolicyMistake } from "../policies/policy-error.ts"
import { isInspection } from "../policies/inspection.ts"
import type { Inspection } from "../policies/inspection.ts"
import { enforcedSettings } from "../policies/policy.ts"
import type { EnforcedSetting, Policy, PolicyInput, PolicyRequest, Route } from "../policies/policy.ts"
import { isVisitor } from "../policies/visitor.ts"
import type { Visitor } from "../policies/visitor.ts"
import { joinedHeader } from "./sender.ts"
import type { VisitorRequest } from "./sender.ts"
import type { TraceStep } from "./trace.ts"

/** The request ends here with a response that no machine gave: a policy's own, or a redirect. */
export interface Decided {
  readonly _tag: "Decided"
  readonly response: GeneratedResponse
}

/** By its tag and its prototype: a policy may give an error of its own any tag. */
export const isDecided = (error: object): error is Decided =>
  !(error instanceof Error) && (error as Partial<Decided>)._tag === "Decided"

/** The policies of a router, each in its long form, in order. */
export const namedPolicies = (policies: readonly PolicyInput[]): readonly Policy[] =>
  policies.map((policy, at) =>
    typeof policy === "function" ? { name: policy.name || `policies[${at}]`, onRoute: policy } : policy,
  )

/** The policies of one request, phase by phase: each is asked by the call, and succeeds if the request may go on. */
export interface Authorization {
  readonly onRequest: () => Effect.Effect<void, RouterError | Decided>
  /**
   * May be called again, for another route: the visitor is then proven again. Succeeds with what a policy wants to know of the machine before it
   * responds, if one does.
   */
  readonly onRoute: (route: Route) => Effect.Effect<Inspection | undefined, RouterError | Decided>
  /** The visitor, as far as the policies have proven it by now. */
  readonly visitor: () => Visitor | undefined
}

/** Asks the policies about a request. What they throw, and what is no outcome, is a `ProxyFailed`. */
export const authorize = (
  policies: readonly Policy[],
  request: VisitorRequest,
  waitUntil: ((work: Promise<unknown>) => void) | undefined,
  trace: TraceStep[],
  recheck?: PolicyRequest["recheck"],
): Authorization => {
  const closed = closedSettings(policies)
  if (policies.length === 0) {
    return {
      onRequest: () => Effect.void,
      onRoute: (route) => closeIf(closed, route, trace, undefined),
      visitor: () => undefined,
    }
  }
  const asked = new VisibleRequest(request, waitUntil, recheck)
  let known: Visitor | undefined
  return {
    onRequest: () =>
      Effect.flatMapEager(
        phase(policies, asked, trace, (policy) => policy.onRequest?.(asked)),
        (inspection) => {
          known = asked.visitor
          return inspection === undefined ? Effect.void : Effect.fail(new ProxyFailed({ cause: noRouteYet() }))
        },
      ),
    onRoute: (route) => {
      asked.visitor = known
      asked.decidedBy = undefined
      const outcome = phase(policies, asked, trace, (policy) => policy.onRoute?.(asked, route))
      return closed.length === 0
        ? outcome
        : Effect.flatMapEager(outcome, (found) => closeIf(closed, route, trace, found))
    },
    visitor: () => asked.visitor,
  }
}

/** For a request of the platform's own, which no policy decides about. */
export const ownRequest: Authorization = {
  onRequest: () => Effect.void,
  onRoute: () => Effect.undefined,
  visitor: () => undefined,
}

/** The settings that no policy carries out. */
const closedSettings = (policies: readonly Policy[]): readonly EnforcedSetting[] =>
  enforcedSettings.filter((setting) => !policies.some(({ enforces }) => enforces?.includes(setting)))

/** The first setting of a port that closes it, because nobody carries it out; `undefined`: it is open. */
const closedBy = (closed: readonly EnforcedSetting[], { settings }: Route): EnforcedSetting | undefined =>
  closed.find((setting) => (setting === "visibility" ? settings.visibility === "private" : setting in settings))

/** A port is closed rather than open because nobody looked. */
const closeIf = (
  closed: readonly EnforcedSetting[],
  route: Route,
  trace: TraceStep[],
  found: Inspection | undefined,
): Effect.Effect<Inspection | undefined, RouterError> => {
  const setting = closedBy(closed, route)
  if (setting === undefined) return Effect.succeed(found)
  trace.push({ step: "closed", outcome: setting })
  return Effect.fail(
    setting === "visibility"
      ? new AccessDenied({ reason: "the port is private, and no policy decides about visibility" })
      : new RouteInvalid({ key: route.key, problem: { code: "NOT_SUPPORTED", field: setting, accepted: "absent" } }),
  )
}

/** Runs one phase of the policies, and says in the trace who ended the request. */
const phase = (
  policies: readonly Policy[],
  asked: VisibleRequest,
  trace: TraceStep[],
  run: (policy: Policy) => unknown,
): Effect.Effect<Inspection | undefined, RouterError | Decided> => {
  const end = (found: Ended | undefined) => {
    if (found === undefined) return Effect.succeed(undefined)
    trace.push({ step: "policy", outcome: found.policy, decision: found.decision })
    return found.decision === "inspects" ? Effect.succeed(found.inspection) : Effect.fail(found.error)
  }
  const found = first(policies, asked, run)
  return found instanceof Promise
    ? Effect.flatMap(
        Effect.promise(() => found),
        end,
      )
    : end(found)
}

/** How a policy ended the request. */
type Ended =
  | {
      readonly policy: string
      readonly decision: "denied" | "redirected" | "responded" | "failed"
      readonly error: RouterError | Decided
    }
  | { readonly policy: string; readonly decision: "inspects"; readonly inspection: Inspection }

const noRouteYet = () => new PolicyMistake("a policy may return { inspect } in onRoute alone, where there is a machine")

/** The first policy that ends the request. Synchronous as long as the policies are. Never throws and never rejects. */
const first = (
  policies: readonly Policy[],
  asked: VisibleRequest,
  run: (policy: Policy) => unknown,
  from = 0,
): Ended | undefined | Promise<Ended | undefined> => {
  for (let at = from; at < policies.length; at++) {
    const policy = policies[at]!
    const failed = (cause: unknown): Ended => ({
      policy: policy.name,
      decision: "failed",
      error: new ProxyFailed({ cause }),
    })
    try {
      const outcome = run(policy)
      if (isThenable(outcome)) {
        return Promise.resolve(outcome).then(
          (late) => endedBy(policy, late, asked) ?? first(policies, asked, run, at + 1),
          (cause: unknown) => failed(cause),
        )
      }
      const ended = endedBy(policy, outcome, asked)
      if (ended !== undefined) return ended
    } catch (cause) {
      return failed(cause)
    }
  }
  return undefined
}

// Not `instanceof`: a promise of another realm, such as a test runner's, is one as well.
const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function"

/** What a policy returned, read once. Fails closed: `return false` is a mistake, and must not let anybody in. */
const endedBy = (policy: Policy, outcome: unknown, asked: VisibleRequest): Ended | undefined => {
  const ended = readOutcome(policy, outcome, asked)
  if (ended === undefined && policy.needsVisitor === true) asked.decidedBy = policy.name
  return ended
}

const readOutcome = ({ name: policy }: Policy, outcome: unknown, asked: VisibleRequest): Ended | undefined => {
  if (outcome === undefined) return undefined
  const { deny, redirect: to, respond, visitor, inspect } = (outcome ?? {}) as Readonly<Record<string, unknown>>
  if (deny === undefined && to === undefined && respond === undefined && visitor === undefined && isInspection(inspect))
    return { policy, decision: "inspects", inspection: inspect }
  if (deny === undefined && to === undefined && respond === undefined && isVisitor(visitor)) {
    const { decidedBy } = asked
    if (decidedBy !== undefined && visitor.granted !== true && !isSame(asked.visitor, visitor)) {
      const mistake = `policy ${policy} proves a visitor after ${decidedBy} has decided: it must stand before it`
      return { policy, decision: "failed", error: new ProxyFailed({ cause: new PolicyMistake(mistake) }) }
    }
    asked.visitor = visitor
    return undefined
  }
  if (deny instanceof PolicyError) return { policy, decision: "denied", error: deny }
  if (deny === undefined && isRedirect(to)) {
    return { policy, decision: "redirected", error: redirect(to.status, to.location) }
  }
  if (deny === undefined && to === undefined && isResponse(respond)) {
    return { policy, decision: "responded", error: { _tag: "Decided", response: respond } }
  }
  const cause = new PolicyMistake(
    `policy ${policy} must return undefined, { visitor }, { deny }, { redirect }, { respond } or { inspect }`,
  )
  return { policy, decision: "failed", error: new ProxyFailed({ cause }) }
}

const isSame = (one: Visitor | undefined, other: Visitor): boolean =>
  one !== undefined && one.subject === other.subject && one.by === other.by && one.id === other.id

const statuses: readonly unknown[] = [301, 302, 303, 307, 308]

const isRedirect = (value: unknown): value is { readonly status: number; readonly location: string } => {
  const { status, location } = (value ?? {}) as Readonly<Record<string, unknown>>
  return statuses.includes(status) && typeof location === "string" && /^[\x21-\x7e]+$/.test(location)
}

const isResponse = (value: unknown): value is GeneratedResponse => validGeneratedResponse(value) === undefined

/** A redirect that nobody may keep: the next visitor may be somebody else. */
export const redirect = (status: number, location: string): Decided => ({
  _tag: "Decided",
  response: { status, headers: ["Location", location, "Cache-Control", "no-store"] },
})

/** A request as policies see it. A class: with its getter, an object literal would be slow to make. */
class VisibleRequest implements PolicyRequest {
  readonly method: string
  readonly scheme: "http" | "https"
  readonly host: string
  readonly port: number
  readonly path: string
  readonly clientAddress: string | undefined
  readonly upgrade: boolean
  readonly recheck: PolicyRequest["recheck"]
  readonly waitUntil: PolicyRequest["waitUntil"]
  readonly header: PolicyRequest["header"]
  visitor: Visitor | undefined = undefined
  /** The policy that has decided about the visitor of the route, or about having none. */
  decidedBy: string | undefined = undefined
  readonly #request: VisitorRequest

  constructor(
    request: VisitorRequest,
    waitUntil: PolicyRequest["waitUntil"] = ignore,
    recheck: PolicyRequest["recheck"],
  ) {
    this.method = request.method
    this.scheme = request.scheme
    this.host = request.host
    this.port = publicPort(request)
    this.path = request.path
    this.clientAddress = request.clientAddress
    this.upgrade = request.upgrade !== false
    this.recheck = recheck
    this.waitUntil = waitUntil
    // Not assigned where it is made: V8 allocates such a function in the old generation, which then holds on to the request.
    const header = (lowerName: string) => joinedHeader(request.headers, lowerName)
    this.header = header
    this.#request = request
  }

  get signal(): AbortSignal {
    return this.#request.signal
  }
}

const ignore = (): void => {}
