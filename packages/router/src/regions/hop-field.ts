import type { SigningKey } from "@project-ingress/forward"
import {
  base64url,
  derivedBytes,
  escapedTarget,
  framed,
  hmacKey,
  isAuthority,
  isRequestId,
} from "@project-ingress/forward/internal"
import { clientAddressOf } from "../program/sender.ts"
import type { ArrivedHop, HopRequest } from "../program/arrived-hop.ts"

/** What a hop says, and to whom. */
export interface Hop extends ArrivedHop {
  /** The region that may accept it. */
  readonly to: string
}

/** Why a hop is not accepted. */
export type HopRefusal = "malformed" | "unsigned" | "expired" | "misdirected"

/** Signs and verifies the field by which a router says whose request it sends to another region. */
export interface HopField {
  readonly sign: (hop: Hop, request: Pick<HopRequest, "method" | "path">) => Promise<string>
  /** For the region `to`. Never rejects. */
  readonly verify: (
    value: string,
    to: string,
    request: Pick<HopRequest, "method" | "path">,
  ) => Promise<ArrivedHop | HopRefusal>
}

/** How long a hop is valid, in ms: longer than a connection may take, and than a request waits for a free one. */
const VALID_MS = 30_000
/** By how much the clocks of two regions may disagree, in ms. */
const CLOCK_SKEW_MS = 5_000
/** How often a request may be sent from region to region. */
export const MAX_HOPS = 3
/** A host has 259 characters at most; what is longer than any of ours is refused before it costs anything. */
const MAX_LENGTH = 2_048

const PURPOSE = "project-ingress/region-hop/1"

/**
 * `<claims>.<MAC>`, both base64url: JSON, and HMAC-SHA-256 over it and over the method and path that it came with, by a key that is
 * derived from the secret half of the first of `keys`. So a hop that somebody has read is good for the same method and path at
 * the same host in the same region only, for half a minute, and says nothing but whose request that was. Each of the keys
 * verifies, so that they rotate without a moment at which two regions do not understand each other.
 */
export const hopField = (keys: readonly SigningKey[]): HopField => {
  const secrets = keys.map(async (key) => hmacKey(await derivedBytes(key, PURPOSE)))
  for (const secret of secrets) secret.catch(() => {})

  const sign: HopField["sign"] = async (hop, request) => {
    const { from, to, hops, host, scheme, clientAddress, localPort, requestId } = hop
    const until = Date.now() + VALID_MS
    const claims = { from, to, hops, host, scheme, clientAddress, localPort, requestId, until }
    const text = base64url.encode(JSON.stringify(claims))
    const mac = await crypto.subtle.sign("HMAC", await secrets[0]!, signedText(text, request))
    return `${text}.${base64url.encode(new Uint8Array(mac))}`
  }

  const isSigned = async (text: string, mac: Uint8Array<ArrayBuffer>, request: Parameters<HopField["sign"]>[1]) => {
    const signed = signedText(text, request)
    for (const secret of secrets) {
      if (await crypto.subtle.verify("HMAC", await secret, mac, signed)) return true
    }
    return false
  }

  const verify: HopField["verify"] = async (value, to, request) => {
    const found = value.length > MAX_LENGTH ? null : FIELD.exec(value)
    if (found === null) return "malformed"
    try {
      // Nothing is read of what is not signed.
      if (!(await isSigned(found[1]!, new Uint8Array(base64url.decode(found[2]!)), request))) return "unsigned"
      return acceptedHop(JSON.parse(new TextDecoder().decode(base64url.decode(found[1]!))), to)
    } catch {
      return "malformed"
    }
  }

  return { sign, verify }
}

const FIELD = /^([\w-]{1,1980})\.([\w-]{43})$/

const acceptedHop = (claims: Readonly<Record<string, unknown>>, self: string): ArrivedHop | HopRefusal => {
  const { from, to, hops, host, scheme, clientAddress, localPort, requestId, until } = claims
  if (typeof until !== "number" || typeof from !== "string" || typeof hops !== "number") return "malformed"
  if (typeof host !== "string" || !isAuthority(host) || (scheme !== "http" && scheme !== "https")) return "malformed"
  if (typeof requestId !== "string" || !isRequestId(requestId)) return "malformed"
  const isPort = typeof localPort === "number" && Number.isInteger(localPort) && localPort > 0 && localPort < 65_536
  if (localPort !== undefined && !isPort) return "malformed"
  if (!(hops >= 1 && hops <= MAX_HOPS)) return "malformed"
  const left = until - Date.now()
  // One that is valid for longer than any is made by a clock that is ahead.
  if (left < -CLOCK_SKEW_MS || left > VALID_MS + CLOCK_SKEW_MS) return "expired"
  if (to !== self) return "misdirected"
  return {
    from,
    hops,
    host,
    scheme,
    clientAddress: clientAddressOf(clientAddress),
    localPort,
    requestId,
  }
}

const signedText = (claims: string, { method, path }: Pick<HopRequest, "method" | "path">): Uint8Array<ArrayBuffer> =>
  framed(PURPOSE, claims, method, canonicalPath(path))

/** A path as `fetch` sends it on runtimes that have nothing else, escaped where a URL cannot hold it: each character is a byte. */
const canonicalPath = (path: string): string => {
  const url = `http://invalid${escapedTarget(path)}`
  if (!path.startsWith("/") || !URL.canParse(url)) return path
  const { pathname, search } = new URL(url)
  return pathname + search
}
