import type { BodyRange, MessageEnd, ResponseHead } from "./head.ts"
import type { ParseError } from "./parse-error.ts"
import { BodyReader } from "./body-reader.ts"
import { INVALID_IN_VALUE } from "../field-syntax.ts"
import { INVALID_IN_HEAD, hasToken, lengthOf, readFields } from "./fields.ts"
import { ReadBuffer } from "./read-buffer.ts"
import { parseError } from "./parse-error.ts"

/** Limits of a response, in bytes and fields. */
export interface ResponseLimits {
  readonly maxResponseHead: number
  readonly maxFields: number
  readonly maxChunkOverhead: number
}

/** Bytes in, events out: the responses of one connection upstream. Everything it reads is untrusted. */
export interface ResponseReader {
  /** Says which method the next response is for: one to HEAD has no body whatever its fields say (RFC 9112 §6.3). */
  expect(method: string): void
  push(bytes: Uint8Array): void
  end(): void
  /** As `RequestReader.read`. An interim head (1xx) has no body and is followed by another head. */
  read(): ResponseHead | BodyRange | MessageEnd | ParseError | undefined
  rest(): Uint8Array
  readonly buffered: number
}

const CRLFCRLF = Buffer.from("\r\n\r\n")

/** A reader for the responses of one connection. */
export const responseReader = (limits: ResponseLimits): ResponseReader => new Reader(limits)

class Reader implements ResponseReader {
  readonly #limits: ResponseLimits
  readonly #buffer = new ReadBuffer()
  readonly #body: BodyReader
  #method = "GET"
  #scanned = 0
  #over = false

  constructor(limits: ResponseLimits) {
    this.#limits = limits
    this.#body = new BodyReader(this.#buffer, limits.maxChunkOverhead, "UpstreamMalformed", "UpstreamFailed")
  }

  get buffered(): number {
    return this.#buffer.size
  }

  expect(method: string): void {
    this.#method = method
  }

  push(bytes: Uint8Array): void {
    this.#buffer.push(bytes)
  }

  end(): void {
    this.#buffer.ended = true
  }

  rest(): Uint8Array {
    return this.#buffer.take()
  }

  read(): ResponseHead | BodyRange | MessageEnd | ParseError | undefined {
    if (this.#over) return undefined
    const event = this.#body.done ? this.#readHead() : this.#body.read()
    // A response that ended with its connection is the last one.
    if (event?.type === "refusal" || (event?.type === "end" && this.#buffer.ended && this.#buffer.size === 0))
      this.#over = true
    return event
  }

  #readHead(): ResponseHead | ParseError | undefined {
    const buffer = this.#buffer
    const { bytes, start } = buffer
    const size = buffer.size
    if (size === 0)
      return buffer.ended ? parseError("UpstreamFailed", "the connection closed without a response") : undefined
    const end = bytes.indexOf(CRLFCRLF, start + Math.max(0, this.#scanned - 3))
    if ((end < 0 ? size : end - start) > this.#limits.maxResponseHead) {
      return parseError("UpstreamMalformed", "the head of the response is too large")
    }
    if (end < 0) {
      const added = bytes.toString("latin1", start + Math.max(0, this.#scanned - 1))
      if (INVALID_IN_HEAD.test(added)) {
        return parseError("UpstreamMalformed", "the head of the response has a control character or a bare CR or LF")
      }
      // What does not begin like a response never becomes one; its end is not waited for.
      if (!"HTTP/1.".startsWith(bytes.toString("latin1", start, start + Math.min(7, size)))) {
        return parseError("UpstreamMalformed", "this is not a response of HTTP/1")
      }
      this.#scanned = size
      return buffer.ended
        ? parseError("UpstreamFailed", "the connection closed inside the head of a response")
        : undefined
    }
    this.#scanned = 0
    const head = this.#parse(bytes, start, bytes.toString("latin1", start, end))
    buffer.start = end + 4
    if (head.type === "head") this.#body.begin(head.framing)
    return head
  }

  #parse(bytes: Uint8Array, base: number, text: string): ResponseHead | ParseError {
    let eol = text.indexOf("\r\n")
    if (eol < 0) eol = text.length
    const status = statusOf(text, eol)
    if (status === undefined) return parseError("UpstreamMalformed", "the status line is not valid")
    const version = text.charCodeAt(7) === 49 ? 11 : 10
    const reason = text.slice(13, eol)
    if (INVALID_IN_VALUE.test(reason))
      return parseError("UpstreamMalformed", "the reason phrase has a control character")
    const fields = readFields(
      bytes,
      base,
      text,
      Math.min(eol + 2, text.length),
      this.#limits.maxFields,
      "UpstreamMalformed",
    )
    if ("type" in fields) return fields
    const { contentLength, transferEncoding, connection } = fields
    if (fields.doubled === "Content-Length" || fields.doubled === "Transfer-Encoding") {
      return parseError("UpstreamMalformed", `${fields.doubled} comes twice`)
    }
    let framing: ResponseHead["framing"] = "until-close"
    if (transferEncoding !== undefined) {
      if (contentLength !== undefined)
        return parseError("UpstreamMalformed", "both Content-Length and Transfer-Encoding")
      if (version === 10) return parseError("UpstreamMalformed", "Transfer-Encoding in HTTP/1.0")
      if (transferEncoding.toLowerCase() !== "chunked") {
        return parseError("UpstreamMalformed", "Transfer-Encoding is not exactly chunked")
      }
      framing = "chunked"
    } else if (contentLength !== undefined) {
      const length = lengthOf(contentLength)
      if (length === undefined) return parseError("UpstreamMalformed", "Content-Length is not a valid length")
      framing = length
    }
    if (status < 200 || status === 204 || status === 304 || this.#method === "HEAD") framing = 0
    return {
      type: "head",
      status,
      reason,
      version,
      headers: fields.list,
      framing,
      upgrade: status === 101 && fields.upgrade?.toLowerCase() === "websocket" && hasToken(connection, "upgrade"),
      keepAlive:
        version === 11 && framing !== "until-close" && (connection === undefined || !hasToken(connection, "close")),
    }
  }
}

/** The status of `HTTP/1.x SP 3DIGIT [SP reason]`, 100 to 599; otherwise `undefined`. */
const statusOf = (text: string, eol: number): number | undefined => {
  if (eol < 12 || !text.startsWith("HTTP/1.")) return undefined
  const minor = text.charCodeAt(7)
  if ((minor !== 48 && minor !== 49) || text.charCodeAt(8) !== 32) return undefined
  if (eol > 12 && text.charCodeAt(12) !== 32) return undefined
  const a = text.charCodeAt(9) - 48
  const b = text.charCodeAt(10) - 48
  const c = text.charCodeAt(11) - 48
  if (a < 1 || a > 5 || b < 0 || b > 9 || c < 0 || c > 9) return undefined
  return a * 100 + b * 10 + c
}
