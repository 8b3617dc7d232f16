import type { BodyRange, MessageEnd, RequestHead } from "../../http1/head.ts"
import type { ClientConnection } from "../connection/client-connection.ts"
import type { Upstream } from "../connection/upstream.ts"
import type { ForwardDirective } from "../contract/decision.ts"
import type { ExchangeRecord } from "./exchange-record.ts"
import { lastChunkText, requestHeadText } from "../../http1/write.ts"
import { endToEndTrailers } from "../../trailers.ts"
import { flushed, writePiece } from "../io/write.ts"
import { BodyRate } from "./body-rate.ts"
import { oneHopLess } from "./max-forwards.ts"

/** A request on its way to an app: its head, then the pieces of its body, at the app's pace. */
export class RequestBodyPump {
  /** True when all of the request has come from the client. */
  complete: boolean
  /** True once any of the body was passed on: then the request cannot be sent again. */
  started = false
  /** True while the app does not read: the client is to wait. */
  blocked = false
  readonly #connection: ClientConnection
  readonly #head: RequestHead | undefined
  readonly #record: ExchangeRecord
  #upstream: Upstream | undefined
  #continued = false
  /** Made where the body must keep to a rate. */
  #rate: BodyRate | undefined

  constructor(connection: ClientConnection, head: RequestHead | undefined, record: ExchangeRecord) {
    this.#connection = connection
    this.#head = head
    this.#record = record
    this.complete = head === undefined || head.framing === 0
  }

  /**
   * How long the next piece of the body may take, in ms, while somebody waits for it; 0: without limit. `minBodyRate`: the slowest that
   * it may come, in bytes a second, and `bodyIdleTimeoutMs`, instead of the limits.
   */
  timeLeft({ minBodyRate, bodyIdleTimeoutMs }: Pick<ForwardDirective, "minBodyRate" | "bodyIdleTimeoutMs">): number {
    const { limits, deadlines } = this.#connection.context
    const idle = this.blocked ? limits.bodyIdleTimeoutMs : (bodyIdleTimeoutMs ?? limits.bodyIdleTimeoutMs)
    const min = minBodyRate ?? limits.minBodyRate
    if (min === 0 || this.blocked) return idle
    const rate = (this.#rate ??= new BodyRate(min, limits.minBodyRateGraceMs))
    const left = rate.left(this.#record.bytesIn, deadlines.stalledMs)
    rate.isNext = left < (idle || Infinity)
    // 0 would be no time-out.
    return rate.isNext ? Math.max(left, 1) : idle
  }

  /** Nobody waits for the body until the next `timeLeft`. */
  pause(): void {
    this.#rate?.pause()
  }

  /** After `timeLeft`: the slowest rate, if that is what the body did not keep to; 0 if it was only that the process stood still. */
  missedRate(): number | undefined {
    const rate = this.#rate
    if (rate?.isNext !== true) return undefined
    return rate.left(this.#record.bytesIn, this.#connection.context.deadlines.stalledMs) > 0 ? 0 : rate.min
  }

  /** True from the head until the connection to the app is given up: then the next piece has a place to go. */
  get open(): boolean {
    return this.#upstream !== undefined
  }

  /** Sends the head, together with what has already come of the body. */
  sendHead(upstream: Upstream, directive: ForwardDirective, first: BodyRange | MessageEnd | undefined): void {
    const head = this.#head!
    this.#upstream = upstream
    const { method, framing, upgrade } = head
    const target = directive.target ?? head.target
    const headers = method === "OPTIONS" ? oneHopLess(directive.headers) : directive.headers
    if (upstream.writer !== undefined) {
      upstream.writer.writeHead({ method, target, headers, framing, upgrade })
      if (first !== undefined) this.pass(first)
      return
    }
    upstream.requests++
    upstream.reader.expect(method)
    const text = requestHeadText(method, target, headers, framing === 0 ? "none" : framing)
    if (first === undefined) upstream.socket.write(text, "latin1")
    else this.pass(first, text)
  }

  /** Counts one piece of a body that somebody here reads. */
  count(event: BodyRange | MessageEnd): void {
    if (event.type === "body") this.#record.bytesIn += event.bytes.length
    else this.complete = true
  }

  /** Passes one piece on, after `before`. */
  pass(event: BodyRange | MessageEnd, before = ""): void {
    const upstream = this.#upstream!
    const { writer } = upstream
    const chunked = this.#head!.framing === "chunked"
    this.started = true
    let more = true
    if (event.type === "body") {
      this.#record.bytesIn += event.bytes.length
      more = writer?.writePiece(event.bytes) ?? writePiece(upstream.socket, before, event.bytes, chunked)
    } else {
      this.complete = true
      const trailers = chunked ? endToEndTrailers(event.trailers, this.#connection.context.headerNames) : []
      const text = chunked ? before + lastChunkText(trailers) : before
      if (writer !== undefined) writer.writeEnd(trailers)
      else if (text !== "") more = flushed(upstream.socket, upstream.socket.write(text, "latin1"))
    }
    if (more) return
    this.blocked = true
    this.#rate?.pause()
    this.#connection.pause()
  }

  /** Skips what has come of a body that nobody reads: it costs nothing, and spares the connection. Whether that was all of it. */
  skip(): boolean {
    if (!this.complete) this.complete = this.#connection.skipBody()
    return this.complete
  }

  /** The connection to the app is gone or given up. */
  close(): void {
    this.#upstream = undefined
    this.blocked = false
    this.#rate?.pause()
  }

  /** True while the app, if nobody else reads the body, is to say whether it wants it (RFC 9110 §10.1.1). */
  get awaitsContinue(): boolean {
    return this.#head?.expect === true && !this.#continued && !this.started
  }

  /** Sends the `100 Continue` that the client waits for, once. */
  sendContinue(): void {
    if (this.#head?.expect !== true || this.#continued) return
    this.#continued = true
    this.#connection.socket.write("HTTP/1.1 100 Continue\r\n\r\n", "latin1")
  }
}
