import type { Duplex } from "node:stream"
import type { BodyRange, MessageEnd, RequestHead } from "../http1/head.ts"
import type { Refusal } from "../http1/refusal.ts"
import type { InboundRequest } from "./contract.ts"

/** A request as a host sees it. Body and signal are made when asked for, because most requests are only sent on. */
export class Inbound implements InboundRequest {
  readonly head: RequestHead
  readonly remoteAddress: string
  readonly #socket: Duplex
  readonly #pull: () => void
  #body: ReadableStream<Uint8Array> | undefined
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined
  #abort: AbortController | undefined
  #aborted = false

  /** `pull` is called when the body's reader wants more. */
  constructor(head: RequestHead, remoteAddress: string, socket: Duplex, pull: () => void) {
    this.head = head
    this.remoteAddress = remoteAddress
    this.#socket = socket
    this.#pull = pull
  }

  get localPort(): number {
    return peer(this.#socket).localPort ?? 0
  }

  get encrypted(): boolean {
    return peer(this.#socket).encrypted === true
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#aborted) this.#abort.abort()
    }
    return this.#abort.signal
  }

  body(): ReadableStream<Uint8Array> | null {
    if (this.head.framing === 0) return null
    this.#body ??= new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#sink = controller
        },
        pull: this.#pull,
        cancel: () => {
          this.#sink = undefined
        },
      },
      { highWaterMark: 1 },
    )
    return this.#body
  }

  /** True once somebody here reads the body; then it can no longer be sent on. */
  get bodyTaken(): boolean {
    return this.#body !== undefined
  }

  get wantsBody(): boolean {
    // A cancelled body is read over, so that the connection can go on.
    return this.#sink === undefined || (this.#sink.desiredSize ?? 0) > 0
  }

  feed(event: BodyRange | MessageEnd | Refusal): void {
    const sink = this.#sink
    if (sink === undefined) return
    if (event.type === "body") {
      sink.enqueue(event.bytes)
      return
    }
    this.#sink = undefined
    if (event.type === "end") sink.close()
    else sink.error(new Error(event.reason))
  }

  /** The exchange is over; `complete` is false when the client left or the answer broke off. */
  over(complete: boolean): void {
    this.#sink?.error(new Error("the exchange is over"))
    this.#sink = undefined
    if (complete) return
    this.#aborted = true
    this.#abort?.abort()
  }
}

const peer = (socket: Duplex) =>
  socket as {
    readonly localPort?: number | undefined
    readonly encrypted?: boolean
  }
