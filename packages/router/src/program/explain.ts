import { parse, routeKey } from "@project-ingress/hostname"
import type { Target } from "@project-ingress/hostname"
import { Machines } from "@project-ingress/providers/effect"
import * as Effect from "effect/Effect"
import { portFor } from "./handle.ts"
import type { Settings } from "./handle.ts"
import type { RouteKey } from "../stores/record.ts"
import { Routes } from "../stores/routes.ts"

/** What a hostname means now, as far as it got. Holds no credential, no ticket and nothing of a machine's metadata. */
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
  /** The same as sentences, in the order of the decisions. */
  readonly steps: readonly string[]
}

/** Follows a hostname up to the machine, without asking policies and without touching the machine. Never fails. */
export const explain = Effect.fnUntraced(function* (
  settings: Settings,
  hostname: string,
): Effect.fn.Return<Explanation, never, Routes | Machines> {
  const { grammar: hostnames, policies = [] } = settings
  const target = parse(hostnames, hostname)
  if (target._tag === "HostnameForeign") {
    return {
      hostname,
      parsed: "foreign",
      steps: [`not under ${hostnames.domains.join(", ")}: left to the caller's app`],
    }
  }
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
  if (found._tag === "RouteInvalid") {
    return { ...named, lookup: "unknown", steps: [...steps, found.message] }
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
})
