import type { RequestHead } from "../http1/head.ts"
import type { InboundRequest } from "./exchange.ts"

/** What an inbound request needs of the connection it came by. */
export interface InboundSource {
  readonly remoteAddress: string
  readonly localPort: number
  readonly encrypted: boolean
  takeBody(request: Inbound): ReadableStream<Uint8Array> | null
}

/** A request as it arrived; also the token by which late promises are told from the exchange at hand. */
export class Inbound implements InboundRequest {
  readonly head: RequestHead
  readonly #source: InboundSource
  #body: ReadableStream<Uint8Array> | null | undefined
  #abort: AbortController | undefined
  #over = false

  constructor(head: RequestHead, source: InboundSource) {
    this.head = head
    this.#source = source
  }

  get remoteAddress(): string {
    return this.#source.remoteAddress
  }

  get localPort(): number {
    return this.#source.localPort
  }

  get encrypted(): boolean {
    return this.#source.encrypted
  }

  body(): ReadableStream<Uint8Array> | null {
    if (this.#body === undefined) this.#body = this.head.framing === 0 ? null : this.#source.takeBody(this)
    return this.#body
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#over) this.#abort.abort()
    }
    return this.#abort.signal
  }

  /** The client left. */
  abort(): void {
    this.#over = true
    this.#abort?.abort()
  }
}
