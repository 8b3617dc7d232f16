import type { Duplex } from "node:stream"
import type { ForwardErrorTag } from "../../error-rows.ts"
import type { HasDeadline } from "../io/deadlines.ts"
import type { EngineContext } from "./engine-context.ts"
import { errorEvent } from "../contract/events.ts"
import { descriptorShare } from "../io/descriptors.ts"
import { repeatedReport } from "../io/repeated-report.ts"

/** Why a connection is not served. */
export type ConnectionRefusal = Extract<ForwardErrorTag, "Overloaded" | "ClientLimited">

/** Connections that get their refusal at a time. */
const MAX_RESPONDING = 128

/**
 * Bounds what it costs to refuse connections: so many get a response at a time, for the linger time at most, and the others are
 * closed without one. Where the engine is full, that is an event, once a second at most.
 */
export const refusedConnections = (context: EngineContext) => {
  const { deadlines, limits, options } = context
  const max = Math.min(MAX_RESPONDING, Math.ceil(descriptorShare() / 16))
  let responding = 0
  const report = repeatedReport<Error>((cause, count) => {
    try {
      options.onEvent?.({ ...errorEvent("Overloaded", cause), count })
    } catch {
      // A log that fails must not fail the connection.
    }
  })

  /** `respond` sends the refusal by the socket, or by what becomes of it after a handshake. */
  return (socket: Duplex, refusal: ConnectionRefusal, respond: () => void): void => {
    if (refusal === "Overloaded") {
      const reason = `connections are refused: ${limits.maxConnections} are open (maxConnections), and none is idle`
      report(refusal, new Error(reason))
    }
    socket.on("error", () => undefined)
    if (responding >= max) {
      socket.destroy()
      return
    }
    const linger: HasDeadline = { deadlineAt: deadlines.in(limits.lingerMs), onDeadline: () => void socket.destroy() }
    deadlines.add(linger)
    responding++
    socket.once("close", () => {
      responding--
      deadlines.remove(linger)
    })
    respond()
  }
}
