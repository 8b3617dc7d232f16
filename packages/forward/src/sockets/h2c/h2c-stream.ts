import type { ClientHttp2Stream } from "node:http2"
import type { HeaderList } from "../../header-list.ts"
import type { UpstreamUser } from "../connection/connection-handler.ts"
import type { OutgoingHead, RequestWriter, Upstream } from "../connection/upstream.ts"
import type { Limits } from "../contract/limits.ts"
import type { UpstreamAddress } from "../contract/upstream.ts"
import type { DeadlineScanner } from "../io/deadlines.ts"
import type { H2cSession } from "./session.ts"
import type { H2cSessions, StreamWaiter } from "./sessions.ts"
import { constants } from "node:http2"
import { headerValue } from "../../header-list.ts"
import { parseError } from "../../http1/parse-error.ts"
import { isGrpc } from "../../grpc-status.ts"
import { EventReader } from "./event-reader.ts"
import { requestFields, responseHead, trailerFields } from "./fields.ts"
import { plainResponse, webSocketHead } from "./own-heads.ts"
import { SentRequest } from "./sent-request.ts"
import { sendTrailers, watchReset } from "./stream-end.ts"

const { NGHTTP2_CANCEL, NGHTTP2_FLAG_END_STREAM, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_REFUSED_STREAM } = constants

/** Bytes of a request that may wait in a stream for an app that does not read. */
const HIGH_WATER = 65_536

/**
 * One request to an app that speaks HTTP/2, and its response: a stream on a connection that it shares with others. It is used for one
 * exchange only.
 */
export class H2cStream implements Upstream, RequestWriter, StreamWaiter {
  readonly origin: UpstreamAddress
  readonly reader = new EventReader()
  readonly writer = this
  deadlineAt = 0
  requests = 0
  connected = false
  closed = false
  uncounted = false
  user: UpstreamUser | undefined
  readonly #sessions: H2cSessions
  readonly #limits: Limits
  readonly #deadlines: DeadlineScanner
  readonly #onClosed: (upstream: Upstream) => void
  #session: H2cSession | undefined
  #stream: ClientHttp2Stream | undefined
  #head: OutgoingHead | undefined
  /** What was sent, for as long as it may have to be sent again. */
  #sent: SentRequest | undefined = new SentRequest()
  #retried = false
  #blocked = false
  #requestTrailers: HeaderList = []
  #responded = false
  #isGrpc = false
  #trailers: HeaderList | undefined
  #ended = false
  #interim = 0

  constructor(
    origin: UpstreamAddress,
    sessions: H2cSessions,
    limits: Limits,
    deadlines: DeadlineScanner,
    onClosed: (upstream: Upstream) => void,
  ) {
    this.origin = origin
    this.#sessions = sessions
    this.#limits = limits
    this.#deadlines = deadlines
    this.#onClosed = onClosed
  }

