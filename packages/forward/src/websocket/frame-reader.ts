import { isCloseCode, NO_CODE } from "./close-codes.ts"
import { opcodes } from "./frame-writer.ts"
import { utf8Text } from "./utf8-text.ts"

/** Why a WebSocket has to be failed: the status for the close frame (RFC 6455 §7.4.1), and what was wrong. */
export interface FrameError {
  readonly type: "error"
  /** 1002 protocol error, 1003 a kind of message that is not taken, 1007 no UTF-8, 1009 too big. */
  readonly code: 1002 | 1003 | 1007 | 1009
  readonly reason: string
}

/** What was read from one direction of a WebSocket. */
export type FrameEvent =
  /** A piece of a message, which `last` ends. Whether a text is UTF-8 is not looked at. */
  | { readonly type: "data"; readonly bytes: Uint8Array; readonly last: boolean; readonly isText: boolean }
  /** The text message `end` of a tunnel. */
  | { readonly type: "end" }
  | { readonly type: "ping" | "pong"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** `code` is 1005 where the frame had none. */
  | { readonly type: "close"; readonly code: number; readonly reason: string }
  | FrameError

/** What a reader accepts. */
export interface FrameReaderOptions {
  /** Whether frames must be masked: those of a client must, those of a server must not (RFC 6455 §5.1). */
  readonly masked: boolean
  /** The most bytes of a message. Default: any number. */
  readonly maxMessage?: number
  /** What may be text: every message, or none but `end`, which is an event of its own. Default: no text is taken. */
  readonly text?: "any" | "end"
}

const { continuation: CONTINUATION, text: TEXT, binary: BINARY, close: CLOSE, ping: PING, pong: PONG } = opcodes

const END = "end"
const NO_BYTES = new Uint8Array(0)

/**
 * Reads the frames of one direction of a WebSocket (RFC 6455 §5.2), strictly: whatever has two readings, or none, is an error. The
 * payload of a message is given as it comes. Held are the header of one frame, and one control frame of at most 125 bytes or the text
 * `end`. Whoever calls `read` sets the pace: what is not read yet is the bytes that were pushed, and nothing more.
 */
export class FrameReader {
  readonly #options: FrameReaderOptions
  /** The header of the current frame, as far as it has come: 14 bytes at most. */
  readonly #header = new Uint8Array(14)
  #headerLength = 0
  /** True between the header of a frame and its last byte. */
  #inPayload = false
  #opcode = 0
  #final = false
  #left = 0
  /** The masking key's next byte. */
  #maskAt = 0
  /** The kind of the message that is not complete yet, 0 for none. */
  #message = 0
  #messageLength = 0
  /** What is held of a control frame's payload. */
  #control: Uint8Array<ArrayBuffer> = NO_BYTES
  #controlLength = 0
  #text = ""
  /** What was pushed, and how much of it is read. */
  #bytes: Uint8Array = NO_BYTES
  #at = 0
  /** True after a close frame or an error: nothing that follows has a meaning. */
  #over = false

  constructor(options: FrameReaderOptions) {
    this.#options = options
  }

  /** To be called once `read` gives nothing more. The bytes are not changed; events of unmasked ones have views of them. */
  push(bytes: Uint8Array): void {
    this.#bytes = bytes
    this.#at = 0
  }

  /** The next event of what was pushed. */
  read(): FrameEvent | undefined {
    while (!this.#over) {
      const event = this.#inPayload ? this.#readPayload() : this.#readHeader()
      if (event === "incomplete") break
      if (event === undefined) continue
      if (event.type === "error" || event.type === "close") this.#over = true
      return event
    }
    this.#bytes = NO_BYTES
    this.#at = 0
    return undefined
  }

  /** Reads as much of a frame's header as has come. */
  #readHeader(): FrameError | "incomplete" | undefined {
    const bytes = this.#bytes
    while (this.#at < bytes.length) {
      this.#header[this.#headerLength++] = bytes[this.#at++]!
      const error = this.#onHeader()
      if (error !== undefined || this.#inPayload) return error
    }
    return "incomplete"
  }

  #readPayload(): FrameEvent | "incomplete" | undefined {
    const taken = Math.min(this.#left, this.#bytes.length - this.#at)
    if (taken === 0 && this.#left > 0) return "incomplete"
    const piece = this.#unmasked(this.#bytes.subarray(this.#at, this.#at + taken))
    this.#at += taken
    this.#left -= taken
    const done = this.#left === 0
    if (done) {
      this.#inPayload = false
      this.#headerLength = 0
    }
    return this.#opcode >= CLOSE ? this.#onControl(piece, done) : this.#onData(piece, done)
  }

  /** Looks at the header as soon as there is something to see: an invalid one gets no time. */
  #onHeader(): FrameError | undefined {
    const header = this.#header
    const first = header[0]!
    if (this.#headerLength === 1) return this.#onFirst(first)
    const second = header[1]!
    const length = second & 0x7f
    if (this.#headerLength === 2) {
      if (second >= 0x80 !== this.#options.masked) {
        return failed(1002, this.#options.masked ? "a frame that is not masked" : "a masked frame")
      }
      if (this.#opcode >= CLOSE && length > 125) return failed(1002, "a control frame of more than 125 bytes")
    }
    const extended = length === 126 ? 2 : length === 127 ? 8 : 0
    // RFC 6455 §5.2: the most significant bit of the 64-bit length must be 0.
    if (extended === 8 && this.#headerLength === 3 && header[2]! >= 0x80) return failed(1002, "a length above 2^63")
    if (this.#headerLength < 2 + extended + (this.#options.masked ? 4 : 0)) return undefined
    let size = extended === 0 ? length : 0
    for (let i = 2; i < 2 + extended; i++) size = size * 256 + header[i]!
    // RFC 6455 §5.2: the minimal number of bytes must be used.
    if (size < (extended === 2 ? 126 : extended === 8 ? 65_536 : 0)) return failed(1002, "a length that is not minimal")
    if (size > Number.MAX_SAFE_INTEGER) return failed(1009, "a frame that is too big")
    return this.#begin(size)
  }

  #onFirst(first: number): FrameError | undefined {
    this.#final = first >= 0x80
    this.#opcode = first & 0x0f
    // No extension is ever agreed on.
    if ((first & 0x70) !== 0) return failed(1002, "a reserved bit is set")
    const opcode = this.#opcode
    if (opcode >= CLOSE) {
      if (opcode > PONG) return failed(1002, "a reserved opcode")
      return this.#final ? undefined : failed(1002, "a fragmented control frame")
    }
    if (opcode > BINARY) return failed(1002, "a reserved opcode")
    if (opcode === CONTINUATION) {
      return this.#message === 0 ? failed(1002, "a continuation of no message") : undefined
    }
    if (this.#message !== 0) return failed(1002, "a message within another one")
    if (opcode === TEXT && this.#options.text === undefined) return failed(1003, "a text message")
    this.#message = opcode
    this.#messageLength = 0
    return undefined
  }

  #begin(size: number): FrameError | undefined {
    this.#inPayload = true
    this.#left = size
    this.#maskAt = this.#headerLength - 4
    if (this.#opcode >= CLOSE) {
      this.#control = size === 0 ? NO_BYTES : new Uint8Array(size)
      this.#controlLength = 0
      return undefined
    }
    this.#messageLength += size
    if (this.#isEnd) return this.#messageLength > END.length ? failed(1003, "a text message") : undefined
    const { maxMessage } = this.#options
    return maxMessage !== undefined && this.#messageLength > maxMessage
      ? failed(1009, "a message that is too big")
      : undefined
  }

  #unmasked(bytes: Uint8Array): Uint8Array {
    if (!this.#options.masked || bytes.length === 0) return bytes
    const header = this.#header
    const start = this.#headerLength - 4
    const clear = new Uint8Array(bytes.length)
    let key = this.#maskAt - start
    for (let i = 0; i < bytes.length; i++) {
      clear[i] = bytes[i]! ^ header[start + key]!
      key = (key + 1) & 3
    }
    this.#maskAt = start + key
    return clear
  }

  #onData(piece: Uint8Array, done: boolean): FrameEvent | undefined {
    const last = done && this.#final
    const isText = this.#message === TEXT
    const isEnd = this.#isEnd
    if (last) this.#message = 0
    if (isEnd) return this.#onText(piece, last)
    return piece.length === 0 && !last ? undefined : { type: "data", bytes: piece, last, isText }
  }

  /** Whether the current message can be nothing but `end`. */
  get #isEnd(): boolean {
    return this.#message === TEXT && this.#options.text === "end"
  }

  #onText(piece: Uint8Array, last: boolean): FrameEvent | undefined {
    this.#text += String.fromCharCode(...piece)
    if (!last) return undefined
    const text = this.#text
    this.#text = ""
    return text === END ? { type: "end" } : failed(1003, "a text message")
  }

  #onControl(piece: Uint8Array, done: boolean): FrameEvent | undefined {
    this.#control.set(piece, this.#controlLength)
    this.#controlLength += piece.length
    if (!done) return undefined
    const bytes = this.#control
    this.#control = NO_BYTES
    return this.#opcode === CLOSE ? closeEvent(bytes) : { type: this.#opcode === PING ? "ping" : "pong", bytes }
  }
}

const failed = (code: FrameError["code"], reason: string): FrameError => ({ type: "error", code, reason })

const closeEvent = (bytes: Uint8Array): FrameEvent => {
  if (bytes.length === 0) return { type: "close", code: NO_CODE, reason: "" }
  if (bytes.length === 1) return failed(1002, "half a close code")
  const code = bytes[0]! * 256 + bytes[1]!
  if (!isCloseCode(code)) return failed(1002, "an invalid close code")
  const reason = utf8Text(bytes.subarray(2))
  return reason === undefined ? failed(1007, "a close reason that is not UTF-8") : { type: "close", code, reason }
}
