import type { BodyRange, MessageEnd, RequestHead } from "./head.ts"
import type { ParseError } from "./parse-error.ts"
import { BodyReader } from "./body-reader.ts"
import { INVALID_IN_HEAD, TOKEN, hasToken, lengthOf, readFields } from "./fields.ts"
import { methods } from "./methods.ts"
import { ReadBuffer } from "./read-buffer.ts"
import { parseError } from "./parse-error.ts"

/** Limits of a request, in bytes and fields; see `Limits` of `./sockets` for values and reasons. */
export interface RequestLimits {
  readonly maxRequestHead: number
  readonly maxTarget: number
  readonly maxFields: number
  readonly maxChunkOverhead: number
}

/** Bytes in, events out: the requests of one connection, one after another. */
export interface RequestReader {
  push(bytes: Uint8Array): void
  /** The peer will send no more. */
  end(): void
  /**
   * The next event, or `undefined` when more bytes are needed. A head with framing 0 is a whole message; any other is
   * followed by ranges of its body and an end. After a refusal nothing follows. Any split of the input gives the same events,
   * but for the splits of body ranges.
   */
  read(): RequestHead | BodyRange | MessageEnd | ParseError | undefined
  /** Takes everything unread, after an upgrade: it is no longer HTTP. */
  rest(): Uint8Array
  /** Bytes pushed and not read. */
  readonly buffered: number
  /** True when nothing of a next message has come: the connection is between two requests. */
  readonly idle: boolean
}

const CRLFCRLF = Buffer.from("\r\n\r\n")
const CR = 13
const LF = 10

/** A reader for the requests of one connection. */
export const requestReader = (limits: RequestLimits): RequestReader => new Reader(limits)

class Reader implements RequestReader {
  readonly #limits: RequestLimits
  readonly #buffer = new ReadBuffer()
  readonly #body: BodyReader
  #scanned = 0
  #lineChecked = false
  #refused = false
  /** The last authority found valid: a connection's requests mostly name the same. */
  #lastHost = ""

  constructor(limits: RequestLimits) {
    this.#limits = limits
    this.#body = new BodyReader(this.#buffer, limits.maxChunkOverhead, "RequestMalformed", "RequestMalformed")
  }

  get buffered(): number {
    return this.#buffer.size
  }

  get idle(): boolean {
    return this.#body.done && this.#buffer.size === 0
  }

  push(bytes: Uint8Array): void {
    this.#buffer.push(bytes)
  }

  end(): void {
    this.#buffer.ended = true
  }

  rest(): Uint8Array {
    // It is a part of a head, all of which it keeps in memory.
    this.#lastHost = ""
    return this.#buffer.take()
  }

