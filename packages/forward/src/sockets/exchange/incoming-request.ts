import type { Duplex } from "node:stream"
import type { BodyRange, MessageEnd, RequestHead } from "../../http1/head.ts"
import type { ParseError } from "../../http1/parse-error.ts"
import type { ForwardDirective } from "../contract/decision.ts"
import type { IncomingRequest, SendResult } from "../contract/request.ts"
import { nextRequestId } from "../../request-id.ts"

/** The connection that a request came by. */
export interface RequestSource {
  readonly socket: Duplex
  readonly remoteAddress: string
  readonly peerAddress: string
  readonly encrypted: boolean
  /** Ends what uses it now, because access was withdrawn. */
  withdraw(): void
}

/** The exchange behind a request. */
export interface RequestOwner {
  readonly replayable: boolean
  send(directive: ForwardDirective): Promise<SendResult>
  /** The body's reader waits for more. */
  onBodyWanted(): void
}

/** The end of an exchange, or of the tunnel that it became, and whoever waits for it. Holds nothing of the request. */
class RequestEnd {
  reached = false
  #waiting: (() => void)[] | undefined

  /** Calls it at the end, or now if that is reached. */
  whenReached(listener: () => void): void {
    if (this.reached) listener()
    else (this.#waiting ??= []).push(listener)
  }

  reach(): void {
    this.reached = true
    for (const listener of this.#waiting ?? []) listener()
    this.#waiting = undefined
  }
}

/** The end of every request that is over and that nobody waited for. */
const REACHED = new RequestEnd()
REACHED.reach()

/** A request as a host sees it. Body and signal are made when asked for, because most requests are only sent on. */
export class IncomingExchangeRequest implements IncomingRequest {
  readonly head: RequestHead
  /** Of a body that is read here. */
  minBodyRate: number | undefined
  readonly #source: RequestSource
  readonly #owner: RequestOwner
  #id: string | undefined
  #body: ReadableStream<Uint8Array> | undefined
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined
  #abort: AbortController | undefined
  #aborted = false
  #onAbort: (() => void)[] | undefined
  /** Made when somebody asks for it: of most requests nobody waits for the end. */
  #end: RequestEnd | undefined

  constructor(head: RequestHead, source: RequestSource, owner: RequestOwner) {
    this.head = head
    this.#source = source
    this.#owner = owner
  }

  get id(): string {
    return (this.#id ??= nextRequestId())
  }

  get remoteAddress(): string {
    return this.#source.remoteAddress
  }

  get peerAddress(): string {
    return this.#source.peerAddress
  }

  get socket(): Duplex {
    return this.#source.socket
  }

  get localPort(): number {
    // Sockets of node:net and node:tls have it, and other streams do not.
    return (this.#source.socket as { readonly localPort?: number | undefined }).localPort ?? 0
  }

  get encrypted(): boolean {
    return this.#source.encrypted
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#aborted) this.#abort.abort()
    }
    return this.#abort.signal
  }

  onAbort(listener: () => void): void {
    if (this.#aborted) listener()
    else if (!this.#isOver) (this.#onAbort ??= []).push(listener)
  }

  get replayable(): boolean {
    return this.#owner.replayable
  }

  send(directive: ForwardDirective): Promise<SendResult> {
    return this.#owner.send(directive)
  }

  withdrawal(): () => void {
    // Of the connection alone: a WebSocket outlives its exchange, and holds nothing of the request.
    const source = this.#source
    let over = false
    this.onOver(() => (over = true))
    return () => {
      if (!over) source.withdraw()
    }
  }

  body(minBodyRate?: number): ReadableStream<Uint8Array> | null {
    if (this.head.framing === 0) return null
    this.minBodyRate ??= minBodyRate
    this.#body ??= this.#makeBody()
    return this.#body
  }

  #makeBody(): ReadableStream<Uint8Array> {
    const late = this.#isOver ? "the exchange is over" : this.replayable ? undefined : "the body was sent on"
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          if (late === undefined) this.#sink = controller
          else controller.error(new Error(late))
        },
        pull: () => this.#owner.onBodyWanted(),
        cancel: () => {
          this.#sink = undefined
        },
      },
      { highWaterMark: 1 },
    )
  }

  /** True once somebody here reads the body; then it can no longer be sent on. */
  get bodyTaken(): boolean {
    return this.#body !== undefined
  }

  get wantsBody(): boolean {
    // The rest of a cancelled body is read and dropped, so that the connection can go on.
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

  onOver(listener: () => void): void {
    this.lastEnd().whenReached(listener)
  }

  get #isOver(): boolean {
    return this.#end?.reached === true
  }

  over(): Promise<void> {
    return new Promise((resolve) => this.lastEnd().whenReached(resolve))
  }

  /** The end of it all, for a tunnel, which outlives the request and must not keep it in memory. */
  lastEnd(): RequestEnd {
    return (this.#end ??= new RequestEnd())
  }

  /** The exchange is over; `complete` is false when the client left or the response broke off. */
  end(complete: boolean): void {
    if (this.#end === undefined) this.#end = REACHED
    else this.#end.reach()
    this.#sink?.error(new Error("the exchange is over"))
    this.#sink = undefined
    if (complete) return
    this.#aborted = true
    this.#abort?.abort()
    for (const listener of this.#onAbort ?? []) listener()
  }
}
