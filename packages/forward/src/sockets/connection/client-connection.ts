import type { Duplex } from "node:stream"
import type { ForwardErrorTag } from "../../error-rows.ts"
import type { BodyRange, MessageEnd, RequestHead } from "../../http1/head.ts"
import type { HeaderList } from "../../header-list.ts"
import type { ParseError } from "../../http1/parse-error.ts"
import type { RequestReader } from "../../http1/request-reader.ts"
import type { HasDeadline } from "../io/deadlines.ts"
import type { ConnectionHandler, ExchangeHandler } from "./connection-handler.ts"
import type { ProxiedClient } from "../proxy-protocol/proxy-header.ts"
import type { EngineContext, OpenConnection } from "./engine-context.ts"
import { readableFields } from "../../http1/readable-fields.ts"
import { requestReader } from "../../http1/request-reader.ts"
import { endAndDestroy, isFull, reset } from "../io/write.ts"
import { removeConnection, reportError } from "./engine-context.ts"

/** Makes the handler of a request; without a head for what could not be understood as one. */
export type NewExchange = (connection: ClientConnection, head: RequestHead | undefined) => ExchangeHandler

const nothing: HeaderList = []

/** Read ahead from a client while nobody takes it, in bytes; above it the socket is paused. */
const READ_AHEAD = 65_536

/**
 * One connection from a client. Requests are read one at a time: the next one stays unread until the response to this one is
 * complete, which keeps pipelined responses in order and has each request decided by its own head.
 */
export class ClientConnection implements HasDeadline, OpenConnection {
  deadlineAt: number
  readonly socket: Duplex
  readonly context: EngineContext
  readonly remoteAddress: string
  readonly peerAddress: string
  readonly encrypted: boolean
  /** True after the client's FIN. */
  ended = false
  closed = false
  /** Why no request of it reaches the host, where that is known before it comes. */
  failure: ForwardErrorTag | undefined
  /** What was understood of a head that could not be read. */
  unread: HeaderList = nothing
  readonly #newExchange: NewExchange
  readonly #reader: RequestReader
  #handler: ConnectionHandler | undefined
  #pumping = false
  #paused = false
  /** True once a request has had its response. */
  #served = false
  /** True once the first byte of a head has come. */
  #headStarted = false
  /** Our side is ended; what still comes in is thrown away, so that the client can read the response (RFC 9112 §9.6). */
  #lingering = false
  /** How long the wait for a head may take that `deadlineAt` ends. */
  #waitMs: number

