import { setsCookie, withoutCookies } from "./edge-cookies.ts"
import type { HopHeaderNames } from "./header-names.ts"

/**
 * Alternating names and values in the order and with the bytes they had on the wire, one character per octet (latin1): the
 * shape of `rawHeaders` in node:http. Never an object, which loses order, repetition and case, and has a `__proto__`.
 */
export type HeaderList = readonly string[]

/** What one request is given for its next hop. All of it wins over what the client sent. */
export interface RequestHop {
  readonly headerNames: HopHeaderNames
  /** The `Host` to send. Absent where the platform's `fetch` writes it from the URL. */
  readonly host?: string
  /** Appended as `Via: 1.1 <pseudonym>`: a public word, never an internal name (RFC 9110 §7.6.3). */
  readonly pseudonym: string
  /**
   * Whether the sender proved to be our own router. Only its `X-Forwarded-*`, `Forwarded` and platform headers pass, and
   * only its tunnelled headers are restored; from anybody else they are dropped.
   */
  readonly trusted: boolean
  /** True for a WebSocket handshake, the one upgrade that is passed on. */
  readonly upgrade?: boolean
  /** True when the client waits for `100 Continue` and the next hop may answer it (RFC 9110 §10.1.1). */
  readonly expect?: boolean
  /** True when trailers of the answer reach the client: then the client's `TE: trailers` passes. */
  readonly trailers?: boolean
  /** Names of cookies that belong to a platform on the way: a client's own are dropped. */
  readonly edgeCookies?: readonly string[] | undefined
  /** Added last, so that nothing the client sends removes, precedes or doubles them. */
  readonly add: HeaderList
}

/** What one answer is given on its way back. */
export interface ResponseHop {
  readonly headerNames: HopHeaderNames
  /**
   * True when the answer bears our own machine proxy's stamp: then its error code reaches the client. From anybody else
   * the whole family is dropped, because an app must not speak in our name.
   */
  readonly stamped: boolean
  /** Names of cookies that a platform on the way sets for itself: dropped. */
  readonly edgeCookies?: readonly string[] | undefined
  /** Added last. */
  readonly add: HeaderList
}

/** The part of an answer that decides which of its fields make sense. */
export interface ResponseShape {
  readonly status: number
  /** True when the body goes on with chunked framing, which is what can carry trailers. */
  readonly chunked: boolean
}

/** Ends at this hop (RFC 9110 §7.6.1, and what deployed clients send under the same meaning). */
const HOP = 1
/** Claims to know who the client is or what it asked for: worthless from the client itself. */
const IDENTITY = 2
/** Is for everybody on the path, so `Connection` cannot name it away (RFC 9110 §7.6.1). */
const ESSENTIAL = 3
const CONNECTION = 4
const TE = 5
const TRAILER = 6
/** Commands a front server rather than the client: an app behind us must not (nginx `proxy_hide_header`, Fly replay). */
const FRONT = 7

/**
 * By length, alternately a name and its fate: most fields of a head are none of these, and to compare a few names of the same
 * length is cheaper than to hash every name that arrives.
 */
