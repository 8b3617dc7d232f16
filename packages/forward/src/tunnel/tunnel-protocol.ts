import type { HeaderList } from "../header-list.ts"
import { headerValues } from "../header-list.ts"

/**
 * The WebSocket subprotocols by which bytes that are not HTTP reach a port (RFC 6455 §1.9).
 *
 * `tcp`: binary messages are the bytes of the connection, in order, however they are cut; the text message `end` is the sender's FIN.
 * Close 1000 ends a connection that both sides have ended, 1011 one that was reset. `udp`: a binary message is a datagram.
 */
export const tunnelProtocols = { tcp: "project-ingress.tcp.v1", udp: "project-ingress.udp.v1" } as const

/** What a WebSocket carries that is no app's own. */
export type Tunnel = keyof typeof tunnelProtocols

/** Which tunnel a WebSocket handshake asks for: the only subprotocol that it offers. */
export const tunnelOf = (headers: HeaderList): Tunnel | undefined => {
  const offered = headerValues(headers, "sec-websocket-protocol")
  if (offered.length !== 1) return undefined
  if (offered[0] === tunnelProtocols.tcp) return "tcp"
  return offered[0] === tunnelProtocols.udp ? "udp" : undefined
}

/** Whether the rest of a tunnel's handshake is valid (RFC 6455 §4.2.1): a key of 16 bytes, and version 13. */
export const isValidHandshake = (headers: HeaderList): boolean => {
  const keys = headerValues(headers, "sec-websocket-key")
  const versions = headerValues(headers, "sec-websocket-version")
  return keys.length === 1 && /^[A-Za-z\d+/]{22}==$/.test(keys[0]!) && versions.length === 1 && versions[0] === "13"
}
