import { INVALID_TEXT, isSendable, NO_CODE, PROTOCOL_ERROR, TOO_LARGE } from "./close-codes.ts"
import { CLOSE, PING, PONG, TEXT } from "./frame.ts"

/** What a server sent. `failure`: it broke the protocol, and nothing more is read of it; `code` is what it is closed with. */
export type SocketEvent =
  | { readonly type: "message"; readonly data: string | Uint8Array<ArrayBuffer> }
  | { readonly type: "ping" | "pong"; readonly data: Uint8Array<ArrayBuffer> }
  | { readonly type: "close"; readonly code: number; readonly reason: string }
  | { readonly type: "failure"; readonly code: number }

const CONTINUATION = 0

/**
 * Bytes in, whole messages out: the frames of a server, which are not masked (RFC 6455 §5). No extension is ever agreed on, so a frame
 * with a reserved bit is an error. Of a message so much memory is taken as has come of it, whatever length it announces, and however
 * small its frames are.
 */
export class MessageReader {
  readonly #maxMessageBytes: number
  readonly #header = new Uint8Array(10)
  #headerLength = 0
  /** Bytes that are still to come of the current frame's payload; `undefined` between frames. */
  #missing: number | undefined
  #opcode = 0
  #fin = false
  /** Of the message that is being put together; 0 between messages. */
  #kind = 0
  readonly #message = new Pieces()
  readonly #control = new Pieces()
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #over = false

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes
  }

  /** To be called once `read` gives nothing more. */
  push(bytes: Uint8Array): void {
    this.#bytes = bytes
    this.#at = 0
  }

  /** The next event of what was pushed, if it is complete. */
  read(): SocketEvent | undefined {
    while (!this.#over) {
      if (this.#missing === undefined) {
        const read = this.#readHeader()
        if (read === "incomplete") return undefined
        if (read !== "complete") return this.#fail(read)
      }
      const taken = Math.min(this.#missing!, this.#bytes.length - this.#at)
      const pieces = this.#opcode >= CLOSE ? this.#control : this.#message
      pieces.add(this.#bytes.subarray(this.#at, this.#at + taken))
      this.#at += taken
      this.#missing! -= taken
      if (this.#missing! > 0) return undefined
      this.#missing = undefined
      const event = this.#opcode >= CLOSE ? this.#controlEvent() : this.#fin ? this.#messageEvent() : undefined
      if (event !== undefined) return event
    }
    return undefined
  }

  #fail(code: number): SocketEvent {
    this.#over = true
    return { type: "failure", code }
  }

  /** Reads as much of a frame's header as has come. A number is the close code for what is wrong with it. */
  #readHeader(): "incomplete" | "complete" | number {
    const header = this.#header
    for (;;) {
      const length = header[1]! & 0x7f
      const size = this.#headerLength < 2 ? 2 : length === 127 ? 10 : length === 126 ? 4 : 2
      if (this.#headerLength === size) break
      if (this.#at === this.#bytes.length) return "incomplete"
      header[this.#headerLength++] = this.#bytes[this.#at++]!
    }
    this.#headerLength = 0
    const opcode = header[0]! & 0x0f
    const fin = header[0]! >= 0x80
    const view = new DataView(header.buffer)
    const short = header[1]! & 0x7f
    const length = short === 127 ? Number(view.getBigUint64(2)) : short === 126 ? view.getUint16(2) : short
    // RFC 6455 §5.1, §5.2: no reserved bit, and no mask from a server.
    if ((header[0]! & 0x70) !== 0 || header[1]! >= 0x80) return PROTOCOL_ERROR
    if (opcode >= CLOSE) {
      // §5.5
      if (opcode > PONG || !fin || length > 125) return PROTOCOL_ERROR
    } else {
      // §5.4
      if (opcode > 2 || (opcode === CONTINUATION) !== (this.#kind !== 0)) return PROTOCOL_ERROR
      if (this.#message.length + length > this.#maxMessageBytes) return TOO_LARGE
      if (opcode !== CONTINUATION) this.#kind = opcode
      this.#fin = fin
    }
    this.#opcode = opcode
    this.#missing = length
    return "complete"
  }

  #messageEvent(): SocketEvent {
    const kind = this.#kind
    this.#kind = 0
    const data = this.#message.take()
    if (kind !== TEXT) return { type: "message", data }
    const text = textOf(data)
    return text === undefined ? this.#fail(INVALID_TEXT) : { type: "message", data: text }
  }

  #controlEvent(): SocketEvent {
    const data = this.#control.take()
    if (this.#opcode === PING) return { type: "ping", data }
    if (this.#opcode === PONG) return { type: "pong", data }
    this.#over = true
    // RFC 6455 §5.5.1
    if (data.length === 0) return { type: "close", code: NO_CODE, reason: "" }
    const code = data.length === 1 ? 0 : data[0]! * 256 + data[1]!
    if (!isSendable(code)) return this.#fail(PROTOCOL_ERROR)
    const reason = textOf(data.subarray(2))
    return reason === undefined ? this.#fail(INVALID_TEXT) : { type: "close", code, reason }
  }
}

const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
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
