import type { Grammar, HostnameForeign } from "@project-ingress/hostname"
import { MachineRecordInvalid } from "@project-ingress/providers"
import { Machines } from "@project-ingress/providers/effect"
import { headerValue } from "@project-ingress/forward"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { reasonOf, rowOf } from "../error-response.ts"
import type { RouterError } from "../errors.ts"
import type { PolicyInput, Route } from "../policies/policy.ts"
import { Routes } from "../stores/routes.ts"
import { authorize, isDecided, namedPolicies } from "./authorize.ts"
import type { Decided } from "./authorize.ts"
import type { Choose } from "./candidates.ts"
import { explainedPolicies } from "./explained-policies.ts"
import { imaginedRequest } from "./explained-request.ts"
import type { ExplainedRequest } from "./explained-request.ts"
import { explainedSettings } from "./explanation.ts"
import type { ExplainedStop, Explanation } from "./explanation.ts"
import { refusedAtOnce, withoutMachine } from "./handle.ts"
import { protocolMismatch } from "./protocol.ts"
import type { RegionHops } from "./region-hops.ts"
import { isMachineRoute, resolveRoute } from "./resolve-route.ts"
import type { RouteToMachine } from "./resolve-route.ts"
import type { VisitorRequest } from "./sender.ts"
import { sentence } from "./trace.ts"
import type { TraceStep } from "./trace.ts"

type End = RouterError | Decided | HostnameForeign

/**
 * Follows a hostname or a request up to the machine by the very program of a request, without touching the machine. Policies that may be
 * asked are, where the request is known; others are named and not evaluated, so that nothing that they count or consume is used up.
 * `choose` is how one of several machines would be chosen. Never fails.
 */
export const explain = Effect.fnUntraced(function* (
  settings: {
    readonly grammar: Grammar
    readonly policies?: readonly PolicyInput[]
    readonly hops?: Pick<RegionHops, "isElsewhere"> | undefined
  },
  asked: string | VisitorRequest,
  options: ExplainedRequest = {},
  choose?: Choose,
): Effect.fn.Return<Explanation, never, Routes | Machines> {
  const { grammar, hops } = settings
  const trace: TraceStep[] = []
  const request = typeof asked === "string" ? imaginedRequest(asked, options) : asked
  const policies = explainedPolicies(namedPolicies(settings.policies ?? []), trace, options.policies === true)
  const policy = authorize(policies, request, undefined, trace)
  const routes = yield* Routes
  const machines = yield* Machines

  const whenOurs = (): Effect.Effect<void, RouterError | Decided> => {
    const refused = refusedAtOnce(request)
    return refused === undefined ? policy.onRequest() : Effect.fail(refused)
  }
  let route: Route | undefined
  const followed: Effect.Effect<void, End> = Effect.gen(function* () {
    route = yield* resolveRoute(routes, grammar, request, { trace, choose, whenOurs })
    yield* policy.onRoute(route)
    if (!isMachineRoute(route)) yield* withoutMachine(grammar, request, route)
    const { protocol = "http" } = route.settings
    if (protocol !== "http") trace.push({ step: "protocol", outcome: protocol })
    // A hostname is asked about for all that can come by it, a request for itself.
    const refused = isMachineRoute(route) && typeof asked !== "string" ? protocolMismatch(request, route) : undefined
    if (refused !== undefined) yield* Effect.fail(refused)
  })
  const end = yield* Effect.result(followed)
  const reached = trace.length
  // What is behind a policy's refusal is shown as well: whoever looks for a mistake wants to see all of them.
  const to = route !== undefined && isMachineRoute(route) ? route : undefined
  const here = to !== undefined && hops?.isElsewhere(to.record, trace) !== true ? to : undefined
  // What comes of it is remembered, a failure as well.
  if (here !== undefined && options.status === true) {
    yield* Effect.result(machines.status(here.machine, here.port, here.record.owner))
  }
  const known = here && machineOf(machines, here, trace)
  const stop = Result.isFailure(end)
    ? stopOf(end.failure, reached, trace)
    : known?.invalid && stopOf(known.invalid, trace.length, trace)
  return {
    ...trace.reduce<Explanation>(read, { hostname: request.host, parsed: "target", trace, steps: [] }),
    ...(route === undefined ? {} : { settings: explainedSettings(route.settings) }),
    ...(known && { provider: known.provider }),
    ...(stop === undefined ? {} : { stop }),
    steps: trace.map(sentence).filter((text) => text !== undefined),
  }
})

/** What is known of the machine of a route. */
const machineOf = (
  machines: Machines["Service"],
  { machine, port, record }: RouteToMachine,
  trace: TraceStep[],
): { readonly provider: NonNullable<Explanation["provider"]>; readonly invalid?: MachineRecordInvalid } => {
  const { type } = machine
  const configured = machines.provider(type) !== undefined
  trace.push({ step: "provider", outcome: type, configured })
  const snapshot = machines.snapshot(machine, port, record.owner)
  return snapshot instanceof MachineRecordInvalid
    ? { provider: { type, configured }, invalid: snapshot }
    : { provider: { type, configured, ...snapshot } }
}

/** The response that a request ends with; `undefined` for a hostname that is the caller's own. */
const stopOf = (end: End, after: number, trace: readonly TraceStep[]): ExplainedStop | undefined => {
  if (isDecided(end)) {
    const { status, headers } = end.response
    const last = trace[after - 1]
    const byPolicy = last?.step === "policy" && (last.decision === "redirected" || last.decision === "responded")
    const location = byPolicy ? undefined : headerValue(headers, "location")
    return { after, status, ...(location === undefined ? {} : { location }) }
  }
  if (end._tag === "HostnameForeign") return undefined
  // A policy may give its error any tag, so that the type does not tell.
  const error = end as RouterError
  const { status, code } = rowOf(error)
  return { after, status, code, reason: reasonOf(error) }
}

/** What one step adds to an explanation. */
const read = (known: Explanation, step: TraceStep): Explanation => {
  switch (step.step) {
    case "hostname":
      if (step.outcome !== "named") {
        return { ...known, parsed: step.outcome, ...(step.outcome === "malformed" ? { reason: step.reason } : {}) }
      }
      return { ...known, candidates: step.keys, ...(step.target === undefined ? {} : { target: step.target }) }
    case "lookup": {
      const { key, outcome: lookup, step: _, ...source } = step
      return { ...known, key, lookup, ...source }
    }
    case "refused":
      return { ...known, key: step.key, lookup: "hit" }
    case "record":
      return { ...known, version: step.version, epoch: step.epoch }
    case "machine":
      return { ...known, machine: { id: step.outcome, type: step.type, externalId: step.externalId } }
    case "port":
      return step.outcome === "unknown" ? known : { ...known, port: step.outcome }
    default:
      return known
  }
}
