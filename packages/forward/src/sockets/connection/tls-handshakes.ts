import type { Socket } from "node:net"
import type { Server } from "node:tls"
import type { HasDeadline } from "../io/deadlines.ts"
import type { EngineContext, OpenConnection } from "./engine-context.ts"
import { removeConnection } from "./engine-context.ts"

/**
 * Hands connections to a TLS server that does not listen itself; for each one says what to do with its socket once the handshake
 * has succeeded.
 */
export const tlsHandshakes = (context: EngineContext, server: Server) => {
  // A TLS socket does not say in public which socket it was made of, but both have the addresses of their connection. Those of all
  // connections to a UNIX socket are one: only Node's own `_parent` tells them apart.
  const pending = new Map<string, Handshake[]>()
  server.on("secureConnection", (socket) => {
    const alike = pending.get(keyOf(socket))
    // Another listener's.
    if (alike === undefined) return
    const { _parent } = socket as { readonly _parent?: unknown }
    const handshake = alike.find((each) => each.socket === _parent) ?? alike[0]!
    handshake.next(socket)
    handshake.leave()
  })
  return (socket: Socket, next: (secured: Socket) => void): void => {
    const key = keyOf(socket)
    const leave = (): void => {
      socket.off("close", leave)
      const others = pending.get(key)?.filter((each) => each !== handshake) ?? []
      if (others.length === 0) pending.delete(key)
      else pending.set(key, others)
      context.deadlines.remove(handshake)
      removeConnection(context, handshake)
    }
    const end = () => socket.destroy()
    const drain = (): void => {
      if (context.lastRequestMs === 0) end()
      else handshake.deadlineAt = context.deadlines.in(context.lastRequestMs)
    }
    const handshake: Handshake = { socket, next, leave, deadlineAt: 0, onDeadline: end, drain, goAway: end }
    pending.set(key, [...(pending.get(key) ?? []), handshake])
    context.open.add(handshake)
    context.deadlines.add(handshake)
    socket.on("error", () => undefined)
    socket.on("close", leave)
    server.emit("connection", socket)
  }
}

/** A TLS handshake that has not ended; its server has a time-out for it, and we have one when we close. */
interface Handshake extends OpenConnection, HasDeadline {
  readonly socket: Socket
  readonly next: (secured: Socket) => void
  readonly leave: () => void
}

const keyOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  [remoteAddress, remotePort, localAddress, localPort].join(" ")
