/** A `Request` as it arrived at a Worker, with what its runtime or the edge before it changed put right where that is possible. */
import type { HeaderList } from "@project-ingress/forward"
import { isWorkerd } from "@project-ingress/forward/internal"

/** Fields as a list, lower case; every `Set-Cookie` is a line of its own, because they cannot be joined (RFC 6265 §3). */
export const inboundFields = (request: Request): HeaderList => {
  const { cf } = request as Request & { readonly cf?: { readonly clientAcceptEncoding?: unknown } }
  // Cloudflare's edge asks for `br, gzip` in every client's name, and says here what the client's own field was.
  const accepted = typeof cf?.clientAcceptEncoding === "string" ? cf.clientAcceptEncoding : undefined
  const list: string[] = []
  for (const [name, value] of request.headers) {
    if (name === "accept-encoding" && accepted !== undefined) continue
    list.push(name, name === "cookie" && isWorkerd() ? withCookieSeparators(value) : value)
  }
  if (accepted !== undefined && accepted !== "") list.push("accept-encoding", accepted)
  return list
}

/** Between two cookies, or within one whose value is in quotation marks. */
const COOKIE_PARTS = /"[^";]*"|, (?=[!#$%&'*+.^_`|~\w-]+=)/g

/**
 * Several `Cookie` lines as one. workerd joins them by `, `, as it does all others, where only `; ` leaves them what they were
 * (RFC 6265 §5.4, RFC 9113 §8.2.3). A cookie's value holds neither a comma nor a space outside of quotation marks (RFC 6265 §4.1.1).
 */
const withCookieSeparators = (value: string): string =>
  value.includes(", ") ? value.replaceAll(COOKIE_PARTS, (part) => (part === ", " ? "; " : part)) : value

/**
 * The body of a request as far as it can be sent. Fetch knows no GET or HEAD with a body; workerd sends one of a known length with
 * the request that it came with, and drops any other. So one of no bytes is `null`, and one of unknown length is
 * `"unknown length"`. Reads nothing unless it must, and then the first piece; a promise only then.
 */
export const knownBody = (request: Request): KnownBody | Promise<KnownBody> => {
  const { body, headers, method } = request
  if (body === null || (method !== "GET" && method !== "HEAD")) return body
  const length = headers.get("content-length")
  if (length !== null) return /^0+$/.test(length) ? null : body
  return withFirstPiece(body)
}

/** A body that can be sent. */
export type KnownBody = ReadableStream<Uint8Array> | null | "unknown length"

const withFirstPiece = async (body: ReadableStream<Uint8Array>): Promise<KnownBody> => {
  const reader = body.getReader()
  const { done } = await reader.read()
  if (done) return null
  reader.cancel().catch(() => {})
  return "unknown length"
}
