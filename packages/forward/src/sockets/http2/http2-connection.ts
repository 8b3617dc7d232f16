import { constants } from "node:http2"
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2"
import type { Duplex } from "node:stream"
import type { ForwardErrorTag } from "../../error-rows.ts"
import type { EngineContext, OpenConnection } from "../connection/engine-context.ts"
import type { Engine } from "../contract/engine.ts"
import type { MessageConnection, RequestMessage, ResponseSink } from "../contract/message.ts"
import type { HasDeadline } from "../io/deadlines.ts"
import type { ProxiedClient } from "../proxy-protocol/proxy-header.ts"
import type { StreamHead } from "./stream-head.ts"
import type { StreamOwner } from "./stream-message.ts"
import { addressOf } from "../connection/client-connection.ts"
import { removeConnection, reportError } from "../connection/engine-context.ts"
import { certificateNames } from "./certificate-names.ts"
import { FrameBudget } from "./frame-budget.ts"
import { streamHead } from "./stream-head.ts"
import { StreamMessage } from "./stream-message.ts"

const { NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_NO_ERROR } = constants
/** Says that the connection ends, and refuses no stream yet (RFC 9113 §6.8). */
const LAST_STREAM = 2 ** 31 - 1

/** So many bytes of complete responses may wait for a client for as long as an app may be slow; beyond, each has `unsentTimeoutMs`. */
const MAX_UNSENT = 262_144

/** One connection of HTTP/2 from a client. Node frames it; each of its streams is a message of the engine. */
export class Http2Connection implements OpenConnection, HasDeadline, StreamOwner {
  deadlineAt: number
  readonly #session: ServerHttp2Session
  readonly #socket: Duplex
  readonly #context: EngineContext
  readonly #message: Engine["message"]
  readonly #facts: MessageConnection
  readonly #isCovered: (authority: string) => boolean
  /** Why no request of it is served. */
  readonly #refusal: ForwardErrorTag | undefined
  readonly #streams = new Set<StreamMessage>()
  readonly #resets: FrameBudget
  readonly #controlFrames: FrameBudget
  /** How long the wait for a stream may take that `deadlineAt` ends. */
  #waitMs: number
  #served = false
  /** Bytes of complete responses that the client has not taken. */
  #unsent = 0
  /** The client knows that it is to send no more requests; those that it sends are served. */
  #announced = false
  /** No stream begins any more. */
  #ending = false

