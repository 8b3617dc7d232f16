import type { Duplex } from "node:stream"
import type { ConnectionAdmission } from "../contract/engine.ts"
import type { ConnectionContext } from "./engine-context.ts"
import { reportError } from "./engine-context.ts"

/** Whether one more connection of a client is served, as the host decides. The host learns when it has closed. */
export const isAdmitted = (
  context: ConnectionContext,
  admission: ConnectionAdmission | undefined,
  socket: Duplex,
  remoteAddress: string,
): boolean => {
  if (admission === undefined) return true
  const guard = (run: () => boolean | void): boolean => {
    try {
      return run() !== false
    } catch (cause) {
      reportError(context, "ProxyFailed", cause)
      return true
    }
  }
  if (!guard(() => admission.admit(remoteAddress))) return false
  socket.once("close", () => guard(() => admission.release(remoteAddress)))
  return true
}
