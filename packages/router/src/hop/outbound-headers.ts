import { requestHeaders } from "@project-ingress/forward"
import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import type { Target } from "@project-ingress/hostname"
<<<<<<< HEAD
import type { Capabilities, Endpoint } from "@project-ingress/providers"
import { encapsulateHeaders } from "@project-ingress/providers/internal"
import type { VisitorRequest } from "../program/sender.ts"
import type { PortSettings } from "../stores/record.ts"
import { clientFields } from "./client-fields.ts"
import { pseudonym } from "./loop.ts"
=======
import { encapsulateHeaders } from "@project-ingress/providers"
import type { Endpoint } from "@project-ingress/providers"
import type { Inbound } from "../program/exchange.ts"
import type { PortSettings } from "../stores/record.ts"
>>>>>>> w-stores

/** What a request is given on its way to one machine. */
export interface MachineHop {
  readonly headerNames: HopHeaderNames
  readonly target: Target
  readonly port: number
  readonly endpoint: Endpoint
<<<<<<< HEAD
  readonly capabilities: Pick<Capabilities, "interceptedHeaders" | "edgeCookies">
  readonly appOrigin: PortSettings["appOrigin"]
  /** The signed permission, for a machine proxy. */
  readonly ticket: string | undefined
  /** Edits the fields after everything of the client's that must not pass was taken out, and before ours are added. */
  readonly edit: (list: HeaderList) => HeaderList
=======
  /** Lower-case names that the provider's platform would eat or act on. */
  readonly eaten: readonly string[]
  /** Names of cookies that are the platform's own. */
  readonly edgeCookies?: readonly string[] | undefined
  readonly appOrigin: PortSettings["appOrigin"]
>>>>>>> w-stores
}

/**
 * The fields for a machine. A client's claims about itself and everything under our names are dropped first, ours come last.
 * Fields that the platform between would intercept are encapsulated for the machine proxy. An app without a machine proxy is
 * sent nothing of ours.
 *
 * @throws {TypeError} if a value of the route or the endpoint cannot be written as a header
 */
export const outboundHeaders = (request: VisitorRequest, hop: MachineHop): HeaderList => {
  const { headerNames, endpoint, capabilities } = hop
  const list = hop.edit(
    requestHeaders(request.headers, {
      headerNames,
      pseudonym,
      trusted: false,
      upgrade: request.upgrade === true,
      // Fetch has neither.
      expect: request.expect === true && endpoint.fetch === undefined,
      trailers: request.trailers === true && endpoint.fetch === undefined,
      edgeCookies: capabilities.edgeCookies,
      add: clientFields(request),
    }),
  )
  for (const [name, value] of Object.entries(endpoint.headers ?? {})) {
    check(NAME, name)
    check(VALUE, value)
  }
  const host = appHost(request, hop)
  if (endpoint.machineProxy === false) {
    const plain = encapsulateHeaders(list, [], endpoint, headerNames)
    return host === undefined ? plain : ["Host", check(VALUE, host), ...plain]
  }
  const out = [...encapsulateHeaders(list, capabilities.interceptedHeaders, endpoint, headerNames)]
  if (host !== undefined) out.push(`${headerNames.tunnel}host`, check(VALUE, host))
  out.push(headerNames.targetHost, `${hop.port}__${canonicalName(request.host, hop.target)}`)
  if (hop.ticket !== undefined) out.push(headerNames.ticket, hop.ticket)
  return out
}

/** The hostname that the client asked for without what only says the port: lower case, without `:port` and root dot. */
const canonicalName = (authority: string, target: Target): string => {
  const name = authority.replace(/:\d+$/, "").replace(/\.$/, "").toLowerCase()
  return target.port === undefined ? name : name.replace(/^\d+(?:__|--|\.)/, "")
}

<<<<<<< HEAD
/** The `Host` that the route asks for; `undefined` leaves it to the machine proxy, or to the endpoint's own name. */
const appHost = (request: VisitorRequest, { appOrigin, port }: MachineHop): string | undefined => {
  if (appOrigin === undefined) return undefined
  if (appOrigin === "localhost") return `localhost:${port}`
  return appOrigin === "public" ? request.host : appOrigin.host
=======
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
  const { appOrigin } = hop
  if (appOrigin === undefined) return undefined
  if (appOrigin === "localhost") return `localhost:${hop.port}`
  return appOrigin === "public" ? inbound.host : appOrigin.host
>>>>>>> w-stores
}

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// RFC 9110 §5.5 without obs-text, which nothing of ours needs.
const VALUE = /^[\t\x20-\x7e]*$/

const check = (pattern: RegExp, text: string): string => {
  if (!pattern.test(text)) throw new TypeError("a header of the route or the endpoint has a forbidden character")
  return text
}
