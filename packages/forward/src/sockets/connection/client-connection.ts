import type { Duplex } from "node:stream"
import type { ForwardErrorTag } from "../../error-rows.ts"
import type { BodyRange, MessageEnd } from "../../http1/head.ts"
import type { ParseError } from "../../http1/parse-error.ts"
import type { RequestReader } from "../../http1/request-reader.ts"
import type { HopHeaderNames } from "../../header-names.ts"
import type { Limits, EngineOptions } from "../contract/contract.ts"
import type { UpstreamPools } from "./upstream-pool.ts"
import type { Timed, DeadlineScanner } from "../io/deadlines.ts"
import { requestReader } from "../../http1/request-reader.ts"
import { Exchange } from "../exchange/exchange.ts"
import { endAndDestroy, isFull, reset } from "../io/write.ts"

/** What the connections of one engine share. */
export interface EngineContext {
  readonly options: EngineOptions
  readonly limits: Limits
  readonly names: HopHeaderNames
  readonly wheel: DeadlineScanner
  readonly pools: UpstreamPools
  readonly open: Set<ClientConnection>
  draining: boolean
  /** Called when the last connection has closed. */
  emptied: (() => void) | undefined
}

/** Who has a client's connection at the moment: an exchange, or the tunnel it became. */
export interface ConnectionHandler {
  /** Whether it wants the next piece of its request's body now. */
  readonly wantsBody: boolean
  /** Whether the client is to wait with it, because what it sent before is not taken yet. */
  readonly blocked: boolean
  onBody(event: BodyRange | MessageEnd | ParseError): void
  /** Octets after the end of HTTP; only a tunnel takes them. False when there is no tunnel. */
  onOctets(bytes: Uint8Array): boolean
  onClientDrain(): void
  onClientEnd(): void
  onClientClose(): void
  /** The engine stops and waits no longer. */
  onGoingAway(): void
  onDeadline(): void
}

/** Read ahead from a client while nobody wants it, in octets; the socket is paused above. */
const READ_AHEAD = 65_536

/**
 * One connection from a client. Requests are read one at a time: the next one stays unread until the answer to this one is
 * complete, which keeps pipelined answers in order and has each request judged by its own head.
 */
export class ClientConnection implements Timed {
  dueAt: number
  readonly socket: Duplex
  readonly shared: EngineContext
  /** Read at once: a socket that closed no longer knows. */
  readonly remoteAddress: string
  /** True after the client's FIN. */
  ended = false
  closed = false
  readonly #reader: RequestReader
  #occupant: ConnectionHandler | undefined
  #pumping = false
  #paused = false
  /** True once the first octet of a head has come. */
  #begun = false
  /** Our side is ended; what still comes in is thrown away, so that the client can read the answer (RFC 9112 §9.6). */
  #lingering = false

