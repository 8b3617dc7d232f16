import type { Socket } from "node:net"
import type { Server } from "node:tls"
import type { ProxiedClient } from "../proxy-protocol/proxy-header.ts"
import type { HasDeadline } from "../io/deadlines.ts"
import type { EngineContext, OpenConnection } from "./engine-context.ts"
import { removeConnection } from "./engine-context.ts"

/** Called once per handshake that succeeded. */
type Next = (socket: Socket, client: ProxiedClient | undefined) => void

/**
 * Hands connections to a TLS server that does not listen itself, and those whose handshake succeeded to `next`, with whom the
 * PROXY header named.
 */
export const tlsHandshakes = (context: EngineContext, server: Server, next: Next) => {
  // A TLS socket does not say which socket it was made of, but both have the addresses of their connection.
  const pending = new Map<string, Handshake>()
  server.on("secureConnection", (socket) => {
    const handshake = pending.get(keyOf(socket))
    // Another listener's.
    if (handshake === undefined) return
    next(socket, handshake.client)
    handshake.leave()
  })
  return (socket: Socket, client?: ProxiedClient): void => {
    const key = keyOf(socket)
    const leave = (): void => {
      socket.off("close", leave)
      pending.delete(key)
      context.deadlines.remove(handshake)
      removeConnection(context, handshake)
    }
    const end = () => socket.destroy()
    const drain = (): void => {
      if (context.lastRequestMs === 0) end()
      else handshake.deadlineAt = context.deadlines.in(context.lastRequestMs)
    }
    const handshake: Handshake = { client, leave, deadlineAt: 0, onDeadline: end, drain, goAway: end }
    pending.set(key, handshake)
    context.open.add(handshake)
    context.deadlines.add(handshake)
    socket.on("error", () => undefined)
    socket.on("close", leave)
    server.emit("connection", socket)
  }
}

/** A TLS handshake that has not ended; its server has a time-out for it, and we have one when we close. */
interface Handshake extends OpenConnection, HasDeadline {
  readonly client: ProxiedClient | undefined
  readonly leave: () => void
}

const keyOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  [remoteAddress, remotePort, localAddress, localPort].join(" ")
