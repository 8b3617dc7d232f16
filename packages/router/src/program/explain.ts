import type { Grammar, RouteKey, Target } from "@project-ingress/hostname"
import { Machines } from "@project-ingress/providers/effect"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { PolicyInput } from "../policies/policy.ts"
import { Routes } from "../stores/routes.ts"
import type { RegionHops } from "./region-hops.ts"
import { closedBy, closedSettings, namedPolicies } from "./authorize.ts"
import type { Choose } from "./candidates.ts"
import { resolveRoute } from "./resolve-route.ts"
import { sentence } from "./trace.ts"
import type { TraceStep } from "./trace.ts"

/** What a hostname leads to now, as far as it got. Holds no credential, no ticket and nothing of a machine's metadata. */
export interface Explanation {
  readonly hostname: string
  readonly parsed: "target" | "foreign" | "malformed"
  /** What is wrong with a malformed name. May quote it. */
  readonly reason?: string
  readonly target?: Target
  readonly key?: RouteKey
  readonly lookup?: "hit" | "miss" | "unknown"
  readonly version?: number
  readonly epoch?: number
  readonly machine?: { readonly id: string; readonly type: string; readonly externalId: string }
  readonly port?: number
  /** The decisions in their order, as data: those that a request makes. */
  readonly trace: readonly TraceStep[]
  /** The same as sentences. */
  readonly steps: readonly string[]
}

/** What else the decisions may depend on: rules on all of it, replicas on the address, `d:<port>:` keys on the port. */
export interface ExplainedRequest {
  /** Default `GET`. */
  readonly method?: string
  /** Default `/`. */
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The visitor's IP address. Default: none is known, so that any replica may be chosen. */
  readonly clientAddress?: string
  /** The port of the listening socket. */
  readonly localPort?: number
}

/**
 * Follows a hostname up to the machine by the very program of a request, without touching the machine. Policies depend on the
 * request, so they are named and not evaluated: nothing that they count or consume is used up. `choose` is how one of several
 * machines would be chosen. Never fails.
 */
export const explain = Effect.fnUntraced(function* (
  settings: {
    readonly grammar: Grammar
    readonly policies?: readonly PolicyInput[]
    readonly hops?: Pick<RegionHops, "isElsewhere"> | undefined
  },
  hostname: string,
  asked: ExplainedRequest = {},
  choose?: Choose,
): Effect.fn.Return<Explanation, never, Routes | Machines> {
  const trace: TraceStep[] = []
  const { method = "GET", path = "/", headers = {}, clientAddress, localPort } = asked
  const request = { host: hostname, method, path, headers: Object.entries(headers).flat(), clientAddress, localPort }
  const options = { trace, choose, whenOurs: () => Effect.void }
  const resolved = yield* Effect.result(resolveRoute(yield* Routes, settings.grammar, request, options))
  if (Result.isSuccess(resolved)) {
    const policies = namedPolicies(settings.policies ?? [])
    for (const { name } of policies) trace.push({ step: "policy", outcome: name, decision: "not evaluated" })
    const { machine } = resolved.success
    const setting = closedBy(closedSettings(policies), resolved.success)
    if (setting !== undefined) trace.push({ step: "closed", outcome: setting })
    if (machine !== undefined && settings.hops?.isElsewhere(resolved.success.record, trace) !== true) {
      const machines = yield* Machines
      const configured = machines.provider(machine.type) !== undefined
      trace.push({ step: "provider", outcome: machine.type, configured })
    }
  }
  return trace.reduce<Explanation>(read, {
    hostname,
    parsed: "target",
    trace,
    steps: trace.map(sentence).filter((text) => text !== undefined),
  })
})

/** What one step adds to an explanation. */
const read = (known: Explanation, step: TraceStep): Explanation => {
  switch (step.step) {
    case "hostname":
      if (step.outcome !== "named") {
        return { ...known, parsed: step.outcome, ...(step.outcome === "malformed" ? { reason: step.reason } : {}) }
      }
      return step.target === undefined ? known : { ...known, target: step.target }
    case "lookup":
      return { ...known, key: step.key, lookup: step.outcome }
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
