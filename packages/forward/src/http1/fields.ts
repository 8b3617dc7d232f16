import type { ParseError } from "./parse-error.ts"
import { parseError } from "./parse-error.ts"

/** 1 for each byte that a token may contain: methods and field names (RFC 9110 §5.6.2). */
export const TOKEN = new Uint8Array(256)
for (const c of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  TOKEN[c.charCodeAt(0)] = 1
/** 1 for each byte that a field value may contain: HTAB, SP, VCHAR and obs-text (RFC 9110 §5.5). */
const VALUE = new Uint8Array(256)
for (let c = 0x20; c < 256; c++) VALUE[c] = c === 0x7f ? 0 : 1
VALUE[9] = 1

/**
 * Matches what no head and no trailers can contain: a control byte, a bare CR or a bare LF (RFC 9112 §2.2). It is applied to each
 * part as it arrives, so that an invalid head is refused before it is complete. A CR that ends a part and a LF that begins one are
 * accepted: they may be the two halves of one CRLF.
 */
export const INVALID_IN_HEAD = /[^\r\n\t\x20-\x7e\x80-\xff]|[^\r]\n|\r[^\n]/

/** Matches what no field value and no reason phrase can contain (RFC 9110 §5.5). */
export const INVALID_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/

/** The fields of a head, and the values of those that decide about its framing and its connection. */
export interface Fields {
  /** All fields as sent: name, value, name, value … */
  readonly list: string[]
  host: string | undefined
  contentLength: string | undefined
  transferEncoding: string | undefined
  connection: string | undefined
  upgrade: string | undefined
  expect: string | undefined
  /** The first field that was sent more than once although it must not be. */
  doubled: string | undefined
}

/**
 * Reads field lines from `text[from]` to its end: `name: value`, with CRLF between lines and none after the last. One pass, in
 * linear time, and strict: no folding, no space before the colon, no empty name, no control byte, no bare CR or LF
 * (RFC 9112 §2.2, §5.1, §5.2). `text` is `bytes` from `base` on, one character per byte: comparing is faster on bytes, and
 * slicing is faster on text.
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
      if (bytes[i] !== 13 || bytes[i + 1] !== 10) return parseError(tag, "a field value has a control byte")
      i += 2
      if (i === end) return parseError(tag, "the head contains an empty line")
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

/** Whether a comma-separated list contains a token, given in lower case. Linear in the length of the list. */
export const hasToken = (list: string | undefined, token: string): boolean => {
  if (list === undefined) return false
  if (list.length === token.length) return list.toLowerCase() === token
  if (list.length < token.length) return false
  return list.split(",").some((item) => item.trim().toLowerCase() === token)
}

/** The value of a `Content-Length` in bytes: digits without leading zeros, at most 2^53 - 1; `undefined` if it is invalid. */
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
