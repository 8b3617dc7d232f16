import { requestHeaders } from "@project-ingress/forward"
import type { HeaderList, HopHeaderNames, RequestHop } from "@project-ingress/forward"
import { isIdentityField } from "@project-ingress/forward/internal"
import type { Capabilities, Endpoint } from "../contract/machine-provider.ts"

/** How one request is sent to a machine. */
export interface MachineHop extends Pick<
  RequestHop,
  "pseudonym" | "upgrade" | "expect" | "trailers" | "edit" | "rewrite"
> {
  readonly headerNames: HopHeaderNames
  readonly endpoint: Endpoint
  readonly capabilities: Pick<Capabilities, "interceptedHeaders" | "edgeCookies">
  /** What the machine's proxy forwards to: `<port>__<public hostname>`, or `localhost:<port>`. */
  readonly target: string
  /** The signed permission for the machine's proxy. */
  readonly ticket?: string | undefined
  /** The id of the visitor's session, by which the machine's proxy ends what is open of it. */
  readonly session?: string | undefined
  /** What the port speaks, where that is not HTTP/1.1. */
  readonly protocol?: string | undefined
  /** Names the request in the responses that the machine's proxy generates. */
  readonly requestId?: string | undefined
  /**
   * The `Host` that the app sees. With it the sender has decided what the app sees of its own name and of the client: the fields
   * that say so are tunnelled, and the machine's proxy drops what the platform on the way adds of the kind. Default: what the
   * machine's proxy decides, or the endpoint's own without one.
   */
  readonly host?: string | undefined
  /** The origin that the visitor sees, which the app is given under a name of ours. */
  readonly publicOrigin?: string | undefined
  /** About the client, as `X-Forwarded-For` is. */
  readonly add?: HeaderList
}

/**
 * The header fields of a request to a machine. A client's claims about itself and everything under our names are dropped
 * first, an edit sees what is left, ours come next, and what the provider's edge requires comes last. An app's own address gets no field of ours.
 *
 * @throws {TypeError} when a value of ours cannot be written as a header field
 */
export const machineRequestHeaders = (inbound: HeaderList, hop: MachineHop): HeaderList => {
  const { headerNames, endpoint, capabilities, host } = hop
  const hasProxy = endpoint.machineProxy !== false
  // What Fetch cannot do stays out where the endpoint is a function.
  const byFetch = endpoint.fetch !== undefined
  const list = requestHeaders(inbound, {
    headerNames,
    pseudonym: hop.pseudonym,
    trusted: false,
    edgeCookies: capabilities.edgeCookies,
    edit: hop.edit,
    rewrite: hop.rewrite,
    upgrade: hop.upgrade === true,
    expect: hop.expect === true && !byFetch,
    trailers: hop.trailers === true && !byFetch,
    host: hasProxy ? undefined : host,
    add: hasProxy ? addedFields(hop) : (hop.add ?? []),
  })
  const intercepted = hasProxy ? capabilities.interceptedHeaders : []
  return encapsulateHeaders(list, intercepted, endpoint, headerNames, hasProxy && host !== undefined)
}

/** What a machine's proxy needs to know, after what says who the client is. */
const addedFields = ({
  headerNames,
  add = [],
  target,
  ticket,
  session,
  protocol,
  requestId,
  host,
  publicOrigin,
}: MachineHop): HeaderList => {
  const fields = [...add, headerNames.targetHost, target]
  if (ticket !== undefined) fields.push(headerNames.ticket, ticket)
  if (session !== undefined) fields.push(headerNames.session, session)
  if (protocol !== undefined) fields.push(headerNames.protocol, protocol)
  if (requestId !== undefined) fields.push(headerNames.requestId, requestId)
  if (host !== undefined) fields.push(`${headerNames.tunnel}host`, host)
  if (publicOrigin !== undefined) fields.push(headerNames.tunnel + headerNames.publicOrigin, publicOrigin)
  return fields
}

/**
 * The header fields for a provider's edge: its own come last, so that they win, named for the machine's proxy to take them off, and those that it would remove or act on are
 * sent under another name (`headerNames.tunnel` and the name), from which the machine's proxy restores them: `intercepted`, by
 * lower-case name, and with `identity` all that say who the client is.
 */
export const encapsulateHeaders = (
  list: HeaderList,
  intercepted: readonly string[],
  endpoint: Endpoint,
  headerNames: HopHeaderNames,
  identity = false,
): HeaderList => {
  const edge = Object.entries(endpoint.headers ?? {})
  if (edge.length === 0 && intercepted.length === 0 && !identity) return list
  const replaced = edge.map(([name]) => name.toLowerCase())
  const out: string[] = []
  const encapsulated = new Map<string, string>()
  for (let i = 0; i < list.length; i += 2) {
    const lower = list[i]!.toLowerCase()
    const value = list[i + 1]!
    if (intercepted.includes(lower) || (identity && isIdentityField(lower))) {
      const name = headerNames.tunnel + lower
      const before = encapsulated.get(name)
      // One line each, as the machine's proxy restores it (RFC 9110 §5.3; cookies: RFC 6265 §5.4).
      encapsulated.set(name, before === undefined ? value : before + (lower === "cookie" ? "; " : ", ") + value)
    } else if (!replaced.includes(lower)) out.push(list[i]!, value)
  }
  // A secret of the edge's is nothing that an app may read: the machine's proxy takes off what is named here.
  if (edge.length > 0 && endpoint.machineProxy !== false) out.push(headerNames.edgeHeaders, replaced.join(", "))
  return out.concat(...encapsulated, ...edge)
}
