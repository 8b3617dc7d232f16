import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import type { Target } from "@project-ingress/hostname"
import type { Capabilities, Endpoint } from "@project-ingress/providers"
import { machineRequestHeaders } from "@project-ingress/providers/internal"
import type { VisitorRequest } from "../program/sender.ts"
import type { PortSettings } from "../stores/record.ts"
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
  /** Changes the fields after everything of the client's that must not pass was taken out. */
  readonly edit: ((list: HeaderList) => HeaderList) | undefined
}

/**
 * The fields for a machine, by the rules that every request to a machine follows, and what this router knows: who asked, for
 * which hostname, and what the app is to see as its `Host`.
 *
 * @throws {TypeError} if a value of the route or the endpoint cannot be written as a header
 */
export const outboundHeaders = (request: VisitorRequest, hop: MachineHop): HeaderList => {
  const { upgrade, expect = false, trailers = false } = request
  return machineRequestHeaders(request.headers, {
    headerNames: hop.headerNames,
    pseudonym,
    upgrade: upgrade === true,
    expect,
    trailers,
    endpoint: hop.endpoint,
    capabilities: hop.capabilities,
    target: `${hop.port}__${canonicalName(request.host, hop.target)}`,
    ticket: hop.ticket,
    host: appHost(request, hop),
    add: clientFields(request),
    ...(hop.edit === undefined ? {} : { edit: hop.edit }),
  })
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

/** Who asked for what, as seen from here: the peer only, because every earlier hop's claim is unproven (RFC 7239 §8.1). */
const clientFields = (request: VisitorRequest): string[] => {
  const { host, scheme, clientAddress: address } = request
  const out = ["X-Forwarded-Host", host, "X-Forwarded-Proto", scheme]
  if (address !== undefined) out.push("X-Forwarded-For", address)
  // RFC 7239 §4 and §6: whatever is no token, such as `:` and `[`, is quoted.
  const node = address === undefined ? "" : `for=${address.includes(":") ? `"[${address}]"` : address};`
  out.push("Forwarded", `${node}host=${host.includes(":") ? `"${host}"` : host};proto=${scheme}`)
  return out
}
