import type { Duplex } from "node:stream"
import type { ForwardErrorTag } from "../../error-rows.ts"
import type { HasDeadline } from "../io/deadlines.ts"
import type { EngineContext } from "./engine-context.ts"
import { errorEvent } from "../contract/events.ts"
import { descriptorShare } from "../io/descriptors.ts"
import { repeatedReport } from "../../repeated-report.ts"

/** Why a connection is not served. */
export type ConnectionRefusal = Extract<ForwardErrorTag, "Overloaded" | "ClientLimited">

/** Connections at a time for which it is waited until the client has read its refusal. */
const MAX_RESPONDING = 128

/**
 * Bounds what it costs to refuse connections. So many of them stay for the linger time at most, until the client has read the response.
 * Others are closed as soon as it is written, which resets it away where the client's request had come already (RFC 9112 §9.6).
 * That the engine is full is an event, once a second at most.
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

  /** `respond` writes the response, or with `handshake` begins what comes before. */
  return (socket: Duplex, refusal: ConnectionRefusal, respond: () => void, handshake: boolean): void => {
    if (refusal === "Overloaded") {
      const reason = `connections are refused: ${limits.maxConnections} are open (maxConnections), and none is idle`
      report(refusal, new Error(reason))
    }
    socket.on("error", () => undefined)
    if (responding >= max) {
      if (!handshake) respond()
      // At once: a burst of connections must not take all descriptors for a moment.
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
