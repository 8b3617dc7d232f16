import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import type { Target } from "@project-ingress/hostname"
import { machineRequestHeaders } from "@project-ingress/providers/internal"
import type { Endpoint } from "@project-ingress/providers"
import type { Inbound } from "../program/exchange.ts"
import type { RouteRecord } from "../stores/route-store.ts"

/** What a request is given on its way to one machine. */
export interface MachineHop {
  readonly names: HopHeaderNames
  readonly pseudonym: string
  readonly target: Target
  readonly port: number
  /** Absent for an app's own address. */
  readonly ticket: string | undefined
  readonly endpoint: Endpoint
  /** Lower-case names that the provider's platform would eat or act on. */
  readonly eaten: readonly string[]
  /** Names of cookies that are the platform's own. */
  readonly edgeCookies?: readonly string[] | undefined
  readonly host: RouteRecord["host"]
}

/**
 * The fields for a machine. A client's claims about itself and everything under our names are dropped first, ours come last.
 * What the platform between would eat travels under the tunnel's prefix.
 *
 * @throws {TypeError} when a value of the route or the endpoint could not be written as a header
 */
export const machineHeaders = (inbound: Inbound, hop: MachineHop): HeaderList => {
  for (const [name, value] of Object.entries(hop.endpoint.headers ?? {})) {
    written(NAME, name)
    written(VALUE, value)
  }
  const host = hostFor(inbound, hop)
  return machineRequestHeaders(inbound.headers, {
    headerNames: hop.names,
    pseudonym: hop.pseudonym,
    endpoint: hop.endpoint,
    capabilities: { interceptedHeaders: hop.eaten, ...(hop.edgeCookies && { edgeCookies: hop.edgeCookies }) },
    upgrade: inbound.upgrade === true,
    expect: inbound.expect === true,
    trailers: inbound.trailers === true,
    target: `${hop.port}__${publicName(inbound.host, hop.target)}`,
    ticket: hop.ticket,
    host: host === undefined ? undefined : written(VALUE, host),
    add: identity(inbound),
  })
}

/** The name the client asked for without what only says the port: lower case, without `:port` and root dot. */
const publicName = (authority: string, target: Target): string => {
  const name = authority.replace(/:\d+$/, "").replace(/\.$/, "").toLowerCase()
  return target.port === undefined ? name : name.replace(/^\d+(?:__|--|\.)/, "")
}

/** Who asked for what, as seen from here: the peer only, because whatever came before it is hearsay. */
const identity = (inbound: Inbound): string[] => {
  const { host, scheme } = inbound
  const address = peer(inbound.clientAddress)
  const out = ["X-Forwarded-Host", host, "X-Forwarded-Proto", scheme]
  if (address !== undefined) out.push("X-Forwarded-For", address)
  // RFC 7239 §4 and §6: what is no token, as `:` and `[`, is quoted.
  const node = address === undefined ? "" : `for=${address.includes(":") ? `"[${address}]"` : address};`
  out.push("Forwarded", `${node}host=${host.includes(":") ? `"${host}"` : host};proto=${scheme}`)
  return out
}

/** An IP address without zone; a socket on `::` shows IPv4 peers as `::ffff:192.0.2.1`. Anything else is no peer. */
const peer = (address: string | undefined): string | undefined => {
  if (address === undefined) return undefined
  const plain = address.replace(/%.*$/s, "").replace(/^::ffff:(?=\d+\.)/i, "")
  return /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:.]{2,45})$/i.test(plain) ? plain : undefined
}

const hostFor = (inbound: Inbound, hop: MachineHop): string | undefined => {
  if (hop.host === undefined) return undefined
  if (hop.host === "localhost") return `localhost:${hop.port}`
  return hop.host === "preserve" ? inbound.host : hop.host.name
}

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// RFC 9110 §5.5, without obs-text: nothing of ours needs it.
const VALUE = /^[\t\x20-\x7e]*$/

const written = (pattern: RegExp, text: string): string => {
  if (!pattern.test(text)) throw new TypeError("a route's or an endpoint's header holds a forbidden character")
  return text
}
