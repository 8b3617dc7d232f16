import type { BodyRange, MessageEnd, RequestHead } from "./head.ts"
import type { ParseError } from "./parse-error.ts"
import { BodyReader } from "./body-reader.ts"
import { INVALID_IN_HEAD, TOKEN, hasToken, lengthOf, readFields } from "./fields.ts"
import { ReadBuffer } from "./read-buffer.ts"
import { parseError } from "./parse-error.ts"

/** Limits of a request, in bytes; `maxFields` is a number of fields. `Limits` of `./sockets` has the values and their reasons. */
export interface RequestLimits {
  readonly maxRequestHead: number
  readonly maxTarget: number
  readonly maxFields: number
  readonly maxChunkOverhead: number
}

/** Turns the bytes of one connection into events: the requests of a client, one after another. */
export interface RequestReader {
  /** Adds received bytes. They are not copied while nothing else is unread, so do not change them afterwards. */
  push(bytes: Uint8Array): void
  /** The peer has closed its side and will send no more. */
  end(): void
  /**
   * The next event, or `undefined` when more bytes are needed. A head with framing 0 is a whole message; any other is followed by
   * ranges of its body and an end. Nothing follows a refusal. However the input is split, the events are the same, except that a
   * body may come in other ranges. Never throws.
   */
  read(): RequestHead | BodyRange | MessageEnd | ParseError | undefined
  /** Removes and returns all unread bytes: after an upgrade they are no longer HTTP. */
  rest(): Uint8Array
  /** The number of unread bytes. */
  readonly buffered: number
  /** True between two requests: the last one is read, and no byte of the next has arrived. */
  readonly idle: boolean
}

const CRLFCRLF = Buffer.from("\r\n\r\n")
const CR = 13
const LF = 10

// The methods that IANA registers, and those that the parser of node:http knows. Others are refused: an unknown method may have a
// framing of its own.
const METHODS = new Set(
  (
    "GET HEAD POST PUT DELETE OPTIONS PATCH QUERY ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE " +
    "MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE M-SEARCH NOTIFY ORDERPATCH PROPFIND PROPPATCH PURGE REBIND " +
    "REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNCHECKOUT UNLINK UNLOCK UNSUBSCRIBE UPDATE UPDATEREDIRECTREF VERSION-CONTROL"
  ).split(" "),
)

/** Reads the requests of one client connection. */
export const requestReader = (limits: RequestLimits): RequestReader => new Reader(limits)

class Reader implements RequestReader {
  readonly #limits: RequestLimits
  readonly #buffer = new ReadBuffer()
  readonly #body: BodyReader
  #scanned = 0
  #lineChecked = false
  #refused = false
  /** The last valid authority: most requests of a connection have the same one. */
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
    buffer.start = end + 4
    this.#scanned = 0
    this.#lineChecked = false
    if (head.type === "head") this.#body.begin(head.framing)
    return head
  }

  /** Refuses an incomplete head that can no longer become valid, so that an invalid one does not wait for its time-out. */
  #readPartial(): ParseError | undefined {
    const { bytes, start } = this.#buffer
    const size = this.#buffer.size
    const from = Math.max(0, this.#scanned - 1)
    const added = bytes.toString("latin1", start + from)
    if (INVALID_IN_HEAD.test(added) || bytes[start] === LF) {
      return parseError("RequestMalformed", "the head has a control byte or a bare CR or LF")
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
    if (fields.doubled !== undefined) return parseError("RequestMalformed", `${fields.doubled} was sent twice`)

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
        // RFC 9112 §6.1: an unknown coding is a 501. A disguised `chunked` is an attempt to smuggle a request.
        return /^[a-z]+$/i.test(transferEncoding)
          ? parseError("CodingUnknown", "the transfer coding is unknown")
          : parseError("RequestMalformed", "Transfer-Encoding is not exactly chunked")
      }
      framing = "chunked"
    } else if (contentLength !== undefined) {
      const length = lengthOf(contentLength)
      if (length === undefined) return parseError("RequestMalformed", "Content-Length is invalid")
      framing = length
    }

    let expect = false
    // RFC 9110 §10.1.1: an expectation in HTTP/1.0 is ignored.
    if (fields.expect !== undefined && version === 11) {
      if (fields.expect.toLowerCase() !== "100-continue")
        return parseError("ExpectationFailed", "the expectation is unknown")
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
      // RFC 9112 §9.3: a proxy must not keep a connection open with an HTTP/1.0 client.
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
 * brackets, and a port of 1 to 65535. No userinfo, no escapes, no path: a URL that is built from it has this host (CVE-2026-33131).
 */
export const isAuthority = (value: string): boolean => {
  if (value.length > 261) return false
  const match = /^(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?$/.exec(value)
  return match !== null && (match[1] === undefined || Number(match[1]) <= 65_535)
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
  // VCHAR without "#": a fragment is never sent (CVE-2023-45539), and bytes above 0x7e must be escaped.
  while (i < line.length && (c = line.charCodeAt(i)) > 32 && c < 127 && c !== 35) i++
  if (i === targetStart || line.charCodeAt(i) !== 32)
    return parseError("RequestMalformed", "the request target is not valid")
  if (i - targetStart > maxTarget) return parseError("RequestTargetTooLong", "the request target is too long")
  const sent = line.slice(targetStart, i)
  const protocol = line.slice(i + 1)
  const version = protocol === "HTTP/1.1" ? 11 : protocol === "HTTP/1.0" ? 10 : undefined
  if (version === undefined) {
    return /^HTTP\/[0-9]\.[0-9]$/.test(protocol)
      ? parseError("VersionUnknown", "the HTTP version is unknown")
      : parseError("RequestMalformed", "the request line has no valid version")
  }
  if (!METHODS.has(method)) {
    // RFC 9931: the bytes after a refused CONNECT are not HTTP. TRACE would show the client the fields that we add.
    if (method === "CONNECT" || method === "TRACE") return parseError("MethodRefused", `${method} is not passed on`)
    return parseError("MethodUnknown", "the method is unknown")
  }
  if (sent.charCodeAt(0) === 47) return { method, target: sent, authority: undefined, version }
  if (sent === "*") {
    if (method !== "OPTIONS") return parseError("RequestMalformed", "the target * is valid for OPTIONS only")
    return { method, target: sent, authority: undefined, version }
  }
  if (sent.slice(0, 7).toLowerCase() !== "http://")
    return parseError("RequestMalformed", "the request target is neither a path nor an http URL")
  let end = 7
  while (end < sent.length && (c = sent.charCodeAt(end)) !== 47 && c !== 63) end++
  const rest = sent.slice(end)
  // RFC 9112 §3.2.4: an OPTIONS of a whole server is sent on with the target *.
  const target = rest === "" ? (method === "OPTIONS" ? "*" : "/") : rest.charCodeAt(0) === 63 ? `/${rest}` : rest
  return { method, target, authority: sent.slice(7, end), version }
}
