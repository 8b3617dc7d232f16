import { accept, checkOptions } from "../../options.ts"
import { givenLimits } from "../contract/given-limits.ts"
import { defaultDatagramLimits } from "../contract/datagrams.ts"
import type { DatagramEngine, DatagramEngineOptions } from "../contract/datagrams.ts"
import { errorEvent } from "../contract/events.ts"
import { descriptorShare } from "../io/descriptors.ts"
import { FlowTable } from "./flow-table.ts"

const limitChecks = Object.fromEntries(Object.keys(defaultDatagramLimits).map((name) => [name, accept.number()]))

/**
 * Makes an engine for UDP: it takes the datagrams of bound sockets, asks `onFlow` once for each client's address and port, and passes datagrams
 * both ways until nothing comes any more. Opens nothing.
 *
 * @throws {TypeError} for an option or a limit that is unknown, missing or invalid
 */
export const createDatagramEngine = (options: DatagramEngineOptions): DatagramEngine => {
  const checks = { onFlow: accept.function, limits: accept.object, onEvent: accept.function }
  checkOptions("createDatagramEngine", options, checks, { required: ["onFlow"] })
  checkOptions("createDatagramEngine", options.limits ?? {}, limitChecks, { at: "limits" })
  const wanted = givenLimits(defaultDatagramLimits, options.limits)
  // A flow to an app's own address has a socket of its own.
  const limits = { ...wanted, maxFlows: Math.min(wanted.maxFlows, descriptorShare()) }
  const table = new FlowTable(options, limits)
  let closed = false
  return {
    serve: (socket, hostname) => {
      socket.on("error", (cause) => table.report(errorEvent("ProxyFailed", cause)))
      socket.on("close", () => table.endAll(socket))
      socket.on("message", (bytes, from) => {
        if (!closed) table.guard(() => table.onDatagram(socket, hostname, bytes, from))
      })
    },
    close: () => {
      closed = true
      table.endAll(undefined)
    },
    flows: () => table.size,
    limits,
  }
}