  /** `client`: who it is by the PROXY protocol. */
  constructor(socket: Duplex, context: EngineContext, newExchange: NewExchange, client?: ProxiedClient) {
    this.socket = socket
    this.context = context
    this.#newExchange = newExchange
    this.peerAddress = addressOf(socket)
    this.remoteAddress = client?.address ?? this.peerAddress
    this.encrypted = client?.encrypted === true || ("encrypted" in socket && socket.encrypted === true)
    this.#reader = requestReader(context.limits)
    // The caller's server may have been made without it; a client's FIN is not the end of its response.
    socket.allowHalfOpen = true
    if ("setNoDelay" in socket && typeof socket.setNoDelay === "function") socket.setNoDelay(true)
    this.#waitMs = context.limits.headersTimeoutMs
    this.deadlineAt = context.deadlines.in(this.#waitMs)
    context.deadlines.add(this)
    socket.on("data", (bytes: Buffer) => {
      try {
        this.#onData(bytes)
      } catch (cause) {
        this.onInternalError(cause)
      }
    })
    socket.on("end", () => this.guard(() => this.#onEnd()))
    socket.on("drain", () =>
      this.guard(() => {
        if (this.#handler === undefined) this.pump()
        else this.#handler.onClientDrain()
      }),
    )
    socket.on("error", () => undefined)
    socket.on("close", () => this.guard(() => this.#onClose()))
  }

  #onData(bytes: Buffer): void {
    if (this.#lingering || this.#handler?.onBytes(bytes) === true) return
    this.#reader.push(bytes)
    this.pump()
  }

  /** Reads as much of what the client sent as somebody takes. */
  pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (!this.#lingering && !this.closed && this.#readEvent()) continue
    } finally {
      this.#pumping = false
    }
    const handler = this.#handler
    if (handler === undefined && this.ended && !isFull(this.socket)) {
      // Every request of the client has its response; a beginning of one more never becomes a request.
      this.end()
      return
    }
    // Paused while there is enough to read and nobody reads; otherwise the socket reports when the client leaves. A head that
    // is not complete is limited by the reader.
    const unread = this.#reader.buffered >= READ_AHEAD && (handler !== undefined || isFull(this.socket))
    if (unread || handler?.blocked === true) this.pause()
    else if (handler === undefined || handler.wantsBody || this.#reader.buffered === 0) this.resume()
  }

  /** False when nobody takes the next event or there is none. */
  #readEvent(): boolean {
    const handler = this.#handler
    if (handler !== undefined) {
      if (!handler.wantsBody) return false
      const event = this.#reader.read()
      if (event === undefined || event.type === "head") return false
      handler.onBody(event)
      return true
    }
    // A client that pipelines and does not read would have us hold one response after another.
    if (isFull(this.socket)) return false
    const event = this.#reader.read()
    if (event === undefined) {
      if (!this.#headStarted && this.#reader.buffered > 0) {
        this.#headStarted = true
        this.deadlineAt = this.context.deadlines.in(this.context.limits.headersTimeoutMs)
      }
      return false
    }
    this.#headStarted = true
    this.deadlineAt = 0
    if (event.type === "head") {
      const exchange = this.#newExchange(this, event)
      this.#handler = exchange
      if (this.failure === undefined) exchange.begin()
      else exchange.fail(this.failure)
    } else if (event.type === "refusal") this.#refuse(event.tag, event.reason)
    return true
  }

  /** Skips the request's body as far as it has come. True when that was all of it. */
  skipBody(): boolean {
    for (let event = this.#reader.read(); event !== undefined; event = this.#reader.read()) {
      if (event.type !== "body") return event.type === "end"
    }
    return false
  }

  /** A piece of the request's body that has come already. */
  readBody(): BodyRange | MessageEnd | ParseError | undefined {
    const event = this.#reader.read()
    return event?.type === "head" ? undefined : event
  }

  /** What came after a handshake, before the response to it. */
  readRest(): Uint8Array {
    return this.#reader.rest()
  }

  /** A handshake succeeded: another handler has the connection from here on. */
  setHandler(handler: ConnectionHandler): void {
    this.#handler = handler
  }

  /** The exchange is over and its response written. `close`: the connection is of no further use. */
  next(close: boolean): void {
    this.#handler = undefined
    const { deadlines, limits, closing, lastRequestMs } = this.context
    if (close || (closing && lastRequestMs === 0) || (this.ended && this.#reader.buffered === 0)) {
      this.end()
      return
    }
    this.#served = true
    this.#headStarted = false
    // Of a response that began before the drain the client knows nothing of our end.
    this.#waitMs = closing ? lastRequestMs : limits.keepAliveTimeoutMs
    this.deadlineAt = deadlines.in(this.#waitMs)
    if (this.#paused || this.#reader.buffered > 0) this.pump()
  }

  /** What is no request makes no request event; the client gets the response and the connection ends. */
  #refuse(tag: ForwardErrorTag, reason: string): void {
    this.reportError(tag, new Error(reason))
    this.unread = readableFields(this.#reader.rest())
    this.refuse(tag)
  }

  /** Responds with a failure to whatever the client sends, and ends the connection. */
  refuse(tag: ForwardErrorTag): void {
    const exchange = this.#newExchange(this, undefined)
    this.#handler = exchange
    exchange.fail(tag)
  }

  #onEnd(): void {
    this.ended = true
    this.#reader.end()
    if (this.#lingering) endAndDestroy(this.socket)
    else if (this.#handler !== undefined) this.#handler.onClientEnd()
    else this.pump()
  }

  #onClose(): void {
    if (this.closed) return
    this.closed = true
    const { context } = this
    context.deadlines.remove(this)
    try {
      this.#handler?.onClientClose()
      this.#handler = undefined
    } finally {
      removeConnection(context, this)
    }
  }

  onDeadline(): void {
    this.guard(() => {
      if (this.#handler !== undefined) this.#handler.onDeadline()
      else if (this.#lingering || this.ended) this.socket.destroy()
      else if (this.#headStarted) this.#refuse("RequestTimeout", "the head took too long")
      else this.end()
    })
  }

  /** Closes it for the sake of another client if nothing of a request has come for so long, in ms. */
  closeIfIdle(ms: number): boolean {
    if (this.#handler !== undefined || this.#headStarted || this.#lingering) return false
    if (this.deadlineAt !== 0 && this.deadlineAt - this.#waitMs > performance.now() - ms) return false
    this.socket.destroy()
    // Not only with its event: the place is needed now.
    this.guard(() => this.#onClose())
    return true
  }

  drain(): void {
    if (this.#handler !== undefined || this.#headStarted || this.#lingering) return
    const { deadlines, lastRequestMs } = this.context
    if (this.#served || lastRequestMs === 0) {
      this.end()
      return
    }
    this.#waitMs = lastRequestMs
    this.deadlineAt = deadlines.in(lastRequestMs)
  }

  goAway(): void {
    this.guard(() => {
      if (this.#handler === undefined) this.socket.destroy()
      else this.#handler.onGoingAway()
    })
  }

  withdraw(): void {
    this.guard(() => this.#handler?.fail("AccessWithdrawn"))
  }

  /** Ends our side, then waits for the client's, so that what it sends meanwhile does not reset the response away. */
  end(): void {
    if (this.#lingering || this.closed) return
    this.#lingering = true
    const { deadlines, limits } = this.context
    // The rest of the response may still take its time to a slow client; only then the linger time begins.
    this.deadlineAt = deadlines.in(limits.upstreamIdleTimeoutMs)
    if (this.ended) {
      endAndDestroy(this.socket)
      return
    }
    this.socket.end(() => {
      this.deadlineAt = deadlines.in(limits.lingerMs)
    })
    this.resume()
  }

  /** The response cannot be completed: the client must see a failure, so no clean end. */
  abort(): void {
    this.#lingering = true
    reset(this.socket)
  }

  pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.socket.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.socket.resume()
  }

  reportError(tag: ForwardErrorTag, cause: unknown): void {
    reportError(this.context, tag, cause)
  }

  /** An error in our own code ends its own connection and no other. */
  onInternalError(cause: unknown): void {
    this.reportError("ProxyFailed", cause)
    this.socket.destroy()
  }

  guard(run: () => void): void {
    try {
      run()
    } catch (cause) {
      this.onInternalError(cause)
    }
  }
}

/** Read at once: a socket that closed no longer knows. */
export const addressOf = (socket: Duplex): string =>
  "remoteAddress" in socket && typeof socket.remoteAddress === "string" ? socket.remoteAddress : ""
