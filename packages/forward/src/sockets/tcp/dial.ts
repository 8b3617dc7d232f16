import type { Socket } from "node:net"
import { startDeadline } from "../../start-deadline.ts"
import { openSocket } from "../connection/open-socket.ts"
import type { UpstreamAddress, UpstreamError } from "../contract/upstream.ts"

/** What {@link dialTcp} takes beside the address. */
export interface DialOptions {
  /** In ms; 0: as long as the system tries. */
  readonly timeoutMs: number
  /** Aborted when nobody wants the connection any more. */
  readonly signal: AbortSignal
}

/**
 * Opens a TCP connection to an address that its rule allows: a name is resolved once, every address that it has is checked, and one of those
 * is connected to. `tls` and `pin` of the address are for who speaks TLS, which is not we: an address with one of them is refused. Never
 * rejects.
 */
export const dialTcp = (
  { host, port, addresses, pool, tls, pin }: UpstreamAddress,
  { timeoutMs, signal }: DialOptions,
): Promise<Socket | UpstreamError> =>
  new Promise((resolve) => {
    const failed = (cause: unknown): void => resolve({ tag: errorTag(cause), sent: "no", cause })
    if (tls !== undefined || pin !== undefined) {
      failed(new Error("bytes of TCP are passed on as they are: the address must have neither tls nor pin"))
      return
    }
    const socket = openSocket({ pool, host, port, ...(addresses === undefined ? {} : { addresses }) })
    let cause: unknown
    const end = (reason: Error): void => {
      cause ??= reason
      socket.destroy()
    }
    const timedOut = () => end(Object.assign(new Error("connect time-out"), { code: "ETIMEDOUT" }))
    const settled = timeoutMs === 0 ? () => undefined : startDeadline(timeoutMs, timedOut)
    const left = () => end(Object.assign(new Error("the client left"), { code: "ABORT_ERR" }))
    const onError = (error: Error): void => {
      cause ??= error
    }
    const onClose = (): void => {
      stop()
      failed(cause)
    }
    const onConnect = (): void => {
      stop()
      socket.off("close", onClose)
      resolve(socket)
    }
    const stop = (): void => {
      settled()
      signal.removeEventListener("abort", left)
      socket.off("connect", onConnect)
    }
    // Stays: an error with no listener would end the process.
    socket.on("error", onError)
    socket.on("close", onClose)
    socket.on("connect", onConnect)
    signal.addEventListener("abort", left)
    if (signal.aborted) left()
  })

/** Why a connection could not be opened, by what its socket said. */
export const errorTag = (cause: unknown): UpstreamError["tag"] => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  if (code === "ECONNREFUSED") return "PortClosed"
  return code === "ETIMEDOUT" ? "UpstreamTimeout" : "ProviderUnavailable"
}
