import type { Duplex } from "node:stream"
import type { BodyRange, MessageEnd, RequestHead } from "../../http1/head.ts"
import type { ParseError } from "../../http1/parse-error.ts"
import type { IncomingRequest } from "../contract/contract.ts"

/** The connection that a request came by. */
export interface Source {
  readonly socket: Duplex
  readonly remoteAddress: string
}

/** Who feeds a request's body. */
export interface Feeder {
  /** The body's reader wants more. */
  onBodyWanted(): void
}

/** A request as a host sees it. Body and signal are made when asked for, because most requests are only sent on. */
export class IncomingExchangeRequest implements IncomingRequest {
  readonly head: RequestHead
  readonly #source: Source
  readonly #feeder: Feeder
  #body: ReadableStream<Uint8Array> | undefined
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined
  #abort: AbortController | undefined
  #aborted = false
  #isOver = false
  #told: (() => void)[] | undefined

  constructor(head: RequestHead, source: Source, feeder: Feeder) {
    this.head = head
    this.#source = source
    this.#feeder = feeder
  }

  get remoteAddress(): string {
    return this.#source.remoteAddress
  }

  get localPort(): number {
    return peer(this.#source.socket).localPort ?? 0
  }

  get encrypted(): boolean {
    return peer(this.#source.socket).encrypted === true
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
        pull: () => this.#feeder.onBodyWanted(),
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

  feed(event: BodyRange | MessageEnd | ParseError): void {
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

  over(): Promise<void> {
    if (this.#isOver) return Promise.resolve()
    return new Promise((resolve) => (this.#told ??= []).push(resolve))
  }

  /** The exchange is over; `complete` is false when the client left or the answer broke off. */
  end(complete: boolean): void {
    this.#isOver = true
    for (const tell of this.#told ?? []) tell()
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
