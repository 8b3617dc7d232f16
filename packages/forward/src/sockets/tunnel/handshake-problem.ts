import type { HeaderList } from "../../header-list.ts"
import { headerValues } from "../../header-list.ts"
import { acceptOf } from "../io/accept-of.ts"

/** What the handshake of a tunnel asked. */
export interface AskedHandshake {
  readonly key: string
  /** The one subprotocol that it offered. */
  readonly protocol: string
}

/** Why the fields of a 101 do not begin the tunnel that was asked for: what a client must not accept (RFC 6455 §4.1). */
export const handshakeProblem = (headers: HeaderList, { key, protocol }: AskedHandshake): string | undefined => {
  const said = (lowerName: string): string => headerValues(headers, lowerName).join()
  if (said("upgrade").toLowerCase() !== "websocket") return "the response is no handshake of a WebSocket"
  if (said("sec-websocket-accept") !== acceptOf(key)) return "the response is to another handshake"
  if (said("sec-websocket-extensions") !== "") return "the response names an extension that nobody asked for"
  return said("sec-websocket-protocol") === protocol
    ? undefined
    : "what accepted the handshake is no machine's proxy: it does not know tunnels"
}
