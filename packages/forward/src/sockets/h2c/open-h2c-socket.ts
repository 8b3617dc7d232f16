import type { Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import type { UpstreamAddress } from "../contract/upstream.ts"
import { isSecure, openSocket } from "../connection/open-socket.ts"
import { isLoopback, NOT_HTTP2 } from "../connection/upstream-connection.ts"
import { pinMismatch } from "../connection/peer-key.ts"

/** A connected socket, or why there is none. */
export type OpenedSocket = { readonly socket: Socket } | { readonly cause: unknown }

/** Frames of an app end the process there, by a double free in its node:http2. Seen with Deno 2.9.6. */
const isDeno = "Deno" in globalThis

/**
 * Opens a connection for HTTP/2, calls `opened` once and gives the function that gives it up. On loopback 127.0.0.1 first, and then
 * ::1.
 */
export const openH2cSocket = (origin: UpstreamAddress, opened: (result: OpenedSocket) => void): (() => void) => {
  if (isDeno) {
    const cause = new Error(
      "HTTP/2 to apps is not spoken on Deno, whose node:http2 lets an app's frames end the process",
    )
    const refusal = setImmediate(() => opened({ cause }))
    return () => clearImmediate(refusal)
  }
  let socket: Socket
  let settled = false
  const settle = (result: OpenedSocket): void => {
    if (settled) return
    settled = true
    opened(result)
  }
  const begin = (make: () => Socket, event: string, next?: (cause: unknown) => void): void => {
    const made = make()
    socket = made
    let cause: unknown
    const onError = (error: unknown): void => {
      cause ??= error
    }
    const onClose = (): void => {
      cause ??= Object.assign(new Error("closed in the handshake"), { code: "ECONNRESET" })
      if (next === undefined || settled) settle({ cause })
      else next(cause)
    }
    made.on("error", onError)
    made.once("close", onClose)
    made.once(event, () => {
      const refused = settled ? undefined : refusalOf(origin, made)
      made.off("close", onClose)
      if (refused !== undefined) settle({ cause: refused })
      if (settled) {
        made.destroy()
        return
      }
      made.off("error", onError)
      settle({ socket: made })
    })
  }
  const event = isSecure(origin) ? "secureConnect" : "connect"
  if (isLoopback(origin)) {
    const literal = (host: string) => () => openSocket({ ...origin, host }, "h2")
    begin(literal("127.0.0.1"), event, (cause) => {
      // Of the two, the one that was refused says more than the one that has no such address.
      begin(literal("::1"), event, () => settle({ cause }))
    })
  } else begin(() => openSocket(origin, "h2"), event)
  return () => {
    settled = true
    socket.destroy()
  }
}

const refusalOf = (origin: UpstreamAddress, socket: Socket): Error | undefined => {
  if (!isSecure(origin)) return undefined
  const secure = socket as TLSSocket
  const mismatch = origin.pin === undefined ? undefined : pinMismatch(secure, origin.pin)
  if (mismatch !== undefined) return mismatch
  return secure.alpnProtocol === "h2" ? undefined : notHttp2()
}

/** The peer speaks another protocol. */
export const notHttp2 = (): Error => Object.assign(new Error("the app does not speak HTTP/2"), { code: NOT_HTTP2 })
