import { closedLabel, durationBuckets, statusLabel } from "@project-ingress/forward/internal"
import type { Instruments } from "@project-ingress/forward/internal"
import type { RequestEvent, RouterEvent } from "../router-options.ts"
import { knownCodes, knownTags } from "./known-errors.ts"

/** The names that a router's options have, for labels. */
export interface ConfiguredNames {
  readonly policies: readonly string[]
  readonly providers: readonly string[]
}

/** How many names of a router's own options are labels; the rest is `other`. */
const MAX_NAMES = 100

const codeLabel = closedLabel(knownCodes)
const tagLabel = closedLabel(knownTags)
const layerLabel = closedLabel(
  "memory authority feed table packed pages kv cache-api redis polled-sql postgres d1".split(" "),
)

/** The layer of a store, if it is one of ours, else `other`. */
export { layerLabel }

/** Counts what a router reports. */
export interface RouterMeter {
  readonly record: (event: RouterEvent) => void
  /** Which policies and providers have labels of their own; until then, and for any other, it is `other`. */
  readonly configured: (names: ConfiguredNames) => void
}

export const routerMeter = (instruments: Instruments): RouterMeter => {
  let policyLabel = closedLabel([])
  let providerLabel = closedLabel([])
  const known = { policies: new Set<string>(), providers: new Set<string>() }
  const request = requestMeter(instruments, (name) => policyLabel(name))
  const others = eventMeter(instruments, (type) => providerLabel(type))
  return {
    record: (event) => (event.type === "request" ? request.record(event) : others.record(event)),
    configured: ({ policies, providers }) => {
      for (const name of policies) if (known.policies.size < MAX_NAMES) known.policies.add(name)
      for (const type of providers) if (known.providers.size < MAX_NAMES) known.providers.add(type)
      policyLabel = closedLabel(known.policies)
      providerLabel = closedLabel(known.providers)
      for (const name of known.policies) request.begin(name)
      for (const type of known.providers) others.begin(type)
    },
  }
}

/**
 * Counts events. `begin` makes the series at 0 that an alert needs to see the first event of: what a counter had before it was there,
 * Prometheus cannot know.
 */
interface Meter<Event> {
  readonly record: (event: Event) => void
  readonly begin: (name: string) => void
}

const requestMeter = (
  { counter, histogram }: Instruments,
  policyLabel: (name: string) => string,
): Meter<RequestEvent> => {
  const requests = counter("ingress_router_requests_total", "Requests of the router's hostnames, by what came of them")
  const durations = histogram(
    "ingress_router_request_duration_seconds",
    "From the head of a request to the head of its response, waking included",
    [...durationBuckets, 120],
  )
  const errors = counter("ingress_router_errors_total", "Failures for which the router generated the response, by tag")
  const policies = counter("ingress_router_policy_outcomes_total", "Requests that a policy ended, and how")
  const lookups = counter("ingress_router_lookups_total", "Look-ups of routes, by the store's layer that knew")
  errors(0, { tag: "ProxyFailed" })
  const record = ({ status, error, code, machine, durationMs, trace }: RequestEvent): void => {
    const outcome = outcomeOf(status, error, code, machine)
    requests(1, { status: statusLabel(status), outcome })
    durations(durationMs / 1_000, { outcome: kindOf(outcome) })
    if (error !== undefined) errors(1, { tag: tagLabel(error) })
    for (const step of trace) {
      if (step.step === "policy") {
        policies(1, { policy: policyLabel(step.outcome), decision: step.decision })
      } else if (step.step === "lookup") {
        lookups(1, { layer: layerLabel(step.layer), outcome: step.stale === true ? "stale" : step.outcome })
      }
    }
  }
  return { record, begin: (policy) => policies(0, { policy, decision: "failed" }) }
}

/** `machine`: a machine's app responded. `generated`: a policy or the record did. Else the code of the failure. */
const outcomeOf = (
  status: number,
  error: string | undefined,
  code: string | undefined,
  machine: string | undefined,
) => {
  if (code !== undefined) return codeLabel(code)
  if (error !== undefined) return "other"
  if (machine !== undefined) return "machine"
  return status === 499 ? "client_left" : "generated"
}

/** A histogram has many series, so it is told apart by few. */
const kindOf = (outcome: string): string =>
  outcome === "machine" || outcome === "generated" || outcome === "client_left" ? outcome : "failed"

type OtherEvent = Exclude<RouterEvent, RequestEvent>

const eventMeter = (
  { counter, gauge, histogram }: Instruments,
  providerLabel: (type: string) => string,
): Meter<OtherEvent> => {
  const storeFailing = gauge("ingress_store_failing", "1 while the route store fails, else 0")
  const storeFailures = counter("ingress_store_failures_total", "How often the route store began to fail")
  const providers = counter("ingress_provider_events_total", "Work of providers that began to fail, or works again")
  const proofs = counter(
    "ingress_proof_events_total",
    "Responses of somebody else at a machine's address, and tickets renewed",
  )
  const wakes = counter("ingress_wakes_total", "Machines that were started for a request")
  const wakeDuration = histogram(
    "ingress_wake_duration_seconds",
    "From the first request for a sleeping machine until its proxy listens",
    [0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120],
  )
  const health = counter("ingress_machine_health_total", "Changes of machines' health, of several for one route")
  const bounds = counter("ingress_bounds_reached_total", "What was refused to a client, a project or a machine alone")
  const clientBounds = gauge("ingress_client_bounds_active", "0 while bounds per client are off, else 1")
  const loops = counter("ingress_redirect_loops_total", "Redirects of apps to the URL just asked for")
  const cookies = counter("ingress_cookies_isolated_total", "Routes whose cookies were narrowed or refused")
  const regions = counter("ingress_region_events_total", "Requests of other regions' routers that were not believed")
  storeFailing(0)
  clientBounds(1)
  const record = (event: OtherEvent): void => {
    switch (event.type) {
      case "store":
        storeFailing(event.state === "failing" ? 1 : 0)
        if (event.state === "failing") storeFailures(1)
        return
      case "provider":
        providers(1, { provider: providerLabel(event.provider), operation: event.operation, state: event.state })
        return
      case "proof":
        proofs(event.count, { provider: providerLabel(event.provider), outcome: event.outcome })
        return
      case "wake":
        wakes(1, { provider: providerLabel(event.provider), outcome: event.outcome })
        wakeDuration(event.durationMs / 1_000, { provider: providerLabel(event.provider) })
        return
      case "machine_health":
        health(event.count, { provider: providerLabel(event.provider), state: event.state })
        return
      case "bound_reached":
        bounds(event.count, { bound: event.bound, of: event.of })
        return
      case "client_bounds":
        clientBounds(event.active ? 1 : 0)
        return
      case "redirect_loop":
        loops(event.count)
        return
      case "cookie_isolated":
        cookies(1, { outcome: event.outcome })
        return
      case "region":
        regions(event.count, { outcome: event.outcome })
    }
  }
  return {
    record,
    begin: (provider) => {
      proofs(0, { provider, outcome: "wrong_stamp" })
      health(0, { provider, state: "kept" })
      wakes(0, { provider, outcome: "failed" })
      for (const operation of ["keepAlive", "watch", "start"]) providers(0, { provider, operation, state: "failing" })
    },
  }
}
