import type { RemoteInfo, Socket } from "node:dgram"
import type { DatagramEngine, DatagramEngineOptions, DatagramEvent, FlowOutcome } from "./contract.ts"
import { canonicalAddress } from "../address.ts"
import { monotonicNow } from "../monotonic-clock.ts"
import { accept, checkOptions } from "../options.ts"
import { repeatedReport } from "../repeated-report.ts"
import { startDeadline } from "../start-deadline.ts"
import { errorEvent } from "../sockets/contract/events.ts"
import { descriptorShare } from "../sockets/io/descriptors.ts"
import { Flow } from "./flow.ts"
import { FlowTable } from "./flow-table.ts"
import { defaultDatagramLimits } from "./limits.ts"
import type { DatagramLimits } from "./limits.ts"

/** How often idle flows are looked for, in ms; a flow is kept for at most so much longer. */
const SWEEP_MS = 1_000

const limitChecks = Object.fromEntries(Object.keys(defaultDatagramLimits).map((name) => [name, accept.number()]))

/**
 * Makes an engine: it takes bound sockets, asks `onFlow` about each client's first datagram, and moves the datagrams. Opens nothing.
 *
 * @throws {TypeError} for an option or a limit that is unknown, missing or invalid
 */
export const createDatagramEngine = (options: DatagramEngineOptions): DatagramEngine => {
  const checks = { onFlow: accept.function, limits: accept.object, onEvent: accept.function }
  checkOptions("createDatagramEngine", options, checks, { required: ["onFlow"] })
  checkOptions("createDatagramEngine", options.limits ?? {}, limitChecks, { at: "limits" })
  const limits = withinDescriptors(options.limits ?? {})
  const table = new FlowTable(limits)
  const onEmpty: (() => void)[] = []
  let sockets = 0
  let draining = false
  let sweeping: ReturnType<typeof setInterval> | undefined

  const report = (event: DatagramEvent): void => {
    try {
      options.onEvent?.(event)
    } catch {
      // A log that fails must not fail the flow.
    }
  }
  const limited = repeatedReport<"maxFlows" | "maxUnconfirmedFlows">((limit, count) =>
    report({ type: "flows_limited", limit, count }),
  )

  const onOver = (flow: Flow, outcome: FlowOutcome): void => {
    table.remove(flow)
    report(flow.event(outcome))
    if (table.size > 0) return
    clearInterval(sweeping)
    sweeping = undefined
    for (const empty of onEmpty.splice(0)) empty()
  }
  const onConfirmed = (): void => table.onConfirmed()

  const fail = (flow: Flow, cause: unknown): void => {
    report(errorEvent("ProxyFailed", cause))
    flow.end("failed")
  }
  const begin = (flow: Flow, decided: ReturnType<DatagramEngineOptions["onFlow"]>): void => {
    if (decided instanceof Promise) {
      decided.then((open) => begin(flow, open)).catch((cause: unknown) => fail(flow, cause))
      return
    }
    flow.begin(decided)
  }

  const receive = (socket: Socket, id: number, bytes: Buffer, from: RemoteInfo): void => {
    const key = `${id} ${from.port} ${from.address}`
    const known = table.get(key)
    if (known !== undefined) {
      known.receive(bytes)
      return
    }
    // Port 0 is nobody's: it cannot be answered.
    if (draining || from.port === 0) return
    const remoteAddress = canonicalAddress(from.address.replace(/%.*$/s, "")) ?? from.address
    const full = table.makeRoom(remoteAddress)
    if (full !== undefined) {
      limited(full, full)
      return
    }
    const { port: localPort } = socket.address()
    const source = { socket, address: from.address, remoteAddress, remotePort: from.port, localPort }
    const flow = new Flow(source, limits, monotonicNow, { onOver, onConfirmed })
    table.add(key, flow)
    sweeping ??= setInterval(() => table.sweep(monotonicNow()), SWEEP_MS)
    flow.receive(bytes)
    try {
      begin(flow, options.onFlow(flow))
    } catch (cause) {
      fail(flow, cause)
    }
  }

  return {
    socket: (socket) => {
      const id = sockets++
      socket.on("message", (bytes, from) => {
        try {
          receive(socket, id, bytes, from)
        } catch (cause) {
          // An error in our own code costs this datagram and no other.
          report(errorEvent("ProxyFailed", cause))
        }
      })
      // As that a datagram could not be delivered: never the end of the process.
      socket.on("error", (cause) => report(errorEvent("UpstreamFailed", cause)))
    },
    drain: async (given) => {
      checkOptions("drain", given, { deadlineMs: accept.number(0) }, { required: ["deadlineMs"] })
      draining = true
      table.endDead()
      if (table.size === 0) return
      await new Promise<void>((resolve) => {
        const settled = startDeadline(given.deadlineMs, () => table.endAll())
        onEmpty.push(() => {
          settled()
          resolve()
        })
      })
    },
    flows: () => table.size,
    limits,
  }
}

/** The limits that are given and the others' defaults, with as many flows as the process's descriptors allow. */
const withinDescriptors = (given: Partial<DatagramLimits>): DatagramLimits => {
  const named = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const limits = { ...defaultDatagramLimits, ...named }
  const maxFlows = Math.min(limits.maxFlows, descriptorShare())
  return {
    ...limits,
    maxFlows,
    maxUnconfirmedFlows: given.maxUnconfirmedFlows ?? Math.max(1, Math.floor(maxFlows / 2)),
  }
}
