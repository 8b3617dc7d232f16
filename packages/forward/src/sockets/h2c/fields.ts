import type { OutgoingHttpHeaders } from "node:http2"
import type { HeaderList } from "../../header-list.ts"
import type { ResponseHead } from "../../http1/head.ts"
import type { ParseError } from "../../http1/parse-error.ts"
import type { OutgoingHead } from "../connection/upstream.ts"
import { INVALID_IN_VALUE } from "../../field-syntax.ts"
import { isGrpc } from "../../grpc-status.ts"
import { connectionFields } from "../../header-rules.ts"
import { lengthOf } from "../../http1/fields.ts"
import { parseError } from "../../http1/parse-error.ts"

/** What HTTP/2 says in another way, or may not say (RFC 9113 §8.2.2); `te` is written below. */
const withheld: ReadonlySet<string> = new Set([...connectionFields, "host", "http2-settings"])

/**
 * A request's fields for HTTP/2: `Host` becomes `:authority` and names are lower case (RFC 9113 §8.2, §8.3.1). The lines of a
 * cookie are one (§8.2.3), because few apps put them together.
 */
export const requestFields = (
  { method, target, headers, upgrade }: OutgoingHead,
  scheme: "http" | "https",
): OutgoingHttpHeaders => {
  // Without a prototype: `__proto__` is a field's name like any other.
  const fields: OutgoingHttpHeaders = Object.create(null) as OutgoingHttpHeaders
  // RFC 8441 §4.
  fields[":method"] = upgrade ? "CONNECT" : method
  if (upgrade) fields[":protocol"] = "websocket"
  fields[":scheme"] = scheme
  fields[":path"] = target
  for (let i = 0; i < headers.length; i += 2) {
    const lower = headers[i]!.toLowerCase()
    const value = headers[i + 1]!
    if (lower === "host") fields[":authority"] = value
    else if (lower === "te") fields["te"] = "trailers"
    if (withheld.has(lower) || (upgrade && lower === "sec-websocket-key")) continue
    const before = fields[lower]
    if (before === undefined) fields[lower] = value
    else if (lower === "cookie") fields[lower] = `${String(before)}; ${value}`
    else fields[lower] = [before, value].flat() as string[]
  }
  return fields
}

/** What a response's head depends on beside its fields. */
export interface ResponseShape {
  readonly method: string
  /** Whether the stream ended with it. */
  readonly ended: boolean
  readonly maxFields: number
}

/** The head of a response, final or interim, of its fields as they came; or why it is invalid. */
export const responseHead = (
  raw: readonly string[],
  { method, ended, maxFields }: ResponseShape,
): ResponseHead | ParseError => {
  const headers = regularFields(raw, [":status"], maxFields)
  if ("type" in headers) return headers
  // RFC 9113 §8.6: there is no 101.
  const status = raw[0] === ":status" && /^[1-5]\d\d$/.test(raw[1]!) ? Number(raw[1]) : 101
  if (status === 101) return malformed("the response has no valid status")
  const list = [...headers.list]
  const { contentLength } = headers
  const length = contentLength === undefined ? undefined : lengthOf(contentLength)
  if (contentLength !== undefined && length === undefined) return malformed("Content-Length is not a valid length")
  const bodiless = status < 200 || status === 204 || status === 304 || method === "HEAD"
  // A status that is the end of its own message ("Trailers-Only") has an empty body as HTTP/1.1 says it, and keeps being one.
  if (ended && !bodiless && length === undefined) list.push("content-length", "0")
  // In HTTP/1.1 no trailers follow a body with a length.
  const framing = bodiless || ended ? 0 : length === undefined || isGrpc(headers.contentType) ? "chunked" : length
  return { type: "head", status, reason: "", version: 11, headers: list, framing, upgrade: false, keepAlive: false }
}

/** A response's trailers of their fields as they came, or why they are invalid. */
export const trailerFields = (raw: readonly string[], maxFields: number): HeaderList | ParseError => {
  const fields = regularFields(raw, [], maxFields)
  return "type" in fields ? fields : fields.list
}

interface RegularFields {
  readonly list: HeaderList
  readonly contentLength: string | undefined
  readonly contentType: string | undefined
}

/** Takes nothing on trust that the HTTP/2 of the runtime should have refused: it becomes text for the next hop (RFC 9113 §10.3). */
const regularFields = (
  raw: readonly string[],
  pseudo: readonly string[],
  maxFields: number,
): RegularFields | ParseError => {
  const list: string[] = []
  let contentLength: string | undefined
  let contentType: string | undefined
  if (raw.length > (maxFields + pseudo.length) * 2) return malformed("the head has too many fields")
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!
    const value = raw[i + 1]!
    if (i < pseudo.length * 2 && pseudo.includes(name)) continue
    if (!NAME.test(name)) return malformed("a field has no valid name")
    if (INVALID_IN_VALUE.test(value)) return malformed("a field value has a control character")
    if (connectionFields.includes(name) && name !== "trailer") return malformed(`${name} is not a field of HTTP/2`)
    if (name === "content-length") {
      if (contentLength !== undefined) return malformed("Content-Length comes twice")
      contentLength = value
    } else if (name === "content-type") contentType ??= value
    list.push(name, value)
  }
  return { list, contentLength, contentType }
}

/** A token in lower case (RFC 9113 §8.2.1). */
const NAME = /^[!#$%&'*+\-.^_`|~\da-z]+$/

const malformed = (reason: string): ParseError => parseError("UpstreamMalformed", reason)
