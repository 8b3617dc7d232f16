import type { ParseError } from "./parse-error.ts"
import { parseError } from "./parse-error.ts"

/** 1 for the bytes of a token: methods and field names (RFC 9110 §5.6.2). */
export const TOKEN = new Uint8Array(256)
for (const c of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  TOKEN[c.charCodeAt(0)] = 1
/** 1 for the bytes of a field value: HTAB, SP, VCHAR and obs-text (RFC 9110 §5.5). */
const VALUE = new Uint8Array(256)
for (let c = 0x20; c < 256; c++) VALUE[c] = c === 0x7f ? 0 : 1
VALUE[9] = 1

/**
 * Finds in a part of a head or of trailers what neither can have: a control character, a bare CR or LF (RFC 9112 §2.2). So what
 * is still coming in is refused at once. A CR at the part's end may be half a line end, a LF at its beginning the other half.
 */
export const INVALID_IN_HEAD = /[^\r\n\t\x20-\x7e\x80-\xff]|[^\r]\n|\r[^\n]/

/** The fields of a head, and those among them that say something about framing and connection. */
export interface Fields {
  readonly list: string[]
  host: string | undefined
  contentLength: string | undefined
  transferEncoding: string | undefined
  connection: string | undefined
  upgrade: string | undefined
  expect: string | undefined
  /** A field that came twice and must not. */
  doubled: string | undefined
}

/**
 * Reads field lines from `text[from]` to its end: `name: value` with CRLF between lines and none after the last. One
 * pass, linear, strict: no folding, no space before the colon, no empty name, no control character, no bare CR
 * or LF (RFC 9112 §2.2, §5.1, §5.2). `text` is `bytes` from `base` on, one character per byte: bytes are compared in the one
 * and names and values cut out of the other, which is what either is fast at.
 */
export const readFields = (
  bytes: Uint8Array,
  base: number,
  text: string,
  from: number,
  maxFields: number,
  tag: ParseError["tag"],
): Fields | ParseError => {
  const list: string[] = []
  const fields: Fields = {
    list,
    host: undefined,
    contentLength: undefined,
    transferEncoding: undefined,
    connection: undefined,
    upgrade: undefined,
    expect: undefined,
    doubled: undefined,
  }
  const end = base + text.length
  let i = base + from
  while (i < end) {
    const nameStart = i
    while (i < end && TOKEN[bytes[i]!] === 1) i++
    if (i === nameStart || i === end || bytes[i] !== 58) return parseError(tag, "a field line has no valid name")
    const name = text.slice(nameStart - base, i - base)
    i++
    let c = 0
    while (i < end && ((c = bytes[i]!) === 32 || c === 9)) i++
    const valueStart = i
    while (i < end && VALUE[bytes[i]!] === 1) i++
    let valueEnd = i
    while (valueEnd > valueStart && ((c = bytes[valueEnd - 1]!) === 32 || c === 9)) valueEnd--
    if (i < end) {
      if (bytes[i] !== 13 || bytes[i + 1] !== 10) return parseError(tag, "a field value has a control character")
      i += 2
      if (i === end) return parseError(tag, "an empty line is inside the head")
    }
    const value = text.slice(valueStart - base, valueEnd - base)
    list.push(name, value)
    if (list.length > maxFields * 2) {
      return parseError(tag === "RequestMalformed" ? "RequestHeadTooLarge" : tag, "the head has too many fields")
    }
    switch (name.length) {
      case 4:
        if (isName(name, "host")) fields.host = once(fields, "Host", fields.host, value)
        break
      case 6:
        if (isName(name, "expect")) fields.expect = once(fields, "Expect", fields.expect, value)
        break
      case 7:
        if (isName(name, "upgrade")) fields.upgrade = join(fields.upgrade, value)
        break
      case 10:
        if (isName(name, "connection")) fields.connection = join(fields.connection, value)
        break
      case 14:
        if (isName(name, "content-length")) {
          fields.contentLength = once(fields, "Content-Length", fields.contentLength, value)
        }
        break
      case 17:
        if (isName(name, "transfer-encoding")) {
          fields.transferEncoding = once(fields, "Transfer-Encoding", fields.transferEncoding, value)
        }
        break
    }
  }
  return fields
}

/** Whether a comma-separated list has a token, by lower-case name. Linear. */
export const hasToken = (list: string | undefined, token: string): boolean => {
  if (list === undefined) return false
  if (list.length === token.length) return list.toLowerCase() === token
  if (list.length < token.length) return false
  return list.split(",").some((item) => item.trim().toLowerCase() === token)
}

/** Bytes of a `Content-Length`: digits without leading zeros, at most 2^53 - 1; otherwise `undefined`. */
export const lengthOf = (value: string): number | undefined => {
  if (value.length === 0 || value.length > 16 || (value.length > 1 && value.charCodeAt(0) === 48)) return undefined
  let n = 0
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return undefined
    n = n * 10 + digit
  }
  return n <= Number.MAX_SAFE_INTEGER ? n : undefined
}

const isName = (name: string, lower: string): boolean => name === lower || name.toLowerCase() === lower

const join = (before: string | undefined, value: string): string =>
  before === undefined ? value : `${before},${value}`

const once = (fields: Fields, name: string, before: string | undefined, value: string): string => {
  if (before !== undefined) fields.doubled ??= name
  return value
}
