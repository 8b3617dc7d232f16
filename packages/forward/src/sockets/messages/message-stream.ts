import { Duplex } from "node:stream"
import type { HeaderList } from "../../header-list.ts"
import type { ResponseHead } from "../../http1/head.ts"
import type { ResponseReader } from "../../http1/response-reader.ts"
import type { MessageConnection, RequestMessage, ResponseSink } from "../contract/message.ts"
import type { HeadText } from "./head-text.ts"
import { fieldsProblem } from "../../field-syntax.ts"
import { responseReader } from "../../http1/response-reader.ts"
import { lastChunkText } from "../../http1/write.ts"
import { endToEndFields } from "./response-fields.ts"

/** Read ahead of a request's body while nobody takes it, in bytes. The engine's connection has more of its own. */
const HIGH_WATER = 16_384
/** Up to this many bytes, copying a piece of a body into its chunk is cheaper than one more push. */
const SMALL = 4_096

/** What is read here our own engine wrote: within the limits of apps' responses, and with what it adds to them. */
const UNLIMITED = { maxResponseHead: Infinity, maxFields: Infinity, maxChunkOverhead: Infinity }

/** Nothing but interim responses has come. */
const AWAITING = 0
/** The final response has begun. */
const RESPONDING = 1
/** After a 101: bytes in both directions. */
const TUNNEL = 2
/** The response is complete. */
const COMPLETE = 3
/** The client is gone, or was shown that the response broke off. */
const BROKEN = 4

type Done = (error?: Error | null) => void

/**
 * One request and its response as a connection of HTTP/1.1 of their own, which the engine serves like any other: what it reads is
 * the request as text, and what it writes is read by the parser of responses and given to a sink.
 */
export class MessageStream extends Duplex implements RequestMessage {
  /** What the engine reads of a socket. */
  readonly remoteAddress: string
  readonly localPort: number
  readonly encrypted: boolean
  readonly #sink: ResponseSink
  readonly #reader: ResponseReader
  readonly #onError: (cause: unknown) => void
  readonly #head: HeadText | undefined
  #state = AWAITING
  /** Bytes that are still to come of a body with a length. */
  #left: number
  /** True while the line end after a chunk is not passed on yet. */
  #chunkOpen = false
  #requestComplete = false
  /** True from a `receive` that gave false until `wanted`. */
  #full = false
  /** Called when the sink has room again. */
  #onDrained: Done | undefined

  /** Without a head the engine reads nothing: it responds that it could not. `onError`: called with what the sink threw. */
  constructor(
    { peerAddress, localPort, encrypted }: MessageConnection,
    method: string,
    head: HeadText | undefined,
    sink: ResponseSink,
    onError: (cause: unknown) => void,
  ) {
    super({ readableHighWaterMark: HIGH_WATER, writableHighWaterMark: HIGH_WATER })
    this.remoteAddress = peerAddress
    this.localPort = localPort
    this.encrypted = encrypted
    this.#head = head
    this.#left = typeof head?.framing === "number" ? head.framing : 0
    this.#sink = sink
    this.#onError = onError
    this.#reader = responseReader(UNLIMITED)
    this.#reader.expect(method)
    if (head !== undefined) this.push(head.text, "latin1")
  }

  // ---- the request --------------------------------------------------------------------------------------------------

  get waiting(): number {
    return this.readableLength
  }

  receive(bytes: Uint8Array): boolean {
    if (this.#requestComplete || this.#head === undefined || this.#state >= COMPLETE || bytes.length === 0) return true
    const { framing, upgrade } = this.#head
    if (framing === "chunked") this.#full = !this.#pushChunk(bytes)
    else if (upgrade) this.#full = !this.push(bytes)
    else if (bytes.length > this.#left) {
      // Beyond the body another request would begin.
      this.#requestComplete = true
      this.destroy()
      return true
    } else {
      this.#left -= bytes.length
      this.#full = !this.push(bytes)
    }
    return !this.#full
  }

  #pushChunk(bytes: Uint8Array): boolean {
    const before = `${this.#chunkOpen ? "\r\n" : ""}${bytes.length.toString(16)}\r\n`
    this.#chunkOpen = true
    if (bytes.length > SMALL) {
      this.push(before, "latin1")
      return this.push(bytes)
    }
    const chunk = Buffer.allocUnsafe(before.length + bytes.length)
    chunk.write(before, 0, "latin1")
    chunk.set(bytes, before.length)
    return this.push(chunk)
  }

