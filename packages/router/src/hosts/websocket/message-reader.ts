import { FrameReader, utf8Text } from "@project-ingress/forward/internal"

/** What a server sent. `failure`: it broke the protocol, and nothing more is read of it; `code` is what it is closed with. */
export type SocketEvent =
  | { readonly type: "message"; readonly data: string | Uint8Array<ArrayBuffer> }
  | { readonly type: "ping" | "pong"; readonly data: Uint8Array<ArrayBuffer> }
  | { readonly type: "close"; readonly code: number; readonly reason: string }
  | { readonly type: "failure"; readonly code: number }

/**
 * Bytes in, whole messages out, because a runtime sends messages and no frames. Of a message so much memory is taken as has come of
 * it, whatever length it announces, and however small its frames are.
 */
export class MessageReader {
  readonly #frames: FrameReader
  readonly #message = new Pieces()
  #failed = false

  constructor(maxMessageBytes: number) {
    this.#frames = new FrameReader({ masked: false, maxMessage: maxMessageBytes, text: "any" })
  }

  /** To be called once `read` gives nothing more. */
  push(bytes: Uint8Array): void {
    this.#frames.push(bytes)
  }

  /** The next event of what was pushed, if it is complete. */
  read(): SocketEvent | undefined {
    while (!this.#failed) {
      const event = this.#frames.read()
      switch (event?.type) {
        case "data": {
          this.#message.add(event.bytes)
          if (!event.last) continue
          const data = this.#message.take()
          const message = event.isText ? utf8Text(data) : data
          // RFC 6455 §8.1
          return message === undefined ? this.#fail(1007) : { type: "message", data: message }
        }
        case "ping":
        case "pong":
          return { type: event.type, data: event.bytes }
        case "error":
          return this.#fail(event.code)
        case "close":
          return event
        default:
          return undefined
      }
    }
    return undefined
  }

  #fail(code: number): SocketEvent {
    this.#failed = true
    return { type: "failure", code }
  }
}

/** Bytes that come in pieces, in memory that at most doubles. */
class Pieces {
  #bytes = new Uint8Array(0)
  length = 0

  add(piece: Uint8Array): void {
    const length = this.length + piece.length
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(length, this.length * 2))
      grown.set(this.#bytes.subarray(0, this.length))
      this.#bytes = grown
    }
    this.#bytes.set(piece, this.length)
    this.length = length
  }

  take(): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.subarray(0, this.length)
    this.#bytes = new Uint8Array(0)
    this.length = 0
    return taken
  }
}
