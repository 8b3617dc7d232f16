import type { Duplex } from "node:stream"
import type { Engine, Limits, EngineOptions } from "./contract/contract.ts"
import type { EngineContext } from "./connection/client-connection.ts"
import { defaultHeaderNames } from "../header-names.ts"
import { ClientConnection } from "./connection/client-connection.ts"
import { defaultLimits } from "./contract/limits.ts"
import { UpstreamPools } from "./connection/upstream-pool.ts"
import { DeadlineScanner } from "./io/deadlines.ts"

/** How often deadlines are looked at, in ms: they fire at most twice this late. */
const TICK_MS = 50

/**
 * An engine: takes accepted connections, asks `onRequest` about each request, and moves the bytes. Throws a `TypeError` when
 * a limit is not a non-negative number.
 */
export const createEngine = (options: EngineOptions): Engine => {
  const limits: Limits = { ...defaultLimits, ...options.limits }
  for (const [name, value] of Object.entries(limits)) {
    if (!(Number.isFinite(value) && value >= 0))
      throw new TypeError(`limit ${name} must be a number from 0 up, got ${value}`)
  }
  const wheel = new DeadlineScanner(TICK_MS)
  const pools = new UpstreamPools(limits, wheel)
  const open = new Set<ClientConnection>()
  const shared: EngineContext = {
    options,
    limits,
    wheel,
    pools,
    open,
    names: options.headerNames ?? defaultHeaderNames,
    draining: false,
    emptied: undefined,
  }
  return {
    connection: (socket: Duplex) => {
      if (open.size >= limits.maxConnections || shared.draining) {
        socket.on("error", () => undefined)
        socket.destroy()
        return
      }
      open.add(new ClientConnection(socket, shared))
    },
    drain: ({ deadlineMs }) => {
      shared.draining = true
      pools.closeFree()
      for (const connection of open) connection.drain()
      if (open.size === 0) return Promise.resolve()
      return new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          for (const connection of open) connection.goAway()
        }, deadlineMs)
        shared.emptied = () => {
          clearTimeout(timer)
          pools.closeFree()
          resolve()
        }
      })
    },
    connections: () => open.size,
  }
}
