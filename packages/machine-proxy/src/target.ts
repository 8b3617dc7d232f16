/** What the target header names. */
export interface LocalTarget {
  /** A port on loopback, 1 to 65535. */
  readonly port: number
  /** The public hostname, as sent; absent in the form `localhost:<port>`. Never resolved, never connected to. */
  readonly hostname?: string
}

/** `5173__` and a name. Digits before `__` are always a port, so `99999__x` is invalid and not a name. */
const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
const PUBLIC = new RegExp(`^(?:([1-9][0-9]{0,4})__)?(${LABEL}(?:\\.${LABEL})*)$`)
const LOCAL = /^(?:localhost|127\.0\.0\.1):([1-9][0-9]{0,4})$/i

// "65535__" and the longest hostname (RFC 1035 §2.3.4).
const MAX_HOSTNAME = 253
const MAX_LENGTH = 7 + MAX_HOSTNAME

/**
 * Reads the value of the only target header: `<port>__<hostname>`, a bare hostname (then `defaultPort`),
 * `localhost:<port>` or `127.0.0.1:<port>`. Everything else is `invalid`, above all other addresses with a port: only
 * this machine's loopback can be reached. Pure, linear, never throws; no URL parser and no DNS, because those find a
 * host in `localhost:80@evil.com` (CVE-2025-47269).
 *
 * A label may contain single underscores inside, as machine ids do (`mach_123`), never two in a row: `__` ends a port.
 */
export const parseTarget = (value: string | undefined, defaultPort: number): LocalTarget | "missing" | "invalid" => {
  if (value === undefined) return "missing"
  if (value.length > MAX_LENGTH) return "invalid"
  const found = PUBLIC.exec(value)
  if (found !== null) {
    const hostname = found[2]!
    if (hostname.length > MAX_HOSTNAME || hostname.includes("__")) return "invalid"
    const port = found[1] === undefined ? defaultPort : Number(found[1])
    return port > 65_535 ? "invalid" : { port, hostname }
  }
  const local = LOCAL.exec(value)
  if (local === null) return "invalid"
  const port = Number(local[1])
  return port > 65_535 ? "invalid" : { port }
}
