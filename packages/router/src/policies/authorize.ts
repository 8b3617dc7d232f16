import { accept, checkOptions, failureCode, monotonicNow } from "@project-ingress/forward/internal"
import { makeClockTable } from "../stores/reading/clock-table.ts"
import { makeSharedLoads } from "../stores/reading/shared-loads.ts"
import { within } from "../stores/reading/within.ts"
import type { Visibility } from "../stores/record.ts"
import { AccessDenied } from "./access-denied.ts"
import { AuthUnavailable } from "./auth-unavailable.ts"
import type { Outcome, Policy, Route } from "./policy.ts"
import { isPrivate } from "./private-port.ts"
import type { Visitor } from "./visitor.ts"

/**
 * The route as an {@link authorize} function sees it: without the hostname's own form, because all hostnames of a port are to have one
 * decision. Whose it is says `record`: its `externalId`, its `owner`.
 */
export type AuthorizedRoute = Omit<Route, "target">

/** Whether a visitor may open a route. An object is yes, and says what else the visitor may: see `Visitor`. */
export type Decision = boolean | { readonly mayInspect?: boolean }

/** Asks the platform. Throwing or rejecting is no decision, and nobody is let in. */
export type Decide = (visitor: Visitor, route: AuthorizedRoute) => Decision | Promise<Decision>

/** What {@link authorize} takes beside the function. */
export interface AuthorizeOptions {
  /**
   * How long a decision holds, in ms from when it was asked for: how long a withdrawn access still opens routes. 0: each request asks.
   * Default 4 000.
   */
  readonly ttlMs?: number
  /** How long a decision may take, in ms, at most 8 000; then the request is 502. Default 3 000. */
  readonly timeoutMs?: number
  /** What a route is that says nothing of its visibility: as for `visibility`. Default `private`. */
  readonly default?: Visibility
}

/**
 * Asks the platform whether a visitor may open a private route; no is 403 `ACCESS_DENIED`. It is not asked for public routes, without a
 * visitor (which `visibility` refuses), and for a credential that is itself the permission (`granted`). After a no, a visitor who has such
 * a credential besides (`otherwise`) goes on by that one. A decision is kept for the
 * credential, the record at its version and generation, the machine and the port; at most 10 000 are, divided among subjects. One that
 * fails is 502 `AUTH_UNAVAILABLE` and is not kept. Mount it after every policy that proves visitors: one that stands after it is 500. Requests that need the same one at the same time share one call.
 *
 * @throws {TypeError} if `decide` is no function, and for an option that is unknown or invalid
 *
 * @example
 * authorize(async (visitor, { record }) => database.isMember(visitor.subject, record.externalId))
 */
export const authorize = (decide: Decide, options: AuthorizeOptions = {}): Policy => {
  checkOptions("authorize", { decide, ...options }, checks, { required: ["decide"] })
  const { ttlMs = 4_000, timeoutMs = 3_000, default: absent = "private" } = options
  const kept = makeClockTable<Kept>(MAX_KEPT)
  const loads = makeSharedLoads<Kept | AuthUnavailable>()

  const ask = async (name: string, visitor: Visitor, route: AuthorizedRoute): Promise<Kept | AuthUnavailable> => {
    const { version, generation } = route.record
    // Counted from here: the platform may have looked as soon as it was asked.
    const askedAt = monotonicNow()
    try {
      const decision = await within(timeoutMs, () => decide(visitor, route))
      if (!isDecision(decision))
        return new AuthUnavailable({ reason: "decide returned neither a boolean nor an object" })
      const found: Kept = { decision, version, generation, askedAt }
      if (monotonicNow() - askedAt < ttlMs) kept.set(name, found, { share: visitor.subject })
      return found
    } catch (cause) {
      return new AuthUnavailable({ reason: `decide failed: ${failureCode(cause) ?? "no decision"}` })
    }
  }

  return {
    name: "authorize",
    needsVisitor: true,
    explainable: true,
    onRoute: ({ visitor, waitUntil, recheck }, route) => {
      if (visitor === undefined || visitor.granted === true || !isPrivate(route, absent)) return undefined
      const { version, generation } = route.record
      const name = nameOf(visitor, route)
      const known = kept.get(name)
      if (known !== undefined && known.version === version && known.generation === generation) {
        const heldMs = recheck === "access" ? Math.min(ttlMs, RECHECK_MS) : ttlMs
        if (monotonicNow() - known.askedAt < heldMs) return outcomeOf(known.decision, visitor)
      }
      const { target: _, ...asked } = route
      const run = (): Promise<Kept | AuthUnavailable> => ask(name, visitor, asked)
      // Never shared with a call about an earlier record, which finds what was true of that one; nor, for what is open, with one of a
      // request, which may have been asked for before access was withdrawn.
      const shared = loads.join(`${recheck === "access"} ${version} ${generation} ${name}`, run, waitUntil)
      return shared.then((found) =>
        found instanceof AuthUnavailable
          ? { deny: new AuthUnavailable({ reason: found.message }) }
          : outcomeOf(found.decision, visitor),
      )
    },
  }
}

const MAX_KEPT = 10_000
/** How old a decision may be when what is open is checked again, in ms: with the time between two checks, withdrawn access ends within 5 s. */
const RECHECK_MS = 1_000

/** A decision, and of which record. */
interface Kept {
  readonly decision: Decision
  readonly version: number
  readonly generation: number | undefined
  readonly askedAt: number
}

/** What a decision depends on beside the record's version. With lengths, because a subject may hold any character. */
const nameOf = ({ subject, by, id }: Visitor, { key, machine, port }: AuthorizedRoute): string =>
  `${subject.length} ${by.length} ${subject} ${by} ${id} ${key} ${port ?? ""} ${machine?.id ?? ""}`

const isDecision = (value: unknown): value is Decision => {
  if (typeof value === "boolean") return true
  if (typeof value !== "object" || value === null) return false
  const { mayInspect } = value as { readonly mayInspect?: unknown }
  return mayInspect === undefined || typeof mayInspect === "boolean"
}

const outcomeOf = (decision: Decision, visitor: Visitor): Outcome => {
  if (decision === false) {
    const { otherwise } = visitor
    // Only a grant is let in unasked: what the platform has said is of the subject, and of nobody else.
    if (otherwise?.granted === true) return { visitor: otherwise }
    return { deny: new AccessDenied({ reason: "the visitor may not open the route" }) }
  }
  const { mayInspect } = decision === true ? {} : decision
  return mayInspect === undefined ? undefined : { visitor: { ...visitor, mayInspect } }
}

const checks = {
  decide: accept.function,
  ttlMs: accept.number(),
  // A shared call must be over within 10 s.
  timeoutMs: accept.number(1, 8_000),
  default: accept.oneOf("public", "private"),
}
