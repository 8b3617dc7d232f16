import type { EngineOptions } from "../contract/engine.ts"
import type { IncomingRequest } from "../contract/request.ts"

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

  report({ head, remoteAddress }: IncomingRequest, complete: boolean): void {
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
