import type { BodyRange, MessageEnd, ResponseHead } from "../../http1/head.ts"
import type { ParseError } from "../../http1/parse-error.ts"
import type { ResponseReader } from "../../http1/response-reader.ts"

type ResponseEvent = ResponseHead | BodyRange | MessageEnd | ParseError

/** A response that comes as events, as HTTP/2 gives it, read like one that comes as bytes. */
export class EventReader implements ResponseReader {
  readonly #events: ResponseEvent[] = []

  get buffered(): number {
    return this.#events.reduce((sum, event) => sum + (event.type === "body" ? event.bytes.length : 0), 0)
  }

  add(event: ResponseEvent): void {
    this.#events.push(event)
  }

  read(): ResponseEvent | undefined {
    return this.#events.shift()
  }

  /** The bytes of a WebSocket, after the head that opened it. */
  rest(): Uint8Array {
    const pieces = this.#events.splice(0).flatMap((event) => (event.type === "body" ? [event.bytes] : []))
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
  }

  // Whoever adds events knows the method and the end.
  expect(): void {}
  push(): void {}
  end(): void {}
}
