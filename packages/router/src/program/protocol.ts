import { headerValue } from "@project-ingress/forward"
import { isGrpc, tunnelOf } from "@project-ingress/forward/internal"
import type { Capabilities } from "@project-ingress/providers"
import { PortNotHttp, ProtocolNotCarried, TunnelNotAllowed } from "../errors.ts"
import type { PortSettings } from "../stores/record.ts"
import type { VisitorRequest } from "./sender.ts"

/** Why a request cannot be sent to a port that speaks what its settings say. */
export const protocolMismatch = (
  { headers, upgrade }: Pick<VisitorRequest, "headers" | "upgrade">,
  { port, settings: { protocol = "http" } }: { readonly port: number; readonly settings: PortSettings },
): PortNotHttp | TunnelNotAllowed | undefined => {
  const tunnel = upgrade === true ? tunnelOf(headers) : undefined
  const raw = isTunnelled({ protocol }) ? protocol : undefined
  if (tunnel === raw) return undefined
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

/** What stands between the visitor and an app: the host of the router, and the platform of the machine. */
export interface Road {
  readonly provider: string
  readonly carries: Capabilities["carries"]
  /** Whether the host carries trailers: `serveNode` does, and Fetch does not. */
  readonly bySocket: boolean
}

/**
 * Why a call of gRPC cannot be carried, before anything is sent: without its trailers it has no status, and a client cannot tell what
 * became of it.
 */
export const notCarried = (
  { port }: { readonly port: number },
  { provider, carries, bySocket }: Road,
): ProtocolNotCarried | undefined => {
  if (!bySocket) return new ProtocolNotCarried({ port, reason: NO_TRAILERS_BY_FETCH })
  const lost = [carries?.trailers !== true && "trailers", carries?.duplex !== true && "both directions at once"]
  const named = lost.filter(Boolean).join(" and ")
  if (named === "") return undefined
  const reason = `the provider ${JSON.stringify(provider)} is not known to carry ${named}, which gRPC needs`
  return new ProtocolNotCarried({ port, reason })
}

const NO_TRAILERS_BY_FETCH = "this router runs by Fetch, which carries no trailers, and gRPC needs them"

/** How an app at its own address is spoken to, where that is not HTTP/1.1, by TLS if its origin says so. */
export const spokenDirectly = ({ protocol, tls }: PortSettings): Pick<PortSettings, "protocol" | "tls"> | undefined =>
  protocol === "h2c" || (protocol === "https" && tls !== undefined) ? { protocol, ...(tls && { tls }) } : undefined

/** Why an app's own address cannot be asked as its settings say; `undefined` if it can. */
export const directMismatch = (
  { port, settings: { protocol, tls } }: { readonly port: number; readonly settings: PortSettings },
  origin: string,
  bySocket: boolean,
): ProtocolNotCarried | undefined => {
  const reason = reasonOf(protocol, tls, origin, bySocket)
  return reason === undefined ? undefined : new ProtocolNotCarried({ port, reason })
}

const reasonOf = (
  protocol: PortSettings["protocol"],
  tls: PortSettings["tls"],
  origin: string,
  bySocket: boolean,
): string | undefined => {
  if (protocol === "https" && origin.startsWith("http:"))
    return "the port's protocol is https, and the origin of its machine is http: write https there"
  if (bySocket) return undefined
  if (protocol === "h2c") return "this router runs by Fetch, which speaks no HTTP/2 by prior knowledge"
  return protocol === "https" && (tls?.verify === false || tls?.serverName !== undefined)
    ? "this router runs by Fetch, which verifies every certificate by the origin's own name"
    : undefined
}