  read(): RequestHead | BodyRange | MessageEnd | ParseError | undefined {
    if (this.#refused) return undefined
    const event = this.#body.done ? this.#readHead() : this.#body.read()
    if (event === undefined) return undefined
    if (event.type === "refusal") this.#refused = true
    else if (this.#buffer.size === 0) this.#buffer.clear()
    return event
  }

  #readHead(): RequestHead | ParseError | undefined {
    const buffer = this.#buffer
    // RFC 9112 §2.2: at least one CRLF before a request line is to be ignored.
    if (this.#scanned === 0) {
      while (buffer.size >= 2 && buffer.bytes[buffer.start] === CR && buffer.bytes[buffer.start + 1] === LF)
        buffer.start += 2
      if (buffer.size === 0) return undefined
      if (buffer.size === 1 && buffer.bytes[buffer.start] === CR) return undefined
    }
    const { bytes, start } = buffer
    const end = bytes.indexOf(CRLFCRLF, start + Math.max(0, this.#scanned - 3))
    if (end < 0) return this.#readPartial()
    if (end - start > this.#limits.maxRequestHead) return this.#tooLarge()
    const head = this.#parse(bytes, start, bytes.toString("latin1", start, end))
    // A head that is refused stays: its fields say in what form the response is wanted.
    if (head.type === "refusal") return head
    buffer.start = end + 4
    this.#scanned = 0
    this.#lineChecked = false
    this.#body.begin(head.framing)
    return head
  }

  /** Refuses an incomplete head as soon as it cannot become a request, instead of waiting for its end. */
  #readPartial(): ParseError | undefined {
    const { bytes, start } = this.#buffer
    const size = this.#buffer.size
    const from = Math.max(0, this.#scanned - 1)
    const added = bytes.toString("latin1", start + from)
    if (INVALID_IN_HEAD.test(added) || bytes[start] === LF) {
      return parseError("RequestMalformed", "the head has a control character or a bare CR or LF")
    }
    this.#scanned = size
    if (!this.#lineChecked) {
      const eol = added.indexOf("\r\n")
      if (eol >= 0) {
        this.#lineChecked = true
        const line = readRequestLine(bytes.toString("latin1", start, start + from + eol), this.#limits.maxTarget)
        if ("type" in line) return line
      } else if (size > this.#limits.maxTarget + 64) {
        return parseError("RequestTargetTooLong", "the request line is too long")
      }
    }
    return size > this.#limits.maxRequestHead ? this.#tooLarge() : undefined
  }

  #tooLarge(): ParseError {
    return parseError("RequestHeadTooLarge", "the head is too large")
  }

  #parse(bytes: Uint8Array, base: number, text: string): RequestHead | ParseError {
    let eol = text.indexOf("\r\n")
    if (eol < 0) eol = text.length
    const line = readRequestLine(text.slice(0, eol), this.#limits.maxTarget)
    if ("type" in line) return line
    const { method, version } = line
    const fields = readFields(
      bytes,
      base,
      text,
      Math.min(eol + 2, text.length),
      this.#limits.maxFields,
      "RequestMalformed",
    )
    if ("type" in fields) return fields
    if (fields.doubled !== undefined) return parseError("RequestMalformed", `${fields.doubled} comes twice`)

    let host = fields.host
    if (host === undefined) {
      if (version === 11) return parseError("RequestMalformed", "Host is missing")
      host = ""
    } else if (!this.#isAuthority(host)) return parseError("RequestMalformed", "Host is not a valid authority")
    // RFC 9112 §3.2.2: the authority of an absolute-form wins over Host.
    if (line.authority !== undefined) {
      if (!this.#isAuthority(line.authority))
        return parseError("RequestMalformed", "the request target has no valid authority")
      host = line.authority
    }

    let framing: number | "chunked" = 0
    const { transferEncoding, contentLength } = fields
    if (transferEncoding !== undefined) {
      if (contentLength !== undefined)
        return parseError("RequestMalformed", "both Content-Length and Transfer-Encoding")
      if (version === 10) return parseError("RequestMalformed", "Transfer-Encoding in HTTP/1.0")
      if (transferEncoding !== "chunked" && transferEncoding.toLowerCase() !== "chunked") {
        return isUnknownCoding(transferEncoding)
          ? parseError("CodingUnknown", "the transfer coding is not known")
          : parseError("RequestMalformed", "Transfer-Encoding is not exactly chunked")
      }
      framing = "chunked"
    } else if (contentLength !== undefined) {
      const length = lengthOf(contentLength)
      if (length === undefined) return parseError("RequestMalformed", "Content-Length is not a valid length")
      framing = length
    }

    let expect = false
    // RFC 9110 §10.1.1: an expectation in HTTP/1.0 is ignored.
    if (fields.expect !== undefined && version === 11) {
      if (fields.expect.toLowerCase() !== "100-continue")
        return parseError("ExpectationFailed", "the expectation is not known")
      expect = framing !== 0
    }
    const { connection } = fields
    return {
      type: "head",
      method,
      target: line.target,
      version,
      headers: fields.list,
      host,
      framing,
      upgrade:
        fields.upgrade !== undefined &&
        method === "GET" &&
        version === 11 &&
        framing === 0 &&
        fields.upgrade.toLowerCase() === "websocket" &&
        hasToken(connection, "upgrade"),
      expect,
      // HTTP/1.0 connections are not kept: RFC 9112 §9.3 forbids a proxy to.
      keepAlive: version === 11 && (connection === undefined || !hasToken(connection, "close")),
    }
  }

  #isAuthority(value: string): boolean {
    if (value === this.#lastHost && value !== "") return true
    if (!isAuthority(value)) return false
    this.#lastHost = value
    return true
  }
}

/**
 * `host` or `host:port` as a client may send it (RFC 9110 §7.2): letters, digits, `-`, `.`, `_`, `~`, or an IPv6 address in
 * brackets; a port of 1 to 65535. No userinfo, no escapes, no path, so that a URL built from it has exactly this authority
 * (CVE-2026-33131).
 */
export const isAuthority = (value: string): boolean => {
  if (value.length > 261) return false
  const match = /^(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?$/.exec(value)
  return match !== null && (match[1] === undefined || Number(match[1]) <= 65_535)
}

/**
 * Whether a `Transfer-Encoding` other than `chunked` is a coding that we do not know, alone or before a last `chunked`, which is
 * 501 (RFC 9112 §6.1). A disguised `chunked`, twice, or not at the end, is an attack.
 */
const isUnknownCoding = (value: string): boolean => {
  if (/[^\t\x20-\x7e]/.test(value)) return false
  const codings = value.split(",").map((coding) => coding.trim().toLowerCase())
  if (codings.length > 1 && codings.pop() !== "chunked") return false
  return codings.every((coding) => /^[a-z][a-z0-9-]*$/.test(coding) && coding !== "chunked")
}

interface RequestLine {
  readonly method: string
  readonly target: string
  readonly authority: string | undefined
  readonly version: 10 | 11
}

/** `method SP request-target SP HTTP-version`, with exactly one space at each place (RFC 9112 §3). */
const readRequestLine = (line: string, maxTarget: number): RequestLine | ParseError => {
  let i = 0
  while (i < line.length && TOKEN[line.charCodeAt(i)] === 1) i++
  if (i === 0 || line.charCodeAt(i) !== 32) return parseError("RequestMalformed", "the request line has no method")
  const method = line.slice(0, i)
  const targetStart = ++i
  let c = 0
  // VCHAR without "#": a fragment is never sent (CVE-2023-45539), and bytes above 0x7e are to be escaped.
  while (i < line.length && (c = line.charCodeAt(i)) > 32 && c < 127 && c !== 35) i++
  if (i === targetStart || line.charCodeAt(i) !== 32)
    return parseError("RequestMalformed", "the request target is not valid")
  if (i - targetStart > maxTarget) return parseError("RequestTargetTooLong", "the request target is too long")
  const sent = line.slice(targetStart, i)
  const protocol = line.slice(i + 1)
  const version = protocol === "HTTP/1.1" ? 11 : protocol === "HTTP/1.0" ? 10 : undefined
  if (version === undefined) {
    return /^HTTP\/[0-9]\.[0-9]$/.test(protocol)
      ? parseError("VersionUnknown", "the HTTP version is not known")
      : parseError("RequestMalformed", "the request line has no valid version")
  }
  if (!methods.has(method)) {
    // RFC 9931: a refused CONNECT's following bytes are not HTTP. TRACE would show the client what we added.
    if (method === "CONNECT" || method === "TRACE") return parseError("MethodRefused", `${method} is not passed on`)
    return parseError("MethodUnknown", "the method is not known")
  }
  if (sent.charCodeAt(0) === 47) return { method, target: sent, authority: undefined, version }
  if (sent === "*") {
    if (method !== "OPTIONS") return parseError("RequestMalformed", "the target * is for OPTIONS only")
    return { method, target: sent, authority: undefined, version }
  }
  if (sent.slice(0, 7).toLowerCase() !== "http://")
    return parseError("RequestMalformed", "the request target has no known form")
  let end = 7
  while (end < sent.length && (c = sent.charCodeAt(end)) !== 47 && c !== 63) end++
  const rest = sent.slice(end)
  // RFC 9112 §3.2.4: an OPTIONS for a whole server keeps meaning that.
  const target = rest === "" ? (method === "OPTIONS" ? "*" : "/") : rest.charCodeAt(0) === 63 ? `/${rest}` : rest
  return { method, target, authority: sent.slice(7, end), version }
}
