import { monotonicNow } from "@project-ingress/forward/internal"
import type { Grammar } from "@project-ingress/hostname"
import { withTimeout } from "@project-ingress/providers/internal"
import * as Effect from "effect/Effect"
import type { Inspection, ListeningPort, ListeningPorts } from "../policies/inspection.ts"
import type { Policy } from "../policies/policy.ts"
import { pause } from "../stores/reading/pause.ts"
import type { MachineControl, MachinePorts } from "./machine-control.ts"
import { openPorts } from "./open-ports.ts"
import type { RouteToMachine } from "./resolve-route.ts"
import type { VisitorRequest } from "./sender.ts"

/** Between two requests to one machine for one visitor, in ms, where its list changes all the time or it lets nobody wait. */
const ASK_EVERY_MS = 1_000
/** What an error response waits for the list of ports, in ms. */
const BESIDE_ERROR_MS = 1_000

/** What listens in machines, for visitors. Nothing that goes wrong is more than a list that is not there. */
export interface MachineInspection {
  /** Waits as the policy wants it, for a change of what this visitor may open: a change that it may not know of ends no wait. */
  readonly inspect: (
    control: MachineControl,
    request: VisitorRequest,
    route: RouteToMachine,
    inspection: Inspection,
  ) => Effect.Effect<ListeningPorts | undefined>
  /** What to open instead of a port that is closed. */
  readonly instead: (
    control: MachineControl,
    request: VisitorRequest,
    route: RouteToMachine,
  ) => Effect.Effect<readonly ListeningPort[] | undefined>
}

export const machineInspection = (grammar: Grammar, policies: readonly Policy[]): MachineInspection => {
  const visible = (request: VisitorRequest, route: RouteToMachine, found: MachinePorts) =>
    Effect.map(openPorts(grammar, policies, request, route, found), (ports) => ({ ports, version: versionOf(ports) }))

  return {
    inspect: Effect.fnUntraced(function* (control, request, route, { waitMs = 0, since }) {
      const deadline = monotonicNow() + waitMs
      let query: Query = { waitMs: 0, since: undefined }
      let known = since
      for (;;) {
        const askedAt = monotonicNow()
        const found: MachinePorts | undefined = yield* machinePorts(control, route, query)
        if (found === undefined) return undefined
        const listed = yield* visible(request, route, found)
        known ??= listed.version
        const leftMs = deadline - monotonicNow()
        if (listed.version !== known || leftMs <= 0) return listed
        // The first one waits for nothing, and says what to wait for.
        const pauseMs = query.since === undefined ? 0 : Math.min(leftMs, askedAt + ASK_EVERY_MS - monotonicNow())
        if (pauseMs > 0) yield* Effect.promise((signal) => pause(pauseMs, signal))
        query = { waitMs: Math.max(0, deadline - monotonicNow()), since: found.version }
      }
    }),
    instead: (control, request, route) => {
      const listed = Effect.flatMap(machinePorts(control, route, { waitMs: 0, since: undefined }), (found) =>
        found === undefined ? Effect.succeed(undefined) : openPorts(grammar, policies, request, route, found),
      )
      const inTime = (signal: AbortSignal) =>
        withTimeout(BESIDE_ERROR_MS, signal, (ended) => Effect.runPromise(listed, { signal: ended }))
      return Effect.promise((signal) => inTime(signal).catch(() => undefined))
    },
  }
}

const machinePorts = (
  control: MachineControl,
  { machine, port, record }: RouteToMachine,
  query: Query,
): Effect.Effect<MachinePorts | undefined> =>
  Effect.catch(control.ports({ machine, port, owner: record.owner }, query), () => Effect.succeed(undefined))

interface Query {
  readonly waitMs: number
  readonly since: string | undefined
}

/** Names what a visitor sees, and nothing else: the machine's own name for its list would change with what the visitor does not see. FNV-1a. */
const versionOf = (ports: readonly ListeningPort[]): string => {
  let hash = 0x811c9dc5
  let other = 0x9dc5811c
  for (const character of JSON.stringify(ports)) {
    const code = character.codePointAt(0)!
    hash = Math.imul(hash ^ code, 0x01000193)
    other = Math.imul(other ^ code, 0x01000193) ^ hash
  }
  return `${(hash >>> 0).toString(36)}.${(other >>> 0).toString(36)}`
}
