import type { ResponseReader } from "../../http1/response-reader.ts"
import type { Limits } from "../contract/limits.ts"
import type { UpstreamAddress, UpstreamError } from "../contract/upstream.ts"
import type { DeadlineScanner } from "../io/deadlines.ts"
import type { UpstreamUser } from "./connection-handler.ts"
import type { Upstream } from "./upstream.ts"
import type { Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import { responseReader } from "../../http1/response-reader.ts"
import { startDeadline } from "../../start-deadline.ts"
import { readAfterFailedWrite } from "../io/failed-writes.ts"
import { isSecure, openSocket } from "./open-socket.ts"
import { pinMismatch } from "./peer-key.ts"

/** How long the first of two loopback addresses has before the other is tried beside it, in ms (RFC 8305 §5). */
const RACE_MS = 50

/** The code that Node gives the error of a connection whose peer does not speak HTTP/2. */
export const NOT_HTTP2 = "ERR_HTTP2_ERROR"

/** One connection towards an app, used for one exchange after another. */
export class UpstreamConnection implements Upstream {
  readonly origin: UpstreamAddress
  readonly reader: ResponseReader
  deadlineAt = 0
  requests = 0
  connected = false
  closed = false
  uncounted = false
  user: UpstreamUser | undefined
  socket: Socket
  readonly #onClosed: (upstream: Upstream) => void
  readonly #deadlines: DeadlineScanner
  #racing: Socket | undefined
  #cause: unknown
  /** True once a write failed before which no FIN came: then the end of what can be read is a reset. */
  #broken = false

  constructor(
    origin: UpstreamAddress,
    limits: Limits,
    deadlines: DeadlineScanner,
    onClosed: (upstream: Upstream) => void,
  ) {
    this.origin = origin
    this.#onClosed = onClosed
    this.#deadlines = deadlines
    this.reader = responseReader(limits)
    if (isLoopback(origin)) this.socket = this.#connectLoopback()
    else {
      this.socket = openSocket(origin)
      this.#addListeners(this.socket, isSecure(origin) ? "secureConnect" : "connect")
    }
    deadlines.add(this)
    this.deadlineAt = deadlines.in(limits.connectTimeoutMs)
  }

  /** Both literals, IPv4 first, without a look-up: an app may listen on either, and /etc/hosts is the tenant's. */
  #connectLoopback(): Socket {
    const openLiteral = (host: string) => {
      const socket = openSocket({ ...this.origin, host })
      this.#addListeners(socket, isSecure(this.origin) ? "secureConnect" : "connect")
      return socket
    }
    const first = openLiteral("127.0.0.1")
    let raced = false
    let reached = false
    const race = () => {
      // Where something listens, a handshake of TLS that fails is what there is to say.
      if (raced || reached || this.connected || this.closed) return
      raced = true
      this.#racing = openLiteral("::1")
    }
    first.once("error", race)
    const settled = startDeadline(RACE_MS, race)
    first.once("connect", () => {
      reached = true
      settled()
    })
    first.once("close", settled)
    return first
  }

  #addListeners(socket: Socket, open: "connect" | "secureConnect"): void {
    readAfterFailedWrite(socket, (error) => this.#onWriteFailed(error))
    socket.on(open, () => {
      if (this.closed || this.connected) {
        socket.destroy()
        return
      }
      const { pin } = this.origin
      const mismatch = pin === undefined ? undefined : pinMismatch(socket as TLSSocket, pin)
      if (mismatch !== undefined) {
        this.destroy(mismatch)
        return
      }
      this.connected = true
      // Of the other address: no reason for how this connection will end.
      this.#cause = undefined
      this.deadlineAt = 0
      if (this.socket !== socket) {
        const loser = this.socket
        this.socket = socket
        loser.destroy()
      } else this.#racing?.destroy()
      this.#racing = undefined
      this.#notify((user) => user.onUpstreamOpen())
    })
    socket.on("data", (bytes) => {
      const { user } = this
      if (user === undefined) {
        // No request is in flight: this is not the response to the next one (RFC 9112 §6.3).
        this.destroy()
        return
      }
      this.reader.push(bytes)
      try {
        user.onUpstreamData()
      } catch (cause) {
        user.onInternalError(cause)
      }
    })
    socket.on("end", () => {
      if (socket !== this.socket) return
      if (!this.connected) {
        // In the handshake of TLS: no request was sent, so this is not the end of its response.
        this.destroy(Object.assign(new Error("closed in the handshake"), { code: "ECONNRESET" }))
        return
      }
      if (this.#broken) {
        this.destroy()
        return
      }
      this.reader.end()
      if (this.user === undefined) this.destroy()
      else this.#notify((user) => user.onUpstreamEnd())
    })
    socket.on("drain", () => this.#notify((user) => user.onUpstreamDrain()))
    socket.on("error", (error) => {
      // Of two racers, the one that was refused says more than the one that has no such address.
      if (this.connected || codeOf(this.#cause) !== "ECONNREFUSED") this.#cause = error
    })
    socket.on("close", () => {
      if (!this.connected) {
        // One of two racers is out; the other one may still win.
        if (socket === this.#racing) this.#racing = undefined
        else if (this.#racing !== undefined) {
          this.socket = this.#racing
          this.#racing = undefined
          return
        }
        if (socket !== this.socket && !this.socket.destroyed) return
      } else if (socket !== this.socket) return
      this.#close(this.#cause)
    })
  }

  /** Whether to read on: what the app said before it closed is still to come, and then its end. */
  #onWriteFailed(error: Error): boolean {
    const code = codeOf(error)
    // After any other failure a later write could succeed, and the app would miss a part between.
    if (code !== "EPIPE" && code !== "ECONNRESET") return false
    if (this.closed || this.user === undefined || this.socket.readableEnded) return false
    // Of several only the first says what happened: EPIPE after the app's FIN, ECONNRESET where there was none.
    if (this.#cause === undefined) {
      this.#cause = error
      this.#broken = code !== "EPIPE"
    }
    return true
  }

  onDeadline(): void {
    this.destroy(this.connected ? undefined : Object.assign(new Error("connect time-out"), { code: "ETIMEDOUT" }))
  }

  destroy(cause?: unknown): void {
    if (this.closed) return
    if (cause !== undefined) this.#cause = cause
    this.socket.destroy()
    this.#racing?.destroy()
    this.#close(this.#cause)
  }

  #close(cause: unknown): void {
    if (this.closed) return
    this.closed = true
    this.#deadlines.remove(this)
    this.#onClosed(this)
    this.#notify((user) => {
      this.user = undefined
      user.onUpstreamClose(this.connected, cause)
    })
  }

  #notify(run: (user: UpstreamUser) => void): void {
    const { user } = this
    if (user === undefined) return
    try {
      run(user)
    } catch (cause) {
      user.onInternalError(cause)
    }
  }
}

