import type { HeaderList } from "@project-ingress/forward"

/**
 * Ports by which visitors reach the router, beside the one that the scheme implies; `undefined`: any, because the host cannot know
 * which port is published in front of it.
 */
export type PublicPorts = readonly number[] | undefined

/**
 * An authority as a browser writes it (RFC 6454 §4, WHATWG URL): lower case, without the root dot and without the port that the
 * scheme implies. A port that is not public is left out: its client made it up, and an app that writes it into a link or a redirect
 * would have a cache or a mail show it to others.
 */
export const publicAuthority = (authority: string, scheme: "http" | "https", publicPorts: PublicPorts): string => {
  const colon = authority.lastIndexOf(":")
  const port = colon > authority.lastIndexOf("]") ? Number(authority.slice(colon + 1)) : Number.NaN
  const hasPort = port > 0
  const name = (hasPort ? authority.slice(0, colon) : authority).toLowerCase()
  const host = name.length > 1 && name.endsWith(".") && !name.endsWith("..") ? name.slice(0, -1) : name
  if (!hasPort || port === (scheme === "https" ? 443 : 80)) return host
  return publicPorts === undefined || publicPorts.includes(port) ? `${host}:${port}` : host
}

/** The fields with this one `Host`, so that whoever reads it reads what is decided on: an absolute-form or a proxy may name another. */
export const withHostField = (headers: HeaderList, host: string): HeaderList => {
  const at = headers.findIndex((name, i) => i % 2 === 0 && name.length === 4 && name.toLowerCase() === "host")
  return at < 0 || headers[at + 1] === host ? headers : headers.with(at + 1, host)
}
