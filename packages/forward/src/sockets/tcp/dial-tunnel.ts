import type { Duplex } from "node:stream"
import type { TLSSocket } from "node:tls"
import type { HeaderList } from "../../header-list.ts"
import type { ResponseHead } from "../../http1/head.ts"
import type { DatagramReplies, DatagramTarget } from "../contract/datagrams.ts"
import type { UpstreamAddress, UpstreamError } from "../contract/upstream.ts"
import { headerValue } from "../../header-list.ts"
import { responseReader } from "../../http1/response-reader.ts"
import { requestHeadText } from "../../http1/write.ts"
import { startDeadline } from "../../start-deadline.ts"
import { isSecure, openSocket } from "../connection/open-socket.ts"
import { pinMismatch } from "../connection/peer-key.ts"
import { defaultLimits } from "../contract/limits.ts"
import { DatagramTunnel } from "../tunnel/datagram-tunnel.ts"
import { handshakeProblem } from "../tunnel/handshake-problem.ts"
import { TunnelStream } from "../tunnel/tunnel-stream.ts"
import type { DialOptions } from "./dial.ts"
import { errorTag } from "./dial.ts"

/** What {@link dialTunnel} takes beside the address. */
export interface TunnelDialOptions extends DialOptions {
  /** All fields of the handshake: `Host`, those of a WebSocket, and the tunnel's subprotocol. */
  readonly headers: HeaderList
  /** From the connection to the response's head, in ms; 0: as long as it takes. */
  readonly headersTimeoutMs: number
}

/** The response to a handshake. Its connection is the caller's: exactly one of its functions must be called. */
export interface DialedTunnel {
  readonly head: ResponseHead
  /** Of a 101 to a TCP tunnel: the tunnel as a stream, once it is known who gave it. */
  readonly open: () => Duplex
  /** The same of a UDP tunnel. */
  readonly openDatagrams: (replies: DatagramReplies) => DatagramTarget
  readonly discard: () => void
}

/** After how long without a byte a ping is sent, in ms, so that no load balancer takes the tunnel for dead. */
const PING_MS = 30_000

/**
 * Asks a machine proxy, or a router before it, for a tunnel: connects by the address's rule and pin, sends the handshake and gives whatever
 * response comes; a 101 is one only if it agrees to this handshake. Never rejects.
 */
export const dialTunnel = (
  address: UpstreamAddress,
  { headers, timeoutMs, headersTimeoutMs, signal }: TunnelDialOptions,
): Promise<DialedTunnel | UpstreamError> =>
  new Promise((resolve) => {
    const asked = {
      key: headerValue(headers, "sec-websocket-key") ?? "",
      protocol: headerValue(headers, "sec-websocket-protocol") ?? "",
    }
    const socket = openSocket(address)
    const reader = responseReader(defaultLimits)
    reader.expect("GET")
    let sent: UpstreamError["sent"] = "no"
    let interim = 0
    let cause: unknown
    let settled = nothing

    const end = (reason: unknown): void => {
      cause ??= reason
      socket.destroy()
    }
    const timedOut = (what: string) => () => end(Object.assign(new Error(`${what} time-out`), { code: "ETIMEDOUT" }))
    const wait = (ms: number, what: string): void => {
      settled()
      settled = ms === 0 ? nothing : startDeadline(ms, timedOut(what))
    }
    const left = (): void => end(Object.assign(new Error("the client left"), { code: "ABORT_ERR" }))
    const fail = (tag: UpstreamError["tag"], reason: unknown): void => {
      stop()
      socket.destroy()
      resolve({ tag, sent, cause: reason })
    }
    const onClose = (): void => fail(sent === "no" ? errorTag(cause) : "UpstreamFailed", cause)
    const onConnect = (): void => {
      const mismatch = address.pin === undefined ? undefined : pinMismatch(socket as TLSSocket, address.pin)
      if (mismatch !== undefined) {
        end(mismatch)
        return
      }
      wait(headersTimeoutMs, "handshake")
      sent = "maybe"
      socket.write(requestHeadText("GET", "/", headers, "none"), "latin1")
    }
    const onData = (bytes: Buffer): void => {
      reader.push(bytes)
      const event = reader.read()
      if (event === undefined) return
      if (event.type !== "head") {
        fail("UpstreamMalformed", new Error(event.type === "refusal" ? event.reason : "no head"))
        return
      }
      if (event.status < 200 && event.status !== 101) {
        if (++interim > defaultLimits.maxInterim) fail("UpstreamMalformed", new Error("too many interim responses"))
        else onData(NONE)
        return
      }
      const problem = event.status === 101 ? handshakeProblem(event.headers, asked) : undefined
      if (problem !== undefined) {
        fail("UpstreamMalformed", new Error(problem))
        return
      }
      stop()
      socket.pause()
      const early = reader.rest()
      resolve({
        head: event,
        open: () => new TunnelStream(socket, early, PING_MS),
        openDatagrams: ({ onDatagram, onClose }) => {
          const tunnel = new DatagramTunnel(socket, early, PING_MS, { onDatagram, onClose: () => onClose() })
          return { send: (bytes) => tunnel.send(bytes), close: () => tunnel.close() }
        },
        discard: () => void socket.destroy(),
      })
    }
    const onEnd = (): void => end(Object.assign(new Error("closed before a response"), { code: "ECONNRESET" }))
    const stop = (): void => {
      settled()
      signal.removeEventListener("abort", left)
      socket.off("data", onData)
      socket.off("end", onEnd)
      socket.off("close", onClose)
    }
    // Stays: an error with no listener would end the process.
    socket.on("error", (error) => (cause ??= error))
    socket.on(isSecure(address) ? "secureConnect" : "connect", onConnect)
    socket.on("data", onData)
    socket.on("end", onEnd)
    socket.on("close", onClose)
    signal.addEventListener("abort", left)
    wait(timeoutMs, "connect")
    if (signal.aborted) left()
  })

const NONE = Buffer.alloc(0)

const nothing = (): void => undefined
