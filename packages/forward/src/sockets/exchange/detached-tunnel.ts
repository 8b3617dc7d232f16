import type { ClientConnection } from "../connection/client-connection.ts"
import type { ByteCount } from "../tunnel/websocket-tunnel.ts"
import type { Attempt } from "./attempt.ts"
import { FramedTunnel } from "../tunnel/framed-tunnel.ts"
import { TcpSide } from "../tunnel/tcp-side.ts"
import { UdpSide } from "../tunnel/udp-side.ts"
import { WebSocketTunnel } from "../tunnel/websocket-tunnel.ts"

type MakeTunnel = (onOver: () => void) => { open(): void }

/** What becomes of an attempt whose response is 101: a tunnel that takes its connection. `undefined` when that is gone. */
export const detachedTunnel = (
  client: ClientConnection,
  attempt: Attempt,
  record: ByteCount,
): MakeTunnel | undefined => {
  const { origin, tunnel } = attempt.directive
  if (tunnel === "udp") {
    if (!attempt.detachReserved()) return undefined
    const hosts = origin.host === "loopback" ? ["127.0.0.1", "::1"] : [origin.host]
    return (onOver) => new FramedTunnel("udp", client, (made) => new UdpSide(made, hosts, origin.port), record, onOver)
  }
  const upstream = attempt.detach()
  if (upstream === undefined) return undefined
  return tunnel === "tcp"
    ? (onOver) => new FramedTunnel("tcp", client, (made) => new TcpSide(made, upstream), record, onOver)
    : (onOver) => new WebSocketTunnel(client, upstream, record, onOver)
}