const fates: (string | number)[][] = Array.from({ length: 32 }, () => [])
const say = (fate: number, ...names: string[]) => names.forEach((name) => fates[name.length]!.push(name, fate))
const fateOf = (lower: string): number | undefined => {
  const known = fates[lower.length]
  if (known === undefined) return undefined
  for (let i = 0; i < known.length; i += 2) if (known[i] === lower) return known[i + 1] as number
  return undefined
}
say(HOP, "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "http2-settings")
say(HOP, "transfer-encoding", "upgrade", "expect")
say(CONNECTION, "connection")
say(TE, "te")
say(TRAILER, "trailer")
say(IDENTITY, "forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "x-cluster-client-ip", "x-original-url")
say(IDENTITY, "x-original-host", "x-rewrite-url", "x-host", "x-http-host-override")
// Becomes HTTP_PROXY in CGI-like apps (httpoxy, CVE-2016-5385).
say(IDENTITY, "proxy")
say(ESSENTIAL, "host", "content-length", "content-type", "content-encoding", "content-range", "authorization", "cookie")
say(ESSENTIAL, "set-cookie", "cache-control", "date", "origin", "etag", "vary", "location", "range", "accept")
say(ESSENTIAL, "sec-websocket-key", "sec-websocket-version", "sec-websocket-accept", "sec-websocket-protocol")
say(ESSENTIAL, "sec-websocket-extensions")
say(FRONT, "x-accel-redirect", "x-sendfile", "x-reproxy-url", "surrogate-control", "fly-replay", "fly-replay-cache")
say(FRONT, "alt-svc")

const identityPrefixes = ["x-forwarded-", "cf-", "fastly-"]
const isIdentity = (lower: string, fate: number | undefined) =>
  fate === IDENTITY || identityPrefixes.some((prefix) => lower.startsWith(prefix))

/** `X_Forwarded_For` and `X.Forwarded.For` reach an app's CGI-like variables as `X-Forwarded-For` (CVE-2026-39858). */
const isAlias = (lower: string, names: HopHeaderNames): boolean => {
  if (!lower.includes("_") && !lower.includes(".")) return false
  const plain = lower.replaceAll(/[_.]/g, "-")
  return plain.startsWith(names.family) || plain.startsWith(names.prefix) || isIdentity(plain, fateOf(plain))
}

/** The names that `Connection` lists, lower case, without those it has no power over. Linear in its length. */
const connectionOptions = (list: HeaderList): Set<string> | undefined => {
  let named: Set<string> | undefined
  for (let i = 0; i < list.length; i += 2) {
    if (list[i]!.length !== 10 || list[i]!.toLowerCase() !== "connection") continue
    const value = list[i + 1]!
    if (value === "keep-alive" || value === "close" || value === "Upgrade") continue
    for (const option of value.split(",")) {
      const name = option.trim().toLowerCase()
      if (name !== "" && fateOf(name) !== ESSENTIAL) (named ??= new Set()).add(name)
    }
  }
  return named
}

/**
 * The fields to send on with a request: strips first, adds last (the other order lets a client delete our headers by naming
 * them in `Connection`: CVE-2026-33805, CVE-2024-45410, CVE-2022-31813). Names, values, order and repetition of all others
 * stay as they came; `inbound` is not touched. `Transfer-Encoding` is the sender's to write, who knows the framing.
 */
export const requestHeaders = (inbound: HeaderList, hop: RequestHop): string[] => {
  const { headerNames: names, trusted } = hop
  const named = connectionOptions(inbound)
  const out: string[] = []
  let host = hop.host
  let restored: string[] | undefined
  let te = false
  for (let i = 0; i < inbound.length; i += 2) {
    const name = inbound[i]!
    const lower = name.toLowerCase()
    const fate = fateOf(lower)
    if (fate !== undefined) {
      if (fate === TE) te ||= hop.trailers === true && /(?:^|,)[ \t]*trailers[ \t]*(?:,|$)/i.test(inbound[i + 1]!)
      if (fate !== ESSENTIAL && fate !== FRONT && !(fate === IDENTITY && trusted)) continue
      if (lower === "host") continue
    }
    if (named !== undefined && named.has(lower)) continue
    if (lower.startsWith(names.prefix)) {
      if (trusted && lower.startsWith(names.tunnel)) (restored ??= []).push(lower, inbound[i + 1]!)
      continue
    }
    if (!trusted && (lower.startsWith(names.family) || isIdentity(lower, fate))) continue
    if (isAlias(lower, names)) continue
    if (hop.edgeCookies !== undefined && lower === "cookie") {
      const kept = withoutCookies(inbound[i + 1]!, hop.edgeCookies)
      if (kept !== undefined) out.push(name, kept)
    } else out.push(name, inbound[i + 1]!)
  }
  if (restored !== undefined) {
    for (let i = 0; i < restored.length; i += 2) {
      const name = restored[i]!.slice(names.tunnel.length)
      const fate = fateOf(name)
      if (name === "host") host = restored[i + 1]!
      else if (fate === undefined || fate === ESSENTIAL || fate === IDENTITY) set(out, name, restored[i + 1]!)
    }
  }
  if (host !== undefined) out.unshift("Host", checked(host))
  if (hop.upgrade === true) out.push("Connection", te ? "Upgrade, TE" : "Upgrade", "Upgrade", "websocket")
  else if (te) out.push("Connection", "TE")
  if (te) out.push("TE", "trailers")
  if (hop.expect === true) out.push("Expect", "100-continue")
  out.push("Via", `1.1 ${hop.pseudonym}`)
  for (const item of hop.add) out.push(checked(item))
  return out
}

/** The fields to send back with an answer, by the same rule: strip, then add. */
export const responseHeaders = (inbound: HeaderList, hop: ResponseHop, shape: ResponseShape): string[] => {
  const { headerNames: names } = hop
  const named = connectionOptions(inbound)
  const out: string[] = []
  let dated = false
  for (let i = 0; i < inbound.length; i += 2) {
    const name = inbound[i]!
    const lower = name.toLowerCase()
    const fate = fateOf(lower)
    if (fate !== undefined && fate !== ESSENTIAL && fate !== IDENTITY && !(fate === TRAILER && shape.chunked)) continue
    if (named !== undefined && named.has(lower)) continue
    if (lower.startsWith(names.family) || lower.startsWith(names.prefix)) {
      if (!(hop.stamped && lower === names.error)) continue
    }
    if (isAlias(lower, names)) continue
    // RFC 9110 §8.6: no Content-Length on 1xx and 204.
    if (lower === "content-length" && (shape.status === 204 || shape.status < 200)) continue
    if (lower === "date") dated = true
    if (hop.edgeCookies !== undefined && lower === "set-cookie" && setsCookie(inbound[i + 1]!, hop.edgeCookies))
      continue
    out.push(name, inbound[i + 1]!)
  }
  if (shape.status === 101) out.push("Connection", "Upgrade", "Upgrade", "websocket")
  // RFC 9110 §15.5.22: a 426 names the protocol it wants; the client may only be offered the one we pass on.
  if (shape.status === 426) out.push("Connection", "Upgrade", "Upgrade", "websocket")
  // RFC 9110 §6.6.1: a recipient with a clock adds the Date that is missing.
  if (!dated && shape.status >= 200) out.push("Date", httpDate())
  for (const item of hop.add) out.push(item)
  return out
}

/**
 * The trailers that may go on. Never what frames, routes, authenticates or describes the body: those had to be known before
 * it (RFC 9110 §6.5.1), and a recipient that merges trailers into headers would believe them.
 */
export const endToEndTrailers = (inbound: HeaderList, names: HopHeaderNames): string[] => {
  const out: string[] = []
  for (let i = 0; i < inbound.length; i += 2) {
    const lower = inbound[i]!.toLowerCase()
    const fate = fateOf(lower)
    if (fate !== undefined && lower !== "etag") continue
    if (lower.startsWith(names.family) || lower.startsWith(names.prefix) || isIdentity(lower, fate)) continue
    if (lower === "via" || lower.startsWith("content-") || lower.startsWith("www-auth") || isAlias(lower, names))
      continue
    out.push(inbound[i]!, inbound[i + 1]!)
  }
  return out
}

/** The first value of a field, by lower-case name. */
export const headerValue = (list: HeaderList, lower: string): string | undefined => {
  for (let i = 0; i < list.length; i += 2) {
    if (list[i]!.length === lower.length && list[i]!.toLowerCase() === lower) return list[i + 1]!
  }
  return undefined
}

/** All values of a field, by lower-case name, in order. What must be single is refused when this has two. */
export const headerValues = (list: HeaderList, lower: string): readonly string[] => {
  const values: string[] = []
  for (let i = 0; i < list.length; i += 2) {
    if (list[i]!.length === lower.length && list[i]!.toLowerCase() === lower) values.push(list[i + 1]!)
  }
  return values
}

/**
 * What did not come off the wire was not checked by a reader: a CR or LF in it would begin another field, and so would a
 * character above U+00FF, which one octet cannot hold.
 */
const checked = (text: string): string => {
  if (/[^\t\x20-\x7e\x80-\xff]/.test(text))
    throw new TypeError("a header to add has a control octet or a wide character")
  return text
}

const set = (list: string[], lower: string, value: string): void => {
  for (let i = list.length - 2; i >= 0; i -= 2) if (list[i]!.toLowerCase() === lower) list.splice(i, 2)
  list.push(lower, value)
}

let dateText = ""
let dateSecond = 0
/** The time as RFC 9110 §5.6.7 writes it; made once a second, because every answer needs it. */
export const httpDate = (): string => {
  const second = Math.floor(Date.now() / 1000)
  if (second !== dateSecond) {
    dateSecond = second
    dateText = new Date(second * 1000).toUTCString()
  }
  return dateText
}
