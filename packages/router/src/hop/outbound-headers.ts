import { requestHeaders } from "@project-ingress/forward"
import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import type { Target } from "@project-ingress/hostname"
import type { Capabilities, Endpoint } from "@project-ingress/providers"
import { encapsulateHeaders } from "@project-ingress/providers/internal"
import type { VisitorRequest } from "../program/sender.ts"
import type { PortSettings } from "../stores/record.ts"
import { clientFields } from "./client-fields.ts"
import { pseudonym } from "./loop.ts"

/** What a request is given on its way to one machine. */
export interface MachineHop {
  readonly headerNames: HopHeaderNames
  readonly target: Target
  readonly port: number
  readonly endpoint: Endpoint
  readonly capabilities: Pick<Capabilities, "interceptedHeaders" | "edgeCookies">
  readonly appOrigin: PortSettings["appOrigin"]
  /** The signed permission, for a machine proxy. */
  readonly ticket: string | undefined
  /** Edits the fields after everything of the client's that must not pass was taken out, and before ours are added. */
  readonly edit: (list: HeaderList) => HeaderList
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

/** The `Host` that the route asks for; `undefined` leaves it to the machine proxy, or to the endpoint's own name. */
const appHost = (request: VisitorRequest, { appOrigin, port }: MachineHop): string | undefined => {
  if (appOrigin === undefined) return undefined
  if (appOrigin === "localhost") return `localhost:${port}`
  return appOrigin === "public" ? request.host : appOrigin.host
}

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// RFC 9110 §5.5 without obs-text, which nothing of ours needs.
const VALUE = /^[\t\x20-\x7e]*$/

const check = (pattern: RegExp, text: string): string => {
  if (!pattern.test(text)) throw new TypeError("a header of the route or the endpoint has a forbidden character")
  return text
}