  /** `client`: who it is by the PROXY protocol. `refusal`: it is one too many, and its first request has the response for this. */
  constructor(
    session: ServerHttp2Session,
    socket: Duplex,
    context: EngineContext,
    message: Engine["message"],
    client: ProxiedClient | undefined,
    refusal: ForwardErrorTag | undefined,
  ) {
    this.#session = session
    this.#socket = socket
    this.#context = context
    this.#message = message
    this.#refusal = refusal
    const peerAddress = addressOf(socket)
    this.#facts = {
      peerAddress,
      remoteAddress: client?.address ?? peerAddress,
      localPort: (socket as { readonly localPort?: number | undefined }).localPort ?? 0,
      encrypted: client?.encrypted === true || ("encrypted" in socket && socket.encrypted === true),
    }
    this.#isCovered = certificateNames(socket)
    const { limits, deadlines } = context
    this.#resets = new FrameBudget(limits.maxStreamResets)
    this.#controlFrames = new FrameBudget(limits.maxControlFrames)
    this.#waitMs = limits.headersTimeoutMs
    this.deadlineAt = deadlines.in(this.#waitMs)
    deadlines.add(this)
    if ("setNoDelay" in socket && typeof socket.setNoDelay === "function") socket.setNoDelay(true)
    session.on("stream", (stream, _headers, _flags, fields) => this.#guard(() => this.#onStream(stream, fields)))
    const onControlFrame = () => this.#spend(this.#controlFrames, "frames that ask for nothing")
    session.on("ping", onControlFrame)
    session.on("remoteSettings", onControlFrame)
    // Not in the types: PRIORITY, which RFC 9113 §5.3.2 keeps for being ignored.
    ;(session as NodeJS.EventEmitter).on("priority", onControlFrame)
    session.on("error", (cause) => {
      // A connection that breaks off is no event of its own.
      if (!isSystemError(cause)) reportError(context, "RequestMalformed", cause)
    })
    session.on("close", () => this.#onClose())
  }

  #onStream(stream: ServerHttp2Stream, fields: readonly string[]): void {
    if (stream.destroyed || stream.closed) {
      // It was reset before anybody heard of it.
      stream.on("error", () => undefined)
      this.#spend(this.#resets, "streams that were reset")
      return
    }
    this.deadlineAt = 0
    const head = streamHead(fields, this.#facts.encrypted ? "https" : "http", stream.endAfterHeaders)
    this.#streams.add(new StreamMessage(stream, this.#decided(head), this))
  }

  /** A head with the failure that this connection has for it. */
  #decided(head: StreamHead): StreamHead {
    const failure = this.#refusal ?? head.failure
    if (failure !== undefined) return { ...head, failure }
    const misdirected = head.authority !== undefined && !this.#isCovered(head.authority)
    return misdirected ? { ...head, failure: "Misdirected" } : head
  }

  take(head: StreamHead, sink: ResponseSink): RequestMessage {
    return this.#message(this.#facts, head, sink)
  }

  onResponded(stream: StreamMessage): void {
    const { deadlines, limits } = this.#context
    this.#unsent += stream.unsent
    stream.deadlineAt = deadlines.in(this.#unsent > MAX_UNSENT ? limits.unsentTimeoutMs : limits.upstreamIdleTimeoutMs)
    deadlines.add(stream)
    if (this.#refusal !== undefined) this.end()
    else if (this.#context.draining) this.#announceEnd()
  }

  onClosed(stream: StreamMessage, end: "complete" | "broken" | "client"): void {
    const { deadlines, limits, closing, lastRequestMs } = this.#context
    deadlines.remove(stream)
    this.#streams.delete(stream)
    this.#unsent -= stream.unsent
    if (end === "complete") {
      this.#resets.earn()
      this.#controlFrames.earn()
    } else if (end === "client" && !this.#ending) this.#spend(this.#resets, "streams that were reset")
    this.#served = true
    if (this.#streams.size > 0) return
    if (this.#session.destroyed) this.#ending = true
    this.#waitMs = this.#ending ? limits.lingerMs : closing ? lastRequestMs : limits.keepAliveTimeoutMs
    this.deadlineAt = deadlines.in(this.#waitMs)
  }

  #spend(budget: FrameBudget, of: string): void {
    if (budget.spend() || this.#session.destroyed) return
    this.#ending = true
    this.#session.destroy(new Error(`a client sent too many ${of}`), NGHTTP2_ENHANCE_YOUR_CALM)
    this.deadlineAt = this.#context.deadlines.in(this.#context.limits.lingerMs)
  }

  // ---- endings ------------------------------------------------------------------------------------------------------

  onDeadline(): void {
    if (this.#ending) this.#destroy()
    else this.end()
  }

  /** At once: a session that was destroyed still waits until its peer has read everything, or has ended its side. */
  #destroy(): void {
    this.#session.destroy()
    this.#socket.destroy()
  }

  closeIfIdle(ms: number): boolean {
    if (this.#streams.size > 0 || this.#ending) return false
    if (this.deadlineAt !== 0 && this.deadlineAt - this.#waitMs > performance.now() - ms) return false
    this.#destroy()
    this.#onClose()
    return true
  }

  drain(): void {
    const { deadlines, lastRequestMs } = this.#context
    if (lastRequestMs === 0 || (this.#served && this.#streams.size === 0)) {
      this.end()
      return
    }
    // What is on its way is served; then `end`.
    this.#announceEnd()
    if (this.#streams.size > 0) return
    this.#waitMs = lastRequestMs
    this.deadlineAt = deadlines.in(lastRequestMs)
  }

  /** Requests in flight are ended by the engine, each as its own message; what a client does not take of it is not waited for. */
  goAway(): void {
    this.end()
    this.deadlineAt = this.#context.deadlines.in(this.#context.limits.lingerMs)
  }

  #announceEnd(): void {
    if (this.#announced || this.#ending) return
    this.#announced = true
    this.#session.goaway(NGHTTP2_NO_ERROR, LAST_STREAM)
  }

  /** Lets the streams in flight finish, and then closes. */
  end(): void {
    if (this.#ending) return
    this.#ending = true
    const { deadlines, limits } = this.#context
    this.#session.close()
    this.#waitMs = limits.lingerMs
    this.deadlineAt = this.#streams.size > 0 ? 0 : deadlines.in(limits.lingerMs)
  }

  #onClose(): void {
    this.#context.deadlines.remove(this)
    removeConnection(this.#context, this)
  }

  #guard(run: () => void): void {
    try {
      run()
    } catch (cause) {
      reportError(this.#context, "ProxyFailed", cause)
      this.#destroy()
    }
  }
}

/** Of the socket, as ECONNRESET: its code is the system's. */
const isSystemError = (cause: unknown): boolean => cause instanceof Error && "syscall" in cause
