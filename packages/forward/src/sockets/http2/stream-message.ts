import { constants } from "node:http2"
import type { ServerHttp2Stream } from "node:http2"
import type { HeaderList } from "../../header-list.ts"
import type { RequestMessage, ResponseMessageHead, ResponseSink } from "../contract/message.ts"
import type { HasDeadline } from "../io/deadlines.ts"
import type { StreamHead } from "./stream-head.ts"
import { headerValue } from "../../header-list.ts"
import { streamFields, webSocketFields } from "./stream-fields.ts"

const { NGHTTP2_NO_ERROR } = constants

/** The connection of a stream. */
export interface StreamOwner {
  /** Has the engine take the request. */
  take(head: StreamHead, sink: ResponseSink): RequestMessage
  /** The response is complete, but for what the client has not taken yet: it has the time that an app would have. */
  onResponded(stream: StreamMessage): void
  /** The stream is closed: its response was sent, it was broken off here, or it ended by what its client did. */
  onClosed(stream: StreamMessage, end: "complete" | "broken" | "client"): void
}

/** One stream: passes the request to the engine, and the engine's response to the client, each at the pace of the other. */
export class StreamMessage implements ResponseSink, HasDeadline {
  deadlineAt = 0
  /** Bytes of the response that the client had not taken when it was complete. */
  unsent = 0
  readonly #stream: ServerHttp2Stream
  readonly #owner: StreamOwner
  readonly #message: RequestMessage
  readonly #webSocketKey: string | undefined
  #requestComplete: boolean
  #responded = false
  #tunnel = false
  #broken = false
  /** Set where trailers may follow, from the head on. */
  #trailers: HeaderList | undefined
  #waitsForTrailers = false

  constructor(stream: ServerHttp2Stream, head: StreamHead, owner: StreamOwner) {
    this.#stream = stream
    this.#owner = owner
    this.#webSocketKey = head.webSocketKey
    this.#requestComplete = stream.endAfterHeaders
    // Its close says all.
    stream.on("error", () => undefined)
    stream.on("close", () => this.#onClose())
    this.#message = owner.take(head, this)
    if (!stream.endAfterHeaders) this.#readRequest()
  }

  #readRequest(): void {
    const stream = this.#stream
    let trailers: HeaderList = []
    stream.on("data", (bytes: Buffer) => {
      if (!this.#message.receive(bytes)) stream.pause()
    })
    stream.on("trailers", (_fields: unknown, _flags: number, raw: string[]) => (trailers = raw))
    stream.on("end", () => {
      // The end is also pushed for a stream that was reset.
      if (stream.aborted || stream.rstCode !== NGHTTP2_NO_ERROR) return
      this.#requestComplete = true
      this.#message.complete(trailers)
    })
  }

  // ---- the response -------------------------------------------------------------------------------------------------

  interim({ status, headers }: ResponseMessageHead): void {
    if (!this.#closed) this.#stream.additionalHeaders(streamFields(headers, status))
  }

  head(head: ResponseMessageHead, ended: boolean): void {
    if (this.#closed) return
    if (head.status === 101) {
      this.#openTunnel(head)
      return
    }
    // Beside a length there are no trailers in HTTP/1.1.
    this.#waitsForTrailers = !ended && headerValue(head.headers, "content-length") === undefined
    const stream = this.#stream
    if (this.#waitsForTrailers) stream.on("wantTrailers", () => this.#sendTrailers())
    stream.respond(streamFields(head.headers, head.status), {
      endStream: ended,
      waitForTrailers: this.#waitsForTrailers,
    })
    if (!ended) stream.on("drain", () => this.#message.drained())
    else this.#end()
  }

  #openTunnel({ headers }: ResponseMessageHead): void {
    const stream = this.#stream
    const fields = this.#webSocketKey === undefined ? undefined : webSocketFields(headers, this.#webSocketKey)
    if (fields === undefined) {
      this.#message.abort()
      stream.respond({ ":status": 502 }, { endStream: true })
      this.#end()
      return
    }
    this.#tunnel = true
    stream.respond(fields)
    stream.on("drain", () => this.#message.drained())
  }

  body(bytes: Uint8Array): boolean {
    return this.#closed || this.#stream.write(bytes)
  }

  end(trailers: HeaderList): void {
    if (this.#closed) return
    this.#trailers = trailers
    this.#end()
  }

  #end(): void {
    const stream = this.#stream
    this.#responded = true
    this.unsent = stream.writableLength
    this.#owner.onResponded(this)
    if (!stream.writableEnded) stream.end()
    // RFC 9113 §8.1: the client need not send the rest. Sent after the response.
    if (!this.#requestComplete && !this.#waitsForTrailers && !this.#tunnel) stream.close(NGHTTP2_NO_ERROR)
  }

  #sendTrailers(): void {
    const stream = this.#stream
    if (stream.destroyed) return
    stream.sendTrailers(streamFields(this.#trailers ?? []))
    if (!this.#requestComplete) stream.close(NGHTTP2_NO_ERROR)
  }

  reset(): void {
    // After the end of a tunnel the client only learns that nobody reads what it sends.
    if (this.#responded) this.#stream.close(NGHTTP2_NO_ERROR)
    else this.#breakOff("the response broke off")
  }

  /** `close` of a stream with an error code ends it before the reset, and what has been sent would look complete. */
  #breakOff(reason: string): void {
    this.#broken = true
    this.#stream.destroy(new Error(reason))
  }

  wanted(): void {
    this.#stream.resume()
  }

  // ---- endings ------------------------------------------------------------------------------------------------------

  get #closed(): boolean {
    return this.#stream.closed || this.#stream.destroyed
  }

  /** The client takes nothing of the rest of its response. */
  onDeadline(): void {
    this.#breakOff("nobody takes the response")
  }

  #onClose(): void {
    this.#message.abort()
    const complete = this.#responded && this.#stream.rstCode === NGHTTP2_NO_ERROR
    this.#owner.onClosed(this, complete ? "complete" : this.#broken ? "broken" : "client")
  }
}