  /** Takes a place on a connection, or waits for one. False without one. Throws for an invalid address. */
  begin(): boolean {
    this.#session = this.#sessions.place(this.origin)
    this.connected = this.#session !== undefined
    if (!this.connected) {
      this.deadlineAt = this.#deadlines.in(this.#limits.connectTimeoutMs)
      if (!this.#sessions.wait(this)) return false
    }
    this.#deadlines.add(this)
    return true
  }

  onPlace(session: H2cSession): void {
    this.deadlineAt = 0
    this.#session = session
    if (this.connected) this.#open()
    else {
      this.connected = true
      this.#notify((user) => user.onUpstreamOpen())
    }
  }

  onNoPlace(cause: unknown): void {
    this.#close(cause)
  }

  /** The stream itself, once the request was sent on it. */
  get socket(): ClientHttp2Stream {
    return this.#stream!
  }

  // ---- the request --------------------------------------------------------------------------------------------------

  writeHead(head: OutgoingHead): void {
    this.requests++
    this.#head = head
    this.#open()
  }

  writePiece(bytes: Uint8Array): boolean {
    this.#keep(bytes)
    return this.#stream !== undefined && this.#write(this.#stream, bytes)
  }

  writeEnd(trailers: HeaderList): void {
    this.#requestTrailers = trailers
    if (this.#sent !== undefined) this.#sent.ended = true
    this.#stream?.end()
  }

  #keep(bytes: Uint8Array): void {
    // While there is no stream it is all there is of it.
    if (this.#sent?.add(bytes, this.#stream === undefined) === false) this.#sent = undefined
  }

  #write(stream: ClientHttp2Stream, bytes: Uint8Array): boolean {
    stream.write(bytes, () => {
      if (!this.#blocked || stream.writableLength >= HIGH_WATER || stream !== this.#stream) return
      this.#blocked = false
      this.#notify((user) => user.onUpstreamDrain())
    })
    if (stream.writableLength < HIGH_WATER) return true
    this.#blocked = true
    return false
  }

  #open(): void {
    const session = this.#session!
    const head = this.#head!
    if (head.upgrade && !session.takesWebSockets) {
      this.#respond(501, NO_WEBSOCKETS)
      return
    }
    let stream
    try {
      stream = session.request(requestFields(head, session.scheme), head.framing === 0 && !head.upgrade)
    } catch (cause) {
      const code = (cause as { code?: unknown }).code
      if (code === "ERR_HTTP2_HEADER_SINGLE_VALUE") this.#respond(400, TWICE)
      else if (!this.#again()) this.#close(cause)
      return
    }
    this.#stream = stream
    this.#listen(stream)
    const sent = this.#sent
    if (sent === undefined || sent.size === 0) {
      if (sent?.ended === true && head.framing !== 0) stream.end()
      return
    }
    this.#blocked = true
    for (const piece of sent.pieces) this.#write(stream, piece)
    if (sent.ended) stream.end()
  }

  // ---- the response -------------------------------------------------------------------------------------------------

  #listen(stream: ClientHttp2Stream): void {
    const { method } = this.#head!
    const { maxFields } = this.#limits
    const wasReset = watchReset(stream)
    const on =
      <A extends unknown[]>(listener: (...args: A) => void) =>
      (...args: A): void => {
        if (stream === this.#stream && !this.closed) listener(...args)
      }
    stream.on(
      "headers",
      on((_: unknown, __: unknown, raw: string[]) => {
        // Read no further than the engine does, which counts them, too.
        if (++this.#interim > this.#limits.maxInterim + 1) this.#break()
        else this.#add(responseHead(raw, { method, ended: false, maxFields }))
      }),
    )
    stream.on(
      "response",
      on((_: unknown, flags: number, raw: string[]) => {
        const ended = (flags & NGHTTP2_FLAG_END_STREAM) !== 0
        const head = responseHead(raw, { method, ended, maxFields })
        this.#responded = true
        this.#sent = undefined
        if (head.type === "head") this.#isGrpc = !ended && isGrpc(headerValue(head.headers, "content-type"))
        // After the head, so that no piece of the body is before it.
        stream.on(
          "data",
          on((bytes: Uint8Array) => this.#add({ type: "body", bytes })),
        )
        this.#ended = head.type === "head" && head.framing === 0
        this.#add(head.type === "head" && this.#head!.upgrade ? webSocketHead(head, this.#head!.headers) : head)
      }),
    )
    stream.on(
      "trailers",
      on((_: unknown, __: unknown, raw: string[]) => {
        const trailers = trailerFields(raw, maxFields)
        if ("type" in trailers) this.#add(trailers)
        else this.#trailers = trailers
      }),
    )
    stream.on(
      "end",
      on(() => {
        if (this.#head!.upgrade) this.#notify((user) => user.onUpstreamEnd())
        // Cut off by the app: `close` says so. So is a call of gRPC without its status.
        else if (this.#ended || wasReset() || (this.#isGrpc && this.#trailers === undefined)) return
        else {
          this.#ended = true
          this.#add({ type: "end", trailers: this.#trailers ?? [] })
        }
      }),
    )
    stream.on("wantTrailers", () => sendTrailers(stream, this.#requestTrailers))
    let cause: unknown
    stream.on("error", (error) => {
      cause = error
    })
    stream.on(
      "close",
      on(() => this.#onStreamClose(stream.rstCode, cause)),
    )
  }

  #add(event: Parameters<EventReader["add"]>[0]): void {
    this.reader.add(event)
    this.#notify((user) => user.onUpstreamData())
  }

  #onStreamClose(code: number, cause: unknown): void {
    if (code === NGHTTP2_REFUSED_STREAM && !this.#responded && this.#again()) return
    if (code === NGHTTP2_PROTOCOL_ERROR && !this.#ended)
      this.#add(parseError("UpstreamMalformed", "the app's HTTP/2 is invalid, or it said that ours is"))
    this.#close(cause ?? new Error(`the app reset the stream with code ${code}`))
  }

  /** Sends a request that the app has not looked at once more (RFC 9113 §8.7). False if it cannot be. */
  #again(): boolean {
    if (this.#retried || this.#sent === undefined) return false
    this.#retried = true
    this.#stream = undefined
    this.#releasePlace()
    const session = this.#sessions.place(this.origin)
    if (session === undefined) {
      this.deadlineAt = this.#deadlines.in(this.#limits.connectTimeoutMs)
      return this.#sessions.wait(this)
    }
    this.#session = session
    this.#open()
    return true
  }

  /** A response in the app's place, which is not asked. */
  #respond(status: number, text: string): void {
    const bytes = Buffer.from(text)
    this.#responded = true
    this.#ended = true
    // RFC 9110 §9.3.2: of a HEAD only the head; a body would be read as the beginning of the next response.
    const hasBody = this.#head!.method !== "HEAD"
    this.reader.add(plainResponse(status, bytes.length, hasBody))
    if (hasBody) {
      this.reader.add({ type: "body", bytes })
      this.reader.add({ type: "end", trailers: [] })
    }
    // Whoever sends the request is not to find it responded to before it is sent.
    queueMicrotask(() => this.#notify((user) => user.onUpstreamData()))
  }

  // ---- the end ------------------------------------------------------------------------------------------------------

  onDeadline(): void {
    this.destroy(Object.assign(new Error("no place on a connection in time"), { code: "ETIMEDOUT" }))
  }

  destroy(cause?: unknown): void {
    this.#close(cause)
  }

  #break(): void {
    this.#add(parseError("UpstreamMalformed", "too many interim responses"))
  }

  #close(cause: unknown): void {
    if (this.closed) return
    this.closed = true
    this.#sent = undefined
    this.#deadlines.remove(this)
    this.#sessions.leave(this)
    this.#cancel()
    this.#releasePlace()
    this.#onClosed(this)
    this.#notify((user) => {
      this.user = undefined
      user.onUpstreamClose(this.connected, cause)
    })
  }

  /** Tells the app that nobody waits any more, and throws away what still comes. */
  #cancel(): void {
    const stream = this.#stream
    if (stream === undefined || stream.destroyed) return
    if (!stream.closed) stream.close(NGHTTP2_CANCEL)
    stream.resume()
  }

  #releasePlace(): void {
    const session = this.#session
    this.#session = undefined
    session?.release()
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

const NO_WEBSOCKETS =
  "The app on this port speaks HTTP/2 without WebSockets (RFC 8441). Set the port's protocol to http, or use another port.\n"
const TWICE = "A field that may be there only once is there twice, which HTTP/2 to the app cannot carry.\n"
