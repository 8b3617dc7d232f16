import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import type { Capabilities, Endpoint } from "@project-ingress/providers"
import { clientFields } from "@project-ingress/forward/internal"
import { machineRequestHeaders } from "@project-ingress/providers/internal"
import type { VisitorRequest } from "../program/sender.ts"
import type { AppOrigin } from "./app-origin.ts"
import { pseudonym } from "./loop.ts"
import { rewriteRequest } from "./rewrite-origins.ts"
import type { ProjectOrigins } from "./rewrite-origins.ts"

/** What a request is given on its way to one machine. */
export interface MachineHop {
  readonly headerNames: HopHeaderNames
  /** For the target header: `<port>__<canonical name>`. */
  readonly target: string
  readonly endpoint: Endpoint
  readonly capabilities: Pick<Capabilities, "interceptedHeaders" | "edgeCookies">
  readonly app: AppOrigin
  /** What of the request names its own project. */
  readonly origins: ProjectOrigins
  /** The signed permission, for a machine proxy. */
  readonly ticket: string | undefined
  /** The id of the visitor's session, where a policy has proven one. */
  readonly session?: string | undefined
  /** What the port speaks, where that is not HTTP/1.1. */
  readonly protocol?: string | undefined
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
    target: hop.target,
    ticket: hop.ticket,
    session: hop.session,
    protocol: hop.protocol,
    requestId: request.requestId,
    host: hop.app.host,
    publicOrigin: hop.origins.own,
    rewrite: (fields) => rewriteRequest(fields, hop.app, hop.origins),
    add: [...clientFields(request, hop.app.forwarded), ...(request.platform ?? [])],
    ...(hop.edit === undefined ? {} : { edit: hop.edit }),
  })
}
