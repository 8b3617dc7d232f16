import type { HopHeaderNames } from "./header-names.ts"
import type { HeaderList } from "./header-list.ts"

/** Ends at this hop (RFC 9110 §7.6.1, and what deployed clients send with the same meaning). */
export const HOP_BY_HOP = 1
/** Claims to know who the client is or what it asked for: worthless from the client itself. */
export const IDENTITY = 2
/** Is for everybody on the path, so that `Connection` cannot name it away (RFC 9110 §7.6.1). */
export const ESSENTIAL = 3
export const CONNECTION = 4
export const TE = 5
export const TRAILER = 6
/** Commands a front server rather than the client, see {@link isServerDirective}. */
export const SERVER_DIRECTIVE = 7
/** Tells caches what they may keep. As essential as the others, and hidden from caches between machine and router. */
export const CACHING = 8
/** Says which proxies a response has passed, see {@link withoutOwnStatus}. */
export const PROXY_STATUS = 9

/**
 * By length, alternately a name and its rule: most fields of a head are not among these, and to compare a few names of the same
 * length is cheaper than to hash every name that arrives.
 */
const headerRules: (string | number)[][] = Array.from({ length: 32 }, () => [])
const addRule = (rule: number, ...names: string[]) =>
  names.forEach((name) => headerRules[name.length]!.push(name, rule))

/** The rule for a field, by lower-case name; `undefined` for one that simply goes on. */
export const ruleFor = (lower: string): number | undefined => {
  const known = headerRules[lower.length]
  if (known === undefined) return undefined
  for (let i = 0; i < known.length; i += 2) if (known[i] === lower) return known[i + 1] as number
  return undefined
}
addRule(HOP_BY_HOP, "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "http2-settings")
addRule(HOP_BY_HOP, "transfer-encoding", "upgrade", "expect")
addRule(CONNECTION, "connection")
addRule(TE, "te")
addRule(TRAILER, "trailer")
addRule(IDENTITY, "forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "x-cluster-client-ip", "x-original-url")
addRule(IDENTITY, "x-original-host", "x-rewrite-url", "x-host", "x-http-host-override")
// Becomes HTTP_PROXY in CGI-like apps (httpoxy, CVE-2016-5385).
addRule(IDENTITY, "proxy")
// Say which file an app's front server is to send, if one asks for it (Rack: CVE-2025-61780, Plack: CVE-2026-7381).
addRule(IDENTITY, "x-sendfile-type", "x-accel-mapping")
addRule(
  ESSENTIAL,
  "host",
  "content-length",
  "content-type",
  "content-encoding",
  "content-range",
  "authorization",
  "cookie",
)
// RFC 9111 §5.2, RFC 9213, and the one field that precedes both at one vendor's edge.
addRule(CACHING, "cache-control", "cdn-cache-control", "cloudflare-cdn-cache-control")
addRule(ESSENTIAL, "set-cookie", "date", "origin", "etag", "vary", "location", "range", "accept")
addRule(ESSENTIAL, "sec-websocket-key", "sec-websocket-version", "sec-websocket-accept", "sec-websocket-protocol")
addRule(ESSENTIAL, "sec-websocket-extensions")
// Precedes `Cache-Control` at Akamai's edge, where it would keep one app's response for another's.
addRule(SERVER_DIRECTIVE, "edge-control")
addRule(SERVER_DIRECTIVE, "alt-svc")
addRule(PROXY_STATUS, "proxy-status")

/** Fields of one connection, which only the engine writes (RFC 9110 §7.6.1, RFC 9112 §6). */
export const connectionFields: readonly string[] = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]

const identityPrefixes = ["x-forwarded-", "cf-", "fastly-"]
/** Whether a field claims to know who the client is, by lower-case name and its rule. */
export const isIdentity = (lower: string, rule: number | undefined) =>
  rule === IDENTITY || identityPrefixes.some((prefix) => lower.startsWith(prefix))

/** {@link isIdentity} for a caller that has only the name, lower case. */
export const isIdentityField = (lower: string): boolean => isIdentity(lower, ruleFor(lower))

/**
 * Families of commands: nginx (`X-Accel-Redirect`, `-Expires`, `-Limit-Rate`, `-Buffering`, `-Charset`), Apache, lighttpd and Caddy
 * (`X-Sendfile`, `X-Sendfile2`, `X-Sendfile-Temporary`, `X-LIGHTTPD-send-file`), LiteSpeed (`X-LiteSpeed-Location`,
 * `-Cache-Control`, `-Purge`), Perlbal and H2O (`X-Reproxy-URL`, `-File`, `-Service`), Envoy
 * (`X-Envoy-Immediate-Health-Check-Fail`, which takes the whole router out of its cluster), caches (`Surrogate-Control`,
 * `Surrogate-Key`), Fly (`fly-replay`).
 */
const DIRECTIVE = /^(?:x-(?:accel-|sendfile|lighttpd-|litespeed-|reproxy-|envoy-)|surrogate-|fly-replay)/
/**
 * Whether a field of a response, by lower-case name and its rule, commands a front server rather than the client. An app
 * behind us must not: the server would send its own files, ask its own network, or keep one app's response for another's.
 */
export const isServerDirective = (lower: string, rule: number | undefined): boolean =>
  rule === SERVER_DIRECTIVE || DIRECTIVE.test(lower)

/** {@link isServerDirective} for a caller that has only the name, lower case. */
export const isServerDirectiveField = (lower: string): boolean => isServerDirective(lower, ruleFor(lower))

/**
 * Whether a field, by lower-case name, reaches an app's CGI-like variables under the name of one that would not have passed:
 * `X_Forwarded_For`, `X.Forwarded.For` and `X*Forwarded~For` are all `HTTP_X_FORWARDED_FOR` there (CVE-2026-39858), because
 * servers fold to `_` whatever is no letter and no digit.
 */
export const isAlias = (lower: string, names: HopHeaderNames): boolean => {
  if (!FOLDED.test(lower)) return false
  const plain = lower.replaceAll(/[^a-z0-9]/g, "-")
  return plain.startsWith(names.family) || plain.startsWith(names.prefix) || isIdentity(plain, ruleFor(plain))
}

/** Finds in a lower-case name what folds and is not the `-` that names are written with (RFC 9110 §5.6.2). */
const FOLDED = /[!#$%&'*+.^_`|~]/

const isEssential = (rule: number | undefined): boolean => rule === ESSENTIAL || rule === CACHING

/** The names that `Connection` lists, lower case, without those it has no power over. Linear in its length. */
export const connectionOptions = (list: HeaderList): Set<string> | undefined => {
  let named: Set<string> | undefined
  for (let i = 0; i < list.length; i += 2) {
    if (list[i]!.length !== 10 || list[i]!.toLowerCase() !== "connection") continue
    const value = list[i + 1]!
    if (value === "keep-alive" || value === "close" || value === "Upgrade") continue
    for (const option of value.split(",")) {
      const name = option.trim().toLowerCase()
      if (name !== "" && !isEssential(ruleFor(name))) (named ??= new Set()).add(name)
    }
  }
  return named
}
