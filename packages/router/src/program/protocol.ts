import { tunnelOf } from "@project-ingress/forward/internal"
import { PortNotHttp, TunnelNotAllowed } from "../errors.ts"
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

/** What the machine's proxy learns of the port; `undefined` for HTTP/1.1. */
export const protocolField = ({ protocol }: PortSettings): string | undefined =>
  protocol === "http" ? undefined : protocol
