import { createServer } from "node:net"
import type { Server, Socket } from "node:net"
import type { Duplex } from "node:stream"
import { openTunnel } from "@project-ingress/forward/sockets"
import type { TunnelOptions } from "@project-ingress/forward/sockets"
import type { BeginWait } from "./waiting-line.ts"

/** Local connections at a time; the router has bounds of its own. */
const MAX_CONNECTIONS = 1_024

/** Called about local connections. */
export interface ForwardEvents {
  /** A connection has ended; without an error if both sides had. */
  readonly onEnd: (error: unknown) => void
  readonly beginWait: BeginWait
}

/** A server that opens a tunnel for each connection. */
export const tcpForwarder = (tunnel: TunnelOptions, { onEnd, beginWait }: ForwardEvents): Server => {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (local) => {
    // What the local client sends waits in the kernel until there is a tunnel.
    const left = new AbortController()
    local.on("error", () => undefined)
    const leave = (): void => left.abort()
    local.once("close", leave)
    const endWait = beginWait()
    openTunnel({ ...tunnel, signal: left.signal }).then(
      (opened) => {
        endWait()
        local.off("close", leave)
        join(local, opened, onEnd)
      },
      (error: unknown) => {
        endWait()
        // That a client has left by itself is no failure.
        const isGone = local.destroyed
        local.resetAndDestroy()
        onEnd(isGone ? undefined : error)
      },
    )
  })
  server.maxConnections = MAX_CONNECTIONS
  return server
}

/** Passes bytes both ways, each side at the pace of the other; an end as an end, and a reset as a reset. */
const join = (local: Socket, tunnel: Duplex, onEnd: ForwardEvents["onEnd"]): void => {
  let failed: unknown
  tunnel.once("error", (error) => {
    failed = error
    local.resetAndDestroy()
  })
  tunnel.once("close", () => onEnd(failed))
  if (local.destroyed) {
    tunnel.destroy()
    return
  }
  local.once("close", () => {
    // After its FIN, what it has sent before may still be on its way to the app.
    if (local.errored !== null || !local.readableEnded) tunnel.destroy()
  })
  local.pipe(tunnel)
  tunnel.pipe(local)
}
