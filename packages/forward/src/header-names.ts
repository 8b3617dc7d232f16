/**
 * The headers of the hop between router and machine proxy. Every one begins with one prefix, so that a single rule drops
 * whatever a client or an app sends under it.
 */
export interface HopHeaderNames {
  /** What all the names begin with, lower case: `x-iterate-proxy-`. */
  readonly prefix: string
  /** What the platform's own headers begin with: `x-iterate-`. Dropped from clients and apps alike. */
  readonly family: string
  /** To the machine: `<port>__<public hostname>`, `localhost:<port>`, `127.0.0.1:<port>` or a bare hostname. */
  readonly targetHost: string
  /** To the machine: the signed permission, see `signTicket`. */
  readonly ticket: string
  /** To the app: the authority the machine proxy was addressed by. An inbound copy is proof of a loop. */
  readonly via: string
  /** To the router: proof that the machine's own proxy responded, on every response. */
  readonly stamp: string
  /** To the client: the stable code of a response that a proxy made. */
  readonly error: string
  /** To the app: the origin that the visitor sees, as in `https://4096__misha.iterate.app`. */
  readonly publicOrigin: string
  /**
   * To the machine: the request's id. To the client: the same, on a response that a proxy made. Of a client or an app it is
   * dropped.
   */
  readonly requestId: string
  /**
   * To the machine: the id of the session, token or link by which the visitor was let in, so that the machine proxy can end what is open when
   * access is withdrawn. Of a client it is dropped, and no app gets it.
   */
  readonly session: string
  /** To the machine: what the port speaks, where that is not HTTP/1.1: `h2c`. Believed where the ticket is; of a client it is dropped. */
  readonly protocol: string
  /** To a router of another region: who asked, and how often the request was sent on, signed. Of a client it is dropped. */
  readonly regionHop: string
  /** To the machine: names of the headers that were for the provider's edge alone, which the machine proxy takes off: `a, b`. */
  readonly edgeHeaders: string
  /** To the machine: prefix of headers that the provider's edge would intercept; the machine proxy restores them. */
  readonly tunnel: string
}

const PREFIX = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/

/**
 * The names under a prefix of 1 to 64 lower-case letters, digits and inner hyphens, without the last hyphen. Throws a
 * `TypeError` on any other: names with `_` or `.` are what clients spoof aliases with.
 */
export const hopHeaderNames = (prefix: string): HopHeaderNames => {
  if (!PREFIX.test(prefix)) {
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
    publicOrigin: `${prefix}-public-origin`,
    requestId: `${prefix}-request-id`,
    session: `${prefix}-session`,
    protocol: `${prefix}-protocol`,
    regionHop: `${prefix}-region-hop`,
    edgeHeaders: `${prefix}-edge-headers`,
    tunnel: `${prefix}-fwd-`,
  }
}

/** The names that every package uses by default: `x-iterate-proxy-*`. */
export const defaultHeaderNames: HopHeaderNames = hopHeaderNames("x-iterate-proxy")

/**
 * What is accepted, unless a value is what `hopHeaderNames` returns: names that do not share one prefix would not be removed
 * from what a client or an app sends. A check for `checkOptions`.
 */
export const validHeaderNames = (value: unknown): string | undefined => {
  const accepted = "what hopHeaderNames returns"
  if (typeof value !== "object" || value === null) return accepted
  const names = value as Readonly<Record<string, unknown>>
  const { prefix } = names
  if (typeof prefix !== "string" || !PREFIX.test(prefix.slice(0, -1))) return accepted
  const whole = Object.entries(hopHeaderNames(prefix.slice(0, -1)))
  return whole.every(([name, text]) => names[name] === text) ? undefined : accepted
}
