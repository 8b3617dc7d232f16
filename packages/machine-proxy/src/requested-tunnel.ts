import { isValidHandshake, tunnelOf } from "@project-ingress/forward/internal"
import type { Tunnel } from "@project-ingress/forward/internal"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import type { MachineProxyErrorTag } from "./error-rows.ts"

/** A tunnel to a port of this machine, as it is asked for, or why there is none. */
export type RequestedTunnel =
  | { readonly kind: Tunnel }
  | Extract<MachineProxyErrorTag, "ProtocolUnsupported" | "TunnelUnavailable" | "TunnelInvalid">

/** `protocol`: what the sender says that the port speaks; `trusted`: whether it has proven to be the router. */
export const requestedTunnel = (protocol: string, { head }: IncomingRequest, trusted: boolean): RequestedTunnel => {
  if (protocol !== "tcp" && protocol !== "udp") return "ProtocolUnsupported"
  // By a tunnel to an app that speaks HTTP, a client would write the fields that only a proxy may.
  if (!trusted) return "TunnelUnavailable"
  const isTunnel = head.upgrade && tunnelOf(head.headers) === protocol && isValidHandshake(head.headers)
  return isTunnel ? { kind: protocol } : "TunnelInvalid"
}
