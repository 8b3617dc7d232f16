/**
 * The names of the headers on the hop between router and machine proxy. All begin with one prefix, so that a single rule drops
 * those that a client or an app sends.
 */
export interface HopHeaderNames {
  /** The prefix of all these names, lower case: `x-iterate-proxy-`. */
  readonly prefix: string
  /** The prefix of all headers of the platform: `x-iterate-`. They are dropped from clients' requests and from apps' responses. */
  readonly family: string
  /** To the machine, which app: `<port>__<public hostname>`, `localhost:<port>`, `127.0.0.1:<port>` or a bare hostname. */
  readonly targetHost: string
  /** To the machine: the ticket, see `signTicket`. */
  readonly ticket: string
  /** To the app: the authority that the machine proxy was addressed by. A request that has it already is in a loop. */
  readonly via: string
  /** To the router: the stamp, on every response of the machine's own proxy. */
  readonly stamp: string
  /** To the client: the stable code of a generated response. */
  readonly error: string
  /** To the machine: the prefix of headers that a provider's edge would remove; the machine proxy restores them. */
  readonly tunnel: string
}

/**
 * The names with a prefix of your own: `hopHeaderNames("x-acme-proxy")`. It has 1 to 64 lower-case letters, digits and inner
 * hyphens, and no hyphen at its end. `_` and `.` are not allowed, because clients use them to spoof aliases.
 *
 * @throws {TypeError} if the prefix is invalid
 */
export const hopHeaderNames = (prefix: string): HopHeaderNames => {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/.test(prefix)) {
    throw new TypeError(`header prefix must be 1 to 64 of a-z, 0-9 and inner "-", got ${JSON.stringify(prefix)}`)
  }
  return {
    prefix: `${prefix}-`,
    family: prefix.endsWith("-proxy") ? prefix.slice(0, -"proxy".length) : `${prefix}-`,
    targetHost: `${prefix}-target-host`,
    ticket: `${prefix}-ticket`,
    via: `${prefix}-via`,
    stamp: `${prefix}-stamp`,
    error: `${prefix}-error`,
    tunnel: `${prefix}-fwd-`,
  }
}

/** The names that every package uses by default: `x-iterate-proxy-*`. */
export const defaultHeaderNames: HopHeaderNames = hopHeaderNames("x-iterate-proxy")
