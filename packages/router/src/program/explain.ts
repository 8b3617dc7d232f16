import type { Grammar, RouteKey, Target } from "@project-ingress/hostname"
import { Machines } from "@project-ingress/providers/effect"
import * as Effect from "effect/Effect"
<<<<<<< HEAD
import * as Result from "effect/Result"
import { namedPolicies } from "../policies/evaluate.ts"
import type { PolicyInput } from "../policies/policy.ts"
import type { Routes } from "../stores/routes.ts"
import { resolveRoute } from "./resolve-route.ts"
import { sentence } from "./trace.ts"
import type { TraceStep } from "./trace.ts"
=======
import { portFor } from "./handle.ts"
import type { Settings } from "./handle.ts"
import type { RouteKey } from "../stores/record.ts"
import { Routes } from "../stores/routes.ts"
>>>>>>> w-stores

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

/**
 * Follows a hostname up to the machine by the very program of a request, without touching the machine. Policies depend on the
 * request, so they are named and not evaluated: nothing that they count or consume is used up. Never fails.
 */
export const explain = Effect.fnUntraced(function* (
  settings: { readonly grammar: Grammar; readonly policies?: readonly PolicyInput[] },
  hostname: string,
): Effect.fn.Return<Explanation, never, Routes | Machines> {
  const trace: TraceStep[] = []
  const request = { host: hostname, method: "GET", path: "/", headers: [] }
  const resolved = yield* Effect.result(resolveRoute(settings.grammar, request, { trace, whenOurs: Effect.void }))
  if (Result.isSuccess(resolved)) {
    for (const { name } of namedPolicies(settings.policies ?? [])) trace.push({ step: "policy", outcome: name })
    const { machine } = resolved.success
    if (machine !== undefined) {
      const machines = yield* Machines
      const configured = machines.provider(machine.type) !== undefined
      trace.push({ step: "provider", outcome: machine.type, configured })
    }
  }
<<<<<<< HEAD
  return trace.reduce<Explanation>(read, {
    hostname,
    parsed: "target",
    trace,
    steps: trace.map(sentence).filter((text) => text !== undefined),
  })
=======
  if (target._tag === "HostnameMalformed") {
    return { hostname, parsed: "malformed", reason: target.reason, steps: [`malformed, 400: ${target.reason}`] }
  }
  const key = routeKey(target)
  const named = { hostname, parsed: "target", target, key } as const
  const steps = [`names a ${target.kind}, route key ${key}`]

  const routes = yield* Routes
  const found = yield* routes.lookup([key]).pipe(
    Effect.matchEffect({
      onFailure: (error) => Effect.succeed(error),
      onSuccess: ({ record }) => Effect.succeed({ _tag: "Record", record } as const),
    }),
  )
  if (found._tag === "RouteNotFound") {
    return { ...named, lookup: "miss", steps: [...steps, "the store has no such route: 404"] }
  }
  if (found._tag === "RouteUnknown") {
    return { ...named, lookup: "unknown", steps: [...steps, "the store cannot say now: 503"] }
  }

  const { record } = found
  if (record.kind !== "machine") {
    return { ...named, lookup: "hit", version: record.version, epoch: record.epoch, steps: [...steps, record.kind] }
  }
  const { id, type, externalId } = record.machine
  steps.push(`attached to machine ${id}, version ${record.version}`)
  if (policies.length > 0) steps.push(`${policies.length} policies would be asked`)
  const known = {
    ...named,
    lookup: "hit",
    version: record.version,
    epoch: record.epoch,
    machine: { id, type, externalId },
  } as const
  const port = portFor(hostnames, target, key, record)
  if (typeof port !== "number") return { ...known, steps: [...steps, port.message] }
  steps.push(`port ${port}`)
  const machines = yield* Machines
  steps.push(
    machines.provider(type) !== undefined
      ? `reached through provider ${type}`
      : `no provider ${type} is configured: 500`,
  )
  return { ...known, port, steps }
>>>>>>> w-stores
})

/** What one step adds to an explanation. */
const read = (known: Explanation, step: TraceStep): Explanation => {
  switch (step.step) {
    case "hostname":
      if (step.outcome === "foreign") return { ...known, parsed: "foreign" }
      if (step.outcome === "malformed") return { ...known, parsed: "malformed", reason: step.reason }
      return step.target === undefined ? known : { ...known, target: step.target }
    case "lookup":
      return { ...known, key: step.key, lookup: step.outcome }
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
