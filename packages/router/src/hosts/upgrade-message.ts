import { IncomingMessage } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { requestHeaders } from "@project-ingress/forward"
import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { clientFields } from "@project-ingress/forward/internal"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import { pseudonym } from "../hop/loop.ts"
import type { ClientIdentity } from "./client-identity.ts"

/** A WebSocket handshake as node:http gives one to its `upgrade` listeners, with the fields that every app of the host's own gets. */
export const upgradeMessage = (
  { head }: IncomingRequest,
  identity: ClientIdentity,
  headerNames: HopHeaderNames,
): ((socket: Duplex) => IncomingMessage) => {
  const fields = requestHeaders(head.headers, {
    headerNames,
    pseudonym,
    trusted: false,
    upgrade: true,
    host: identity.host,
    add: clientFields(identity, "all"),
  })
  return (socket) => {
    // By its own type it is of a node:net socket; it reads nothing of it.
    const message = new IncomingMessage(socket as Socket)
    const of11 = { httpVersion: "1.1", httpVersionMajor: 1, httpVersionMinor: 1, complete: true }
    Object.assign(message, of11, { method: head.method, url: head.target, rawHeaders: fields })
    message.headers = joined(fields)
    message.push(null)
    return message
  }
}

/** Fields as node:http joins them. None that it takes the first line of can be in a handshake twice: the engine refuses it. */
const joined = (fields: HeaderList): IncomingMessage["headers"] => {
  const out: Record<string, string> = {}
  for (let i = 0; i < fields.length; i += 2) {
    const lower = fields[i]!.toLowerCase()
    const value = fields[i + 1]!
    const before = Object.hasOwn(out, lower) ? out[lower]! + (lower === "cookie" ? "; " : ", ") : ""
    // A field may be called `__proto__`.
    Object.defineProperty(out, lower, { value: before + value, enumerable: true, configurable: true, writable: true })
  }
  return out
}
