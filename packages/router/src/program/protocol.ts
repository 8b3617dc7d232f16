import { headerValue } from "@project-ingress/forward"
import { isGrpc, tunnelOf } from "@project-ingress/forward/internal"
import { PortNotHttp, ProtocolNotCarried, TunnelNotAllowed } from "../errors.ts"
import type { PortSettings } from "../stores/record.ts"
import type { RefuseRoad } from "./road.ts"
import type { VisitorRequest } from "./sender.ts"

/**
 * Why a request cannot be sent to a port that speaks what its settings say. `byListener`: it is a connection that a host of ours took,
 * which writes the PROXY header of it.
 */
export const protocolMismatch = (
  request: Pick<VisitorRequest, "headers" | "upgrade" | "trailers" | "hop">,
  { port, settings: { protocol = "http", proxyProtocol } }: { readonly port: number; readonly settings: PortSettings },
  byListener = false,
): PortNotHttp | TunnelNotAllowed | ProtocolNotCarried | undefined => {
  const tunnel = request.upgrade === true ? tunnelOf(request.headers) : undefined
  const raw = isTunnelled({ protocol }) ? protocol : undefined
  // The app believes whoever writes first. A hop is from the region that took the connection, and asked this.
  if (tunnel === "tcp" && raw === "tcp" && proxyProtocol !== undefined && !byListener && request.hop === undefined)
    return new ProtocolNotCarried({
      port,
      reason: "A visitor would write its PROXY header: connect by serveTcp.",
    })
  // A call without its trailers has no status, and a client cannot tell what became of it.
  if (tunnel === raw)
    return protocol === "h2c" && request.trailers !== true && isCall(request) ? byFetch(port) : undefined
  // By a tunnel a visitor would choose what our own fields say to an app.
  return tunnel === undefined ? new PortNotHttp({ port, protocol }) : new TunnelNotAllowed({ port, protocol, tunnel })
}

/** Whether a port is reached by a tunnel alone. */
export const isTunnelled = ({ protocol }: PortSettings): boolean => protocol === "tcp" || protocol === "udp"

/**
 * What the field for the machine's proxy says of the port, which reads it strictly; `undefined` for HTTP/1.1. Of an app that speaks TLS also how it
 * is verified, where that is not the default: `https;verify=?0;name="app.example"`.
 */
export const protocolField = ({ protocol, tls }: PortSettings): string | undefined => {
  if (protocol !== "https") return protocol === "http" ? undefined : protocol
  const { verify = true, serverName } = tls ?? {}
  return `https${verify ? "" : ";verify=?0"}${serverName === undefined ? "" : `;name="${serverName}"`}`
}

/** Whether a request is a call of gRPC: to a port that speaks HTTP/2 it ends in trailers, and both sides may speak at once. */
export const isCall = ({ headers }: Pick<VisitorRequest, "headers">): boolean =>
  isGrpc(headerValue(headers, "content-type"))

/** For a host by Fetch, which has no say in how an app at its own address is spoken to. */
export const refuseByFetch: RefuseRoad = ({ port, settings: { protocol, tls } }) =>
  protocol === "h2c" || tls !== undefined ? byFetch(port) : undefined

const byFetch = (port: number) =>
  new ProtocolNotCarried({ port, reason: "Fetch has no trailers, h2c and tls settings." })
