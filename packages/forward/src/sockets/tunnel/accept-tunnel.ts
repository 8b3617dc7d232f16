import { createHash } from "node:crypto"
import type { ResponseHead } from "../../http1/head.ts"
import type { HeaderList } from "../../header-list.ts"
import type { Tunnel } from "../../tunnel/tunnel-protocol.ts"
import { headerValue } from "../../header-list.ts"
import { tunnelProtocols } from "../../tunnel/tunnel-protocol.ts"

/** What a server proves by that it has read a handshake (RFC 6455 §4.2.2). */
export const acceptOf = (key: string): string =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")

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