/** With a rule for addresses somebody else chose the host, and `loopback` is a name like any other; also with a pin. */
export const isLoopback = ({ host, addresses, pin }: UpstreamAddress): boolean =>
  host === "loopback" && addresses === undefined && pin === undefined

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

const isLocal = (host: string): boolean => host === "loopback" || host === "::1" || host.startsWith("127.")

/** Whether it is OpenSSL's word for a certificate that does not verify, or Node's for one of another name. */
const isUntrusted = (code: unknown): boolean => typeof code === "string" && /CERT|LEAF_SIGNATURE/.test(code)

/** Why a connection could not be opened, as a client sees it. */
export const connectFailure = (upstream: Upstream, cause: unknown): UpstreamError["tag"] => {
  const code = codeOf(cause)
  if (code === "ECONNREFUSED") return "PortClosed"
  if (code === "ETIMEDOUT") return "UpstreamTimeout"
  // The app speaks another protocol than the one that it was asked in.
  if (code === NOT_HTTP2 || code === "EPROTO" || (typeof code === "string" && code.startsWith("ERR_SSL_")))
    return "UpstreamMalformed"
  if (upstream.origin.tls !== undefined && isLocal(upstream.origin.host) && isUntrusted(code))
    return "UpstreamUntrusted"
  // In the handshake of TLS; where there is none, a reset comes after the connection.
  if (code === "ECONNRESET") return "UpstreamFailed"
  return isLoopback(upstream.origin) ? "UpstreamFailed" : "ProviderUnavailable"
}

/** Whether it was this process, or this host, that could open nothing more. */
export const isOutOfDescriptors = (cause: unknown): boolean => {
  const code = codeOf(cause)
  return code === "EMFILE" || code === "ENFILE"
}
