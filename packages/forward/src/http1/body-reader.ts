import type { BodyRange, MessageEnd } from "./head.ts"
import type { ReadBuffer } from "./read-buffer.ts"
import type { ParseError } from "./parse-error.ts"
import { ChunkExtensions } from "./chunk-extensions.ts"
import { INVALID_IN_HEAD, readFields } from "./fields.ts"
import { parseError } from "./parse-error.ts"

const SIZE = 0
const EXTENSION = 1
const SIZE_LF = 2
const DATA = 3
const DATA_CR = 4
const DATA_LF = 5
const TRAILERS = 6
const DONE = 7

const NO_TRAILERS: MessageEnd = { type: "end", trailers: [] }
const CRLFCRLF = Buffer.from("\r\n\r\n")

/**
 * Reads one body after another out of a buffer. Chunk sizes are plain hexadecimal digits, line ends are CRLF, valid extensions
 * are skipped and never passed on (RFC 9112 §7.1.1); the sizes of lines are limited in sum.
 */
export class BodyReader {
  readonly #buffer: ReadBuffer
  readonly #maxOverhead: number
  readonly #malformed: ParseError["tag"]
  readonly #truncated: ParseError["tag"]
  #framing: number | "chunked" | "until-close" = 0
  #left = 0
  #phase = DONE
  #digits = 0
  #overhead = 0
  #extensions: ChunkExtensions | undefined
  /** How much of the trailers that have come was looked at already. */
  #scanned = 0

  constructor(buffer: ReadBuffer, maxOverhead: number, malformed: ParseError["tag"], truncated: ParseError["tag"]) {
    this.#buffer = buffer
    this.#maxOverhead = maxOverhead
    this.#malformed = malformed
    this.#truncated = truncated
  }

  /** Begins a body. One of zero bytes has no `end`. */
  begin(framing: number | "chunked" | "until-close"): void {
    this.#framing = framing
    this.#left = typeof framing === "number" ? framing : 0
    this.#phase = framing === "chunked" ? SIZE : framing === 0 ? DONE : DATA
    this.#digits = 0
    this.#overhead = 0
    this.#scanned = 0
  }

  /** True between bodies. */
  get done(): boolean {
    return this.#phase === DONE
  }

  read(): BodyRange | MessageEnd | ParseError | undefined {
    if (this.#framing === "chunked") return this.#readChunked()
    const buffer = this.#buffer
    if (this.#framing === "until-close") {
      if (buffer.size > 0) return { type: "body", bytes: buffer.take() }
      if (!buffer.ended) return undefined
      return this.#end(NO_TRAILERS)
    }
    if (this.#left === 0) return this.#end(NO_TRAILERS)
    const range = this.#range()
    if (range === undefined && buffer.ended) return parseError(this.#truncated, "the body ended early")
    return range
  }

  #end(end: MessageEnd): MessageEnd {
    this.#phase = DONE
    this.#framing = 0
    return end
  }

  /** As much as has come of the bytes that are left. */
  #range(): BodyRange | undefined {
    const buffer = this.#buffer
    const size = buffer.size
    if (size === 0) return undefined
    if (size <= this.#left) {
      this.#left -= size
      return { type: "body", bytes: buffer.take() }
    }
    const end = buffer.start + this.#left
    const bytes = buffer.bytes.subarray(buffer.start, end)
    buffer.start = end
    this.#left = 0
    return { type: "body", bytes }
  }

  #readChunked(): BodyRange | MessageEnd | ParseError | undefined {
    const buffer = this.#buffer
    while (buffer.size > 0) {
      if (this.#phase === DATA) {
        const range = this.#range()
        if (this.#left === 0) this.#phase = DATA_CR
        return range
      }
      if (this.#phase === TRAILERS) return this.#readTrailers()
      const refused = this.#step(buffer.bytes[buffer.start]!)
      if (refused !== undefined) return refused
      buffer.start++
    }
    return buffer.ended ? parseError(this.#truncated, "the chunked body ended early") : undefined
  }

  /** One byte of the lines around the data of chunks. */
  #step(c: number): ParseError | undefined {
    switch (this.#phase) {
      case SIZE: {
        const digit = HEX[c]!
        if (digit >= 0) {
          // 13 digits stay below 2^52.
          if (++this.#digits > 13) return parseError(this.#malformed, "a chunk size is too large")
          this.#left = this.#left * 16 + digit
          return undefined
        }
        if (this.#digits === 0) return parseError(this.#malformed, "a chunk size has no digit")
        if (c === 13) this.#phase = SIZE_LF
        else if (c === 59) {
          this.#phase = EXTENSION
          ;(this.#extensions ??= new ChunkExtensions()).begin()
        } else return parseError(this.#malformed, "a chunk size has a byte that is not a digit")
        return undefined
      }
      case EXTENSION:
        if (++this.#overhead > this.#maxOverhead) return parseError(this.#malformed, "chunk extensions are too long")
        if (c === 13 && this.#extensions!.complete) this.#phase = SIZE_LF
        else if (!this.#extensions!.take(c)) return parseError(this.#malformed, "a chunk extension is invalid")
        return undefined
      case SIZE_LF:
        if (c !== 10) return parseError(this.#malformed, "a chunk size ends in a bare CR")
        this.#phase = this.#left === 0 ? TRAILERS : DATA
        this.#digits = 0
        return undefined
      case DATA_CR:
        if (c !== 13) return parseError(this.#malformed, "a chunk is longer than its size")
        this.#phase = DATA_LF
        return undefined
      default:
        if (c !== 10) return parseError(this.#malformed, "a chunk ends in a bare CR")
        this.#phase = SIZE
        this.#left = 0
        return undefined
    }
  }

  #readTrailers(): MessageEnd | ParseError | undefined {
    const buffer = this.#buffer
    const { bytes, start } = buffer
    if (buffer.size >= 2 && bytes[start] === 13 && bytes[start + 1] === 10) {
      buffer.start += 2
      return this.#end(NO_TRAILERS)
    }
    const end = bytes.indexOf(CRLFCRLF, start + Math.max(0, this.#scanned - 3))
    if ((end < 0 ? buffer.size : end - start) > this.#maxOverhead - this.#overhead) {
      return parseError(this.#malformed, "trailers are too long")
    }
    if (end < 0) {
      // A byte that no trailer can have is refused now, not when the line is complete.
      const from = start + Math.max(0, this.#scanned - 1)
      if (bytes[start] === 10 || INVALID_IN_HEAD.test(bytes.toString("latin1", from))) {
        return parseError(this.#malformed, "trailers have a control byte")
      }
      this.#scanned = buffer.size
      return buffer.ended ? parseError(this.#truncated, "the trailers ended early") : undefined
    }
    const fields = readFields(bytes, start, bytes.toString("latin1", start, end), 0, 100, this.#malformed)
    if ("type" in fields) return fields
    buffer.start = end + 4
    return this.#end({ type: "end", trailers: fields.list })
  }
}

const HEX = new Int8Array(256).fill(-1)
for (let i = 0; i < 16; i++) {
  HEX[i.toString(16).charCodeAt(0)] = i
  HEX[i.toString(16).toUpperCase().charCodeAt(0)] = i
}
