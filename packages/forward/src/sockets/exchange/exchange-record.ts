import type { EngineOptions } from "../contract/engine.ts"
import type { RequestHead } from "../../http1/head.ts"
import type { IncomingExchangeRequest } from "./incoming-request.ts"

/** What an event says of a request. */
interface RecordedRequest {
  readonly head: Pick<RequestHead, "method" | "host" | "target" | "upgrade">
  readonly remoteAddress: string
}

/** What one exchange came to, for its event. */
export class ExchangeRecord {
  /** 0 until one was sent. */
  status = 0
  /** The stable code of a response that a proxy made. */
  code: string | undefined
  bytesIn = 0
  bytesOut = 0
  readonly #startedAt: number
  readonly #onEvent: EngineOptions["onEvent"]

  constructor(onEvent: EngineOptions["onEvent"]) {
    this.#onEvent = onEvent
    this.#startedAt = onEvent === undefined ? 0 : performance.now()
  }

  /**
   * What ends the record of an exchange that goes on as a tunnel. It holds no more of the request than its event says: a WebSocket
   * may be open for days.
   */
  whenTunnelEnds(request: IncomingExchangeRequest): () => void {
    const end = request.lastEnd()
    const kept = this.#onEvent === undefined ? undefined : recorded(request)
    return () => {
      end.reach()
      if (kept !== undefined) this.report(kept, true)
    }
  }

  report({ head, remoteAddress }: RecordedRequest, complete: boolean): void {
    if (this.#onEvent === undefined) return
    try {
      this.#onEvent({
        type: "request",
        method: head.method,
        host: head.host,
        target: head.target,
        status: this.status,
        ...(this.code === undefined ? {} : { code: this.code }),
        upgrade: head.upgrade,
        bytesIn: this.bytesIn,
        bytesOut: this.bytesOut,
        durationMs: performance.now() - this.#startedAt,
        remoteAddress,
        complete,
      })
    } catch {
      // A log that fails must not fail the request.
    }
  }
}

const recorded = ({ head, remoteAddress }: IncomingExchangeRequest): RecordedRequest => ({
  head: { method: copy(head.method), host: copy(head.host), target: copy(head.target), upgrade: head.upgrade },
  remoteAddress,
})

/** A text of its own: V8 makes a part of a text refer to the whole, here to all of the request's head. */
const copy = (text: string): string => Buffer.from(text, "latin1").toString("latin1")
