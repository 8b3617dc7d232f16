import type { ResponseHead } from "../../http1/head.ts"
import type { HeaderList } from "../../header-list.ts"
import type { Tunnel } from "../../tunnel/tunnel-protocol.ts"
import { headerValue } from "../../header-list.ts"
import { tunnelProtocols } from "../../tunnel/tunnel-protocol.ts"
import { acceptOf } from "../io/accept-of.ts"

/** The 101 that begins a tunnel in this process: what an app would say that agreed to the handshake. */
export const tunnelAccepted = (kind: Tunnel, request: HeaderList): ResponseHead => ({
  type: "head",
  status: 101,
  reason: "Switching Protocols",
  version: 11,
  headers: [
    "Connection",
    "Upgrade",
    "Upgrade",
    "websocket",
    "Sec-WebSocket-Accept",
    acceptOf(headerValue(request, "sec-websocket-key") ?? ""),
    "Sec-WebSocket-Protocol",
    tunnelProtocols[kind],
  ],
  framing: 0,
  upgrade: true,
  keepAlive: true,
})