  complete(trailers: HeaderList = []): void {
    if (this.#requestComplete || this.#head === undefined || this.#state >= COMPLETE) return
    this.#requestComplete = true
    const { framing, upgrade } = this.#head
    if (framing === "chunked") {
      if (fieldsProblem(trailers) === undefined)
        this.push((this.#chunkOpen ? "\r\n" : "") + lastChunkText(trailers), "latin1")
      else this.destroy()
    } else if (upgrade || this.#left > 0) {
      // A body that ends early is refused; the end of a request that is complete would look like a client that leaves.
      this.push(null)
    }
  }

  abort(): void {
    if (this.#state < BROKEN) this.#state = BROKEN
    this.destroy()
  }

  override _read(): void {
    if (!this.#full) return
    this.#full = false
    this.#sink.wanted()
  }

  // ---- the response -------------------------------------------------------------------------------------------------

  override _write(bytes: Uint8Array, _encoding: string, done: Done): void {
    let room = true
    try {
      if (this.#state === TUNNEL) room = bytes.length === 0 || this.#sink.body(bytes)
      else if (this.#state < COMPLETE) {
        this.#reader.push(bytes)
        room = this.#read()
      }
    } catch (cause) {
      this.#fail(cause)
    }
    if (room) done()
    else this.#onDrained = done
  }

  /** Gives the sink what has come. False when it is to have no more for the moment. */
  #read(): boolean {
    let room = true
    for (let event = this.#reader.read(); event !== undefined; event = this.#reader.read()) {
      if (event.type === "body") room = this.#sink.body(event.bytes)
      else if (event.type === "end") {
        this.#state = COMPLETE
        this.#sink.end(event.trailers)
      } else if (event.type === "refusal") throw new Error(event.reason)
      else if (event.status === 101) return this.#openTunnel(event)
      else {
        const head = { status: event.status, reason: event.reason, headers: endToEndFields(event.headers) }
        if (event.status < 200) this.#sink.interim(head)
        else {
          this.#state = event.framing === 0 ? COMPLETE : RESPONDING
          this.#sink.head(head, event.framing === 0)
        }
      }
      if (this.#state >= COMPLETE) break
    }
    return room
  }

  #openTunnel({ status, reason, headers }: ResponseHead): boolean {
    this.#state = TUNNEL
    this.#sink.head({ status, reason, headers }, false)
    const early = this.#reader.rest()
    return early.length === 0 || this.#sink.body(early)
  }

  drained(): void {
    const done = this.#onDrained
    this.#onDrained = undefined
    done?.()
  }

  override _final(done: Done): void {
    try {
      if (this.#state === TUNNEL) this.#sink.end([])
      else {
        this.#reader.end()
        if (this.#state < COMPLETE) this.#read()
        // Nothing lingers here: the sink has the response, whatever the client still sends.
        this.destroy()
      }
    } catch (cause) {
      this.#fail(cause)
    }
    done()
  }

  override _destroy(_error: Error | null, done: Done): void {
    const broken = this.#state < TUNNEL || (this.#state === TUNNEL && !(this.readableEnded && this.writableFinished))
    this.#state = Math.max(this.#state, COMPLETE)
    try {
      if (broken) this.#sink.reset()
    } catch (cause) {
      this.#onError(cause)
    }
    done()
  }

  #fail(cause: unknown): void {
    this.#onError(cause)
    this.destroy()
  }
}
