import type { Socket } from "node:net"
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders, Settings } from "node:http2"
import type { Limits } from "../contract/limits.ts"
import type { UpstreamAddress } from "../contract/upstream.ts"
import type { DeadlineScanner, HasDeadline } from "../io/deadlines.ts"
import { connect } from "node:http2"
import { isSecure } from "../connection/open-socket.ts"
import { notHttp2, openH2cSocket } from "./open-h2c-socket.ts"

/** Streams at a time on one connection, where the app does not say fewer: what most servers say. */
export const MAX_STREAMS = 100
/** Bytes of one outgoing head; above the largest that a client's may be. */
const MAX_HEAD = 262_144

/** Frames that name origins (RFC 8336) before a connection is ended: one is what a server sends. Node keeps all that is in them. */
const MAX_ORIGIN_FRAMES = 8

/** What has the connections of HTTP/2: the table of them. */
export interface SessionOwner {
  /** It can take streams, more of them than before, or none any more. */
  onChange(session: H2cSession): void
  /** It is over; `cause` where it was never ready. */
  onClosed(session: H2cSession, cause: unknown): void
}

/** One connection of HTTP/2 to an app, whose streams requests share. */
export class H2cSession implements HasDeadline {
  deadlineAt: number
  /** True once the app's SETTINGS came: it does speak HTTP/2, and how many streams it takes is known. */
  ready = false
  /** True when it takes no more streams: the app said so (GOAWAY), it broke, or it had as many as it may have. */
  retired = false
  /** Streams at a time. */
  capacity = MAX_STREAMS
  /** Streams that were promised or are open. */
  taken = 0
  #begun = 0
  #originFrames = 0
  #closed = false
  #session: ClientHttp2Session | undefined
  #cause: unknown
  readonly #owner: SessionOwner
  readonly #limits: Limits
  readonly #deadlines: DeadlineScanner
  readonly #giveUp: () => void
  readonly scheme: "http" | "https"

  constructor(origin: UpstreamAddress, limits: Limits, deadlines: DeadlineScanner, owner: SessionOwner) {
    this.#owner = owner
    this.#limits = limits
    this.#deadlines = deadlines
    this.scheme = isSecure(origin) ? "https" : "http"
    this.#giveUp = openH2cSocket(origin, (result) => {
      if (this.#closed) return
      if ("cause" in result) this.#close(result.cause)
      else this.#begin(result.socket)
    })
    deadlines.add(this)
    this.deadlineAt = deadlines.in(limits.connectTimeoutMs)
  }

  #begin(socket: Socket): void {
    const session = connect("http://localhost", {
      createConnection: () => socket,
      // The app is not believed to keep to any bound of ours.
      maxHeaderListPairs: this.#limits.maxFields + 1,
      maxSendHeaderBlockLength: MAX_HEAD,
      settings: { enablePush: false, maxHeaderListSize: this.#limits.maxResponseHead },
    })
    this.#session = session
    session.on("remoteSettings", (settings) => this.#onSettings(settings))
    session.on("goaway", () => this.#retire())
    session.on("origin", () => {
      if (++this.#originFrames > MAX_ORIGIN_FRAMES) this.destroy()
    })
    session.on("error", (error) => {
      this.#cause = error
    })
    session.on("close", () => this.#close(this.ready ? undefined : (this.#cause ?? notHttp2())))
  }

  #onSettings({ maxConcurrentStreams = MAX_STREAMS }: Settings): void {
    if (this.#closed) return
    this.capacity = Math.min(maxConcurrentStreams, MAX_STREAMS)
    if (!this.ready) {
      this.ready = true
      this.deadlineAt = this.#deadlines.in(this.#limits.poolIdleTimeoutMs)
    }
    this.#owner.onChange(this)
  }

  get hasRoom(): boolean {
    return this.ready && !this.retired && this.taken < this.capacity
  }

  /** Whether the app takes WebSockets (RFC 8441 §3). */
  get takesWebSockets(): boolean {
    return this.#session?.remoteSettings?.enableConnectProtocol === true
  }

  /** Promises a place to a stream. */
  take(): void {
    this.taken++
    this.deadlineAt = 0
    if (++this.#begun >= this.#limits.maxRequestsPerConnection) this.retired = true
  }

  /** The place of a stream is free again. */
  release(): void {
    if (this.#closed) return
    if (--this.taken === 0) this.deadlineAt = this.#deadlines.in(this.retired ? 1 : this.#limits.poolIdleTimeoutMs)
    this.#owner.onChange(this)
  }

  /** Begins a stream. Throws if the connection has ended in the meantime, or if a field cannot be sent. */
  request(fields: OutgoingHttpHeaders, ended: boolean): ClientHttp2Stream {
    return this.#session!.request(fields, { endStream: ended, waitForTrailers: !ended })
  }

  onDeadline(): void {
    if (!this.ready) this.#close(Object.assign(new Error("connect time-out"), { code: "ETIMEDOUT" }))
    else if (this.taken === 0) this.destroy()
  }

  destroy(): void {
    this.#close(this.ready ? undefined : new Error("given up"))
  }

  #retire(): void {
    this.retired = true
    if (this.taken === 0) this.destroy()
    else this.#owner.onChange(this)
  }

  #close(cause: unknown): void {
    if (this.#closed) return
    this.#closed = true
    this.retired = true
    this.#deadlines.remove(this)
    if (this.#session === undefined) this.#giveUp()
    else this.#session.destroy()
    this.#owner.onClosed(this, cause)
  }
}
