import { headerValue } from "@project-ingress/forward"
import type { HeaderList } from "@project-ingress/forward"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import { cidrMatcher, headerValues, isAuthority } from "@project-ingress/forward/internal"
import type { ArrivedHop } from "../program/arrived-hop.ts"
import { clientAddressOf } from "../program/sender.ts"
import { publicAuthority } from "./public-authority.ts"
import type { PublicPorts } from "./public-authority.ts"
import { elementsFromRight, forwardedElement, nodeAddress, schemeOf } from "./forwarded.ts"

/** Who asked, and for what: the same for policies, routes, replicas, apps and the fallback. */
export interface ClientIdentity {
  /** The public authority: lower case, without root dot and default port, with a port only if it is believed. */
  readonly host: string
  readonly scheme: "http" | "https"
  /** `undefined` where nobody that is trusted says it. */
  readonly clientAddress: string | undefined
  /** Where all of it comes from, if another region's router sent the request. */
  readonly hop?: ArrivedHop
}

const xForwarded = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"] as const
/** The header fields by which a proxy can say who asked. */
export const forwardedHeaderNames = [...xForwarded, "forwarded"] as const

/** A header field by which a proxy says who asked. */
export type ForwardedHeader = (typeof forwardedHeaderNames)[number]

/** What is believed of whom. */
export interface ProxyTrust {
  /** Ranges of the proxies' addresses. */
  readonly trustedProxies: readonly string[]
  /** What every one of them writes; `undefined`: `X-Forwarded-*`, or `Forwarded` where there is none of these. */
  readonly forwardedHeaders: readonly ForwardedHeader[] | undefined
}

/** What is read of a request, by whatever parser it was read. */
export type IdentifiedRequest = Pick<IncomingRequest, "encrypted" | "remoteAddress"> & {
  readonly head: Pick<IncomingRequest["head"], "host" | "headers">
}

/** How many trusted proxies may follow each other; with more of them the client is unknown. */
const MAX_HOPS = 64

/**
 * Reads from a request who asked: the connection says it, and where that comes from a trusted proxy, the fields that such a proxy
 * writes. They are read from the right, because every proxy appends: addresses of trusted proxies are skipped, the first other
 * one is the client, and what stands to its left is the client's own claim, which is never read. Nothing is guessed: a
 * client that is not named by an address (`unknown`) is unknown, and an invalid scheme or host is as if it were not there.
 *
 * Nothing in a request shows which of its fields a proxy wrote and which it passed through, so the caller may name them. Beside
 * `X-Forwarded-*`, `Forwarded` is never read: nginx that writes `X-Forwarded-For` passes the client's own `Forwarded` through.
 *
 * The port of the authority is any client's to choose, also behind a proxy that passes `Host` on: with `publicPorts` it must be
 * one of these.
 *
 * Never throws.
 *
 * @throws {TypeError} at once, for a range that is invalid or holds every address
 */
export const identityReader = (
  trust?: ProxyTrust,
  publicPorts?: PublicPorts,
  owner = "serveNode",
): ((request: IdentifiedRequest) => ClientIdentity) => {
  const read = rawIdentityReader(trust, owner)
  return (request) => {
    const identity = read(request)
    const host = publicAuthority(identity.host, identity.scheme, publicPorts)
    return host === identity.host ? identity : { ...identity, host }
  }
}

const rawIdentityReader = (
  trust: ProxyTrust | undefined,
  owner: string,
): ((request: IdentifiedRequest) => ClientIdentity) => {
  if (trust === undefined) return ofConnection
  const isTrusted = cidrMatcher(`${owner}: trustedProxies`, trust.trustedProxies)
  const read = readerOf(trust.forwardedHeaders)
  return (request) => {
    const connection = ofConnection(request)
    const { clientAddress } = connection
    // With the PROXY protocol it is the header's client that must be a proxy: its balancer passed the fields through.
    if (clientAddress === undefined || !isTrusted(clientAddress)) return connection
    return read(request.head.headers, connection, isTrusted)
  }
}

const ofConnection = ({ head, encrypted, remoteAddress }: IdentifiedRequest): ClientIdentity => ({
  host: head.host,
  scheme: encrypted ? "https" : "http",
  clientAddress: clientAddressOf(remoteAddress),
})

/** Reads the fields of a request whose connection is a trusted proxy's. */
type Read = (headers: HeaderList, connection: ClientIdentity, isTrusted: (ip: string) => boolean) => ClientIdentity

const readerOf = (fields: readonly ForwardedHeader[] | undefined): Read => {
  if (fields !== undefined) return fields.includes("forwarded") ? byForwarded : byXForwarded(new Set(fields))
  const byAll = byXForwarded(new Set(xForwarded))
  return (headers, connection, isTrusted) => {
    const isNewer = xForwarded.every((name) => headerValue(headers, name) === undefined)
    return (isNewer ? byForwarded : byAll)(headers, connection, isTrusted)
  }
}

/**
 * `X-Forwarded-*`. Only the addresses are one for each proxy: the other fields are overwritten or passed on along a chain, so
 * their last value is what the nearest proxy vouches for.
 */
const byXForwarded =
  (fields: ReadonlySet<ForwardedHeader>): Read =>
  (headers, connection, isTrusted) => {
    let { clientAddress } = connection
    if (fields.has("x-forwarded-for")) {
      let hops = 0
      for (const node of elementsFromRight(headerValues(headers, "x-forwarded-for"))) {
        clientAddress = hops++ < MAX_HOPS ? nodeAddress(node) : undefined
        if (clientAddress === undefined || !isTrusted(clientAddress)) break
      }
    }
    const last = (name: ForwardedHeader): string | undefined =>
      fields.has(name) ? elementsFromRight(headerValues(headers, name)).next().value : undefined
    const host = authorityIn(last("x-forwarded-host")) ?? connection.host
    return {
      host: withPort(host, last("x-forwarded-port")),
      scheme: schemeOf(last("x-forwarded-proto")) ?? connection.scheme,
      clientAddress,
    }
  }

/** `Forwarded` (RFC 7239): the proxy that names the client has seen the scheme and the host that the client used. */
const byForwarded: Read = (headers, connection, isTrusted) => {
  let identity = connection
  let hops = 0
  for (const text of elementsFromRight(headerValues(headers, "forwarded"))) {
    const element = hops++ < MAX_HOPS ? forwardedElement(text) : undefined
    if (element === undefined) return { ...connection, clientAddress: undefined }
    const clientAddress = nodeAddress(element.get("for") ?? "")
    identity = {
      host: authorityIn(element.get("host")) ?? connection.host,
      scheme: schemeOf(element.get("proto")) ?? connection.scheme,
      clientAddress,
    }
    if (clientAddress === undefined || !isTrusted(clientAddress)) break
  }
  return identity
}

const authorityIn = (value: string | undefined): string | undefined =>
  value !== undefined && isAuthority(value) ? value : undefined

/**
 * An authority with the port that the balancer listens on, where it names none. 80 and 443 are left out: they are the defaults, and
 * a balancer behind another one names its own port beside the other one's scheme.
 */
const withPort = (host: string, port: string | undefined): string => {
  if (port === undefined || host === "" || /:\d+$/.test(host) || port === "80" || port === "443") return host
  const authority = `${host}:${port}`
  return isAuthority(authority) ? authority : host
}
