/** A host as a browser writes it in an origin (RFC 6454 §4). */
export interface Authority {
  /** Lower case, without root dot and port. */
  readonly hostname: string
  /** The port that a client connects to, 1 to 65535. */
  readonly port: number
  /** The hostname, and the port where the scheme does not imply it. */
  readonly text: string
}

/** Letters, digits and `-_.`, and a port: no address in brackets, no user, nothing encoded (RFC 3986 §3.2). */
const AUTHORITY = /^([a-z\d_-]+(?:\.[a-z\d_-]+)*)\.?(?::(\d{1,5}))?$/
// RFC 1035 §2.3.4, a root dot and a port.
const MAX_LENGTH = 260

/** Reads an authority that somebody sent. `undefined` for one that no hostname of a route can be. */
export const readAuthority = (host: string, scheme: "http" | "https"): Authority | undefined => {
  const [, hostname, given] = host.length > MAX_LENGTH ? [] : (AUTHORITY.exec(host.toLowerCase()) ?? [])
  if (hostname === undefined) return undefined
  const own = scheme === "https" ? 443 : 80
  const port = given === undefined ? own : Number(given)
  if (port < 1 || port > 65_535) return undefined
  return { hostname, port, text: port === own ? hostname : `${hostname}:${port}` }
}
