import type { HeaderList } from "../header-list.ts"
import { INVALID_IN_VALUE } from "./fields.ts"

/**
 * How a body is framed when it is sent: its length in bytes, or how its end is marked. `none` keeps the framing fields that are
 * given, as for HEAD and 304.
 */
export type BodyFraming = number | "chunked" | "until-close" | "none"

/**
 * The head of a request to send on, one character per byte. Framing fields among `headers` are dropped and those of `framing`
 * written. Checks nothing: `headers` must be valid, as those of a reader are.
 */
export const requestHeadText = (method: string, target: string, headers: HeaderList, framing: BodyFraming): string =>
  `${method} ${target} HTTP/1.1\r\n${fieldsText(headers, framing)}\r\n`

/** The head of a response to send, under the rules of {@link requestHeadText}. `close` adds `Connection: close`. */
export const responseHeadText = (
  status: number,
  reason: string,
  headers: HeaderList,
  framing: BodyFraming,
  close: boolean,
): string =>
  `HTTP/1.1 ${status} ${reason}\r\n${fieldsText(headers, framing)}${close ? "Connection: close\r\n\r\n" : "\r\n"}`

/** The last chunk and the trailers after it, one character per byte. Checks nothing. */
export const lastChunkText = (trailers: HeaderList): string =>
  trailers.length === 0 ? "0\r\n\r\n" : `0\r\n${fieldsText(trailers, "none")}\r\n`

/**
 * Checks fields that no reader has checked. Not allowed are CR, LF, NUL, other control characters, and characters above U+00FF:
 * latin1 would turn those into one of the former.
 *
 * @throws {TypeError} if a name is not a token or a value contains such a character
 */
export const checkFields = (headers: HeaderList): void => {
  for (let i = 0; i < headers.length; i += 2) {
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(headers[i]!)) throw new TypeError("a header name is not a token")
    if (INVALID_IN_VALUE.test(headers[i + 1]!)) throw new TypeError(`header ${headers[i]} has an invalid value`)
  }
}

const fieldsText = (headers: HeaderList, framing: BodyFraming): string => {
  let text = ""
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (framing !== "none" && (name.length === 14 || name.length === 17)) {
      const lower = name.toLowerCase()
      if (lower === "content-length" || lower === "transfer-encoding") continue
    }
    text += name + ": " + headers[i + 1]! + "\r\n"
  }
  if (framing === "chunked") return text + "Transfer-Encoding: chunked\r\n"
  if (typeof framing === "number") return text + "Content-Length: " + framing + "\r\n"
  return text
}
