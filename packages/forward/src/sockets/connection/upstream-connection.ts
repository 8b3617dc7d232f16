import type { Socket } from "node:net"
import type { ResponseReader } from "../../http1/response-reader.ts"
import type { UpstreamError, Limits, UpstreamAddress } from "../contract/contract.ts"
import type { UpstreamPools } from "./upstream-pool.ts"
import type { Timed, DeadlineScanner } from "../io/deadlines.ts"
import { connect } from "node:net"
import { connect as connectTls } from "node:tls"
import { responseReader } from "../../http1/response-reader.ts"

/** Who uses a connection upstream at the moment. */
export interface UpstreamUser {
  onUpstreamOpen(): void
  /** Octets are in the upstream's reader, or its end is. */
  onUpstreamData(): void
  /** The peer sent its FIN; the reader knows. */
  onUpstreamEnd(): void
  onUpstreamDrain(): void
  /** The connection is gone; `connected` is false when it never was open. */
  onUpstreamClose(upstream: UpstreamConnection, connected: boolean, cause: unknown): void
  /** One of the above threw. */
  fault(cause: unknown): void
}

/** How long the first of two loopback addresses is waited for before the other is tried beside it, in ms (RFC 8305 §5). */
const RACE_MS = 50

/**
 * The mark of 1 is for a connection that is paused: its stream then holds one read and not two. One that flows never meets it.
 */
const DIAL = { noDelay: true, allowHalfOpen: true, readableHighWaterMark: 1 }

/** One connection towards an app, used for one exchange after another. */
export class UpstreamConnection implements Timed {
  readonly origin: UpstreamAddress
  readonly reader: ResponseReader
  dueAt = 0
  /** True once it carried a request before the one at hand: then its death may be a race with its idle time-out. */
  requests = 0
  connected = false
  closed = false
  /** True when it left the pool's count: it is a tunnel now. */
  uncounted = false
  user: UpstreamUser | undefined
  socket: Socket
  readonly #pools: UpstreamPools
  readonly #wheel: DeadlineScanner
  #racing: Socket | undefined
  #cause: unknown

  constructor(origin: UpstreamAddress, limits: Limits, wheel: DeadlineScanner, pools: UpstreamPools) {
    this.origin = origin
    this.#pools = pools
    this.#wheel = wheel
    this.reader = responseReader(limits)
    wheel.add(this)
    this.dueAt = wheel.in(limits.connectTimeoutMs)
    if (origin.host === "loopback") {
      this.socket = this.#dialLoopback()
    } else {
      const options = { ...DIAL, host: origin.host, port: origin.port }
      this.socket =
        origin.tls === undefined
          ? connect(options)
          : connectTls({ servername: origin.host, ...origin.tls, ...options, ALPNProtocols: ["http/1.1"] })
      this.#listen(this.socket, origin.tls === undefined ? "connect" : "secureConnect")
    }
  }

  /** Both literals, IPv4 first, without a look-up: an app may listen on either, and /etc/hosts is the tenant's. */
  #dialLoopback(): Socket {
    const dial = (host: string) => {
      const socket = connect({ ...DIAL, host, port: this.origin.port })
      this.#listen(socket, "connect")
      return socket
    }
    const first = dial("127.0.0.1")
    let raced = false
    const race = () => {
      if (raced || this.connected || this.closed) return
      raced = true
      this.#racing = dial("::1")
    }
    first.once("error", race)
    const timer = setTimeout(race, RACE_MS)
    first.once("connect", () => clearTimeout(timer))
    first.once("close", () => clearTimeout(timer))
    return first
  }

  #listen(socket: Socket, open: "connect" | "secureConnect"): void {
    socket.on(open, () => {
      if (this.closed || this.connected) {
        socket.destroy()
        return
      }
      this.connected = true
      // Of the other address, which did not answer: no reason for how this connection will end.
      this.#cause = undefined
      this.dueAt = 0
      if (this.socket !== socket) {
        const loser = this.socket
        this.socket = socket
        loser.destroy()
      } else this.#racing?.destroy()
      this.#racing = undefined
      this.#tell((user) => user.onUpstreamOpen())
    })
    socket.on("data", (bytes) => {
      const { user } = this
      if (user === undefined) {
        // Nobody asked: whatever it says, it is not the answer to the next request (RFC 9112 §6.3).
        this.destroy()
        return
      }
      this.reader.push(bytes)
      try {
        user.onUpstreamData()
      } catch (cause) {
        user.fault(cause)
      }
    })
    socket.on("end", () => {
      if (socket !== this.socket) return
      this.reader.end()
      if (this.user === undefined) this.destroy()
      else this.#tell((user) => user.onUpstreamEnd())
    })
    socket.on("drain", () => this.#tell((user) => user.onUpstreamDrain()))
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
      this.#gone(this.#cause)
    })
  }

  onDue(): void {
    this.destroy(this.connected ? undefined : Object.assign(new Error("connect time-out"), { code: "ETIMEDOUT" }))
  }

  destroy(cause?: unknown): void {
    if (this.closed) return
    if (cause !== undefined) this.#cause = cause
    this.socket.destroy()
    this.#racing?.destroy()
    this.#gone(this.#cause)
  }

  #gone(cause: unknown): void {
    if (this.closed) return
    this.closed = true
    this.#wheel.remove(this)
    this.#pools.forget(this)
    this.#tell((user) => {
      this.user = undefined
      user.onUpstreamClose(this, this.connected, cause)
    })
  }

  #tell(what: (user: UpstreamUser) => void): void {
    const { user } = this
    if (user === undefined) return
    try {
      what(user)
    } catch (cause) {
      user.fault(cause)
    }
  }
}

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

/** Why a connection could not be opened, as the client is told. */
export const connectFailure = (upstream: UpstreamConnection, cause: unknown): UpstreamError["tag"] => {
  const code = codeOf(cause)
  if (code === "ECONNREFUSED") return "PortClosed"
  if (code === "ETIMEDOUT") return "UpstreamTimeout"
  return upstream.origin.host === "loopback" ? "UpstreamFailed" : "ProviderUnavailable"
}