  constructor(socket: Duplex, shared: EngineContext) {
    this.socket = socket
    this.shared = shared
    this.remoteAddress =
      "remoteAddress" in socket && typeof socket.remoteAddress === "string" ? socket.remoteAddress : ""
    this.#reader = requestReader(shared.limits)
    // The caller's server may have been made without it; a client's FIN is not the end of its answer.
    socket.allowHalfOpen = true
    if ("setNoDelay" in socket && typeof socket.setNoDelay === "function") socket.setNoDelay(true)
    this.dueAt = shared.wheel.in(shared.limits.headersTimeoutMs)
    shared.wheel.add(this)
    socket.on("data", (bytes: Buffer) => {
      try {
        this.#onData(bytes)
      } catch (cause) {
        this.fault(cause)
      }
    })
    socket.on("end", () => this.guard(() => this.#onEnd()))
    socket.on("drain", () =>
      this.guard(() => {
        if (this.#occupant === undefined) this.pump()
        else this.#occupant.onClientDrain()
      }),
    )
    socket.on("error", () => undefined)
    socket.on("close", () => this.guard(() => this.#onClose()))
  }

  #onData(bytes: Buffer): void {
    if (this.#lingering || this.#occupant?.onOctets(bytes) === true) return
    this.#reader.push(bytes)
    this.pump()
  }

  /** Reads as much of what the client sent as somebody wants. */
  pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (!this.#lingering && !this.closed && this.#step()) continue
    } finally {
      this.#pumping = false
    }
    const occupant = this.#occupant
    if (occupant === undefined && this.ended && !isFull(this.socket)) {
      // All that the client had to say is answered; a beginning of more never becomes a request.
      this.end()
      return
    }
    // Paused while there is enough to read and nobody reads; otherwise the socket tells us when the client leaves. A head
    // that is not complete is bounded by the reader.
    const unread = this.#reader.buffered >= READ_AHEAD && (occupant !== undefined || isFull(this.socket))
    if (unread || occupant?.blocked === true) this.pause()
    else if (occupant === undefined || occupant.wantsBody || this.#reader.buffered === 0) this.resume()
  }

  /** One event; false when none is wanted or at hand. */
  #step(): boolean {
    const occupant = this.#occupant
    if (occupant !== undefined) {
      if (!occupant.wantsBody) return false
      const event = this.#reader.read()
      if (event === undefined || event.type === "head") return false
      occupant.onBody(event)
      return true
    }
    // Who pipelines and does not read would have us keep one answer after another.
    if (isFull(this.socket)) return false
    const event = this.#reader.read()
    if (event === undefined) {
      if (!this.#begun && this.#reader.buffered > 0) {
        this.#begun = true
        this.dueAt = this.shared.wheel.in(this.shared.limits.headersTimeoutMs)
      }
      return false
    }
    this.#begun = true
    this.dueAt = 0
    if (event.type === "head") {
      const exchange = new Exchange(this, event)
      this.#occupant = exchange
      exchange.begin()
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

  /** What came after a handshake, before the answer to it. */
  takeEarly(): Uint8Array {
    return this.#reader.rest()
  }

  /** A handshake succeeded: another one has the connection from here on. */
  handOver(occupant: ConnectionHandler): void {
    this.#occupant = occupant
  }

  /** The exchange is over and its answer written. `close`: the connection is of no further use. */
  next(close: boolean): void {
    this.#occupant = undefined
    if (close || this.shared.draining || (this.ended && this.#reader.buffered === 0)) {
      this.end()
      return
    }
    this.#begun = false
    this.dueAt = this.shared.wheel.in(this.shared.limits.keepAliveTimeoutMs)
    if (this.#paused || this.#reader.buffered > 0) this.pump()
  }

  /** What is no request. There is no exchange to tell of; the client gets the answer and the connection ends. */
  #refuse(tag: ForwardErrorTag, reason: string): void {
    this.trouble(tag, new Error(reason))
    const exchange = new Exchange(this, undefined)
    this.#occupant = exchange
    exchange.fail(tag)
  }

  #onEnd(): void {
    this.ended = true
    this.#reader.end()
    if (this.#lingering) endAndDestroy(this.socket)
    else if (this.#occupant !== undefined) this.#occupant.onClientEnd()
    else this.pump()
  }

  #onClose(): void {
    if (this.closed) return
    this.closed = true
    const { shared } = this
    shared.open.delete(this)
    shared.wheel.remove(this)
    this.#occupant?.onClientClose()
    this.#occupant = undefined
    if (shared.open.size === 0) shared.emptied?.()
  }

  onDue(): void {
    this.guard(() => {
      if (this.#occupant !== undefined) this.#occupant.onDeadline()
      else if (this.#lingering || this.ended) this.socket.destroy()
      else if (this.#begun) this.#refuse("RequestTimeout", "the head took too long")
      else this.end()
    })
  }

  /** Takes no further request; an idle connection closes at once. */
  drain(): void {
    if (this.#occupant === undefined && !this.#begun && !this.#lingering) this.end()
  }

  /** Ends what drain waited for: a WebSocket is told, an unfinished answer must not look finished. */
  goAway(): void {
    this.guard(() => {
      if (this.#occupant === undefined) this.socket.destroy()
      else this.#occupant.onGoingAway()
    })
  }

  /** Ends our side, then waits for the client's, so that what it sends meanwhile does not reset the answer away. */
  end(): void {
    if (this.#lingering || this.closed) return
    this.#lingering = true
    const { wheel, limits } = this.shared
    // The rest of the answer may still take its time to a slow client; only then the waiting begins.
    this.dueAt = wheel.in(limits.upstreamIdleTimeoutMs)
    if (this.ended) {
      endAndDestroy(this.socket)
      return
    }
    this.socket.end(() => {
      this.dueAt = wheel.in(limits.lingerMs)
    })
    this.resume()
  }

  /** The answer cannot be completed: the client must see a failure, so no clean end. */
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

  trouble(tag: ForwardErrorTag, cause: unknown): void {
    try {
      this.shared.options.onEvent?.({ type: "trouble", tag, cause })
    } catch {
      // A log that fails must not fail the request.
    }
  }

  /** One connection's failure is its own: whatever a peer makes us throw ends here. */
  fault(cause: unknown): void {
    this.trouble("ProxyFailed", cause)
    this.socket.destroy()
  }

  guard(run: () => void): void {
    try {
      run()
    } catch (cause) {
      this.fault(cause)
    }
  }
}
