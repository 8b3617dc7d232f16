import { headerValue } from "@project-ingress/forward"
import type { HeaderList } from "@project-ingress/forward"
import type { IncomingRequest } from "@project-ingress/forward/sockets"

/**
 * The fields that say who the client is, from its connection alone: for a sender that has not proven to be the router.
 * `host` is the public name.
 */
export const forwardedFields = (request: IncomingRequest, host: string): HeaderList => {
  const proto = request.encrypted ? "https" : "http"
  // A socket on :: shows IPv4 peers as ::ffff:192.0.2.1.
  const address = request.remoteAddress.replace(/^::ffff:(?=\d+\.)/i, "")
  const node = address === "" ? "unknown" : address.includes(":") ? `"[${address}]"` : address
  const quoted = host.replaceAll(/["\\]/g, "\\$&")
  return [
    "X-Forwarded-Host",
    host,
    "X-Forwarded-Proto",
    proto,
    ...(address === "" ? [] : ["X-Forwarded-For", address]),
    "Forwarded",
    // RFC 7239 §4 and §6: IPv6 and anything beyond a token is quoted.
    `for=${node};host="${quoted}";proto=${proto}`,
  ]
}

/**
 * The authority that the client used, from the router's `X-Forwarded-Host`; `undefined` if that is missing or invalid.
 * Only for the headers of a sender with a valid ticket.
 */
export const forwardedAuthority = (headers: HeaderList): string | undefined => {
  const match = /^[A-Za-z0-9._-]{1,253}(?::([1-9][0-9]{0,4}))?$/.exec(headerValue(headers, "x-forwarded-host") ?? "")
  return match !== null && Number(match[1] ?? 0) <= 65_535 ? match[0] : undefined
}
