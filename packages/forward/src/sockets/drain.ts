import { Server } from "node:net"
import type { EngineContext } from "./connection/engine-context.ts"
import type { Engine } from "./contract/engine.ts"
import { accept, checkOptions } from "../options.ts"
import { startDeadline } from "../start-deadline.ts"
import { closeListener } from "./io/close-listener.ts"

/** How long a connection has for a request that may be on its way when we close, in ms. */
const MAX_LAST_REQUEST_MS = 1_000

const checks = {
  deadlineMs: accept.number(0),
  graceMs: accept.number(0),
  listeners: accept.array((value) => (value instanceof Server ? undefined : "a server of node:net")),
}

/** How an engine stops; the steps are described at `Engine.drain`. */
export const drainOf =
  (context: EngineContext): Engine["drain"] =>
  async (options) => {
    checkOptions("drain", options, checks, { required: ["deadlineMs"] })
    const { deadlineMs, graceMs = 0, listeners = [] } = options
    const { open, onEmpty, pools } = context
    const began = performance.now()
    context.draining = true

    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(graceMs, deadlineMs))
      const end = (): void => {
        clearTimeout(timer)
        resolve()
      }
      // With a listener the next connection may come at any time.
      if (listeners.length > 0) return
      if (graceMs === 0 || open.size === 0) end()
      else onEmpty.push(end)
    })
    await Promise.all(listeners.map(closeListener))

    context.closing = true
    context.lastRequestMs = Math.min(graceMs, MAX_LAST_REQUEST_MS)
    for (const connection of open) connection.drain()
    pools.closeFree()
    if (open.size === 0) return
    await new Promise<void>((resolve) => {
      const settled = startDeadline(Math.max(0, deadlineMs - (performance.now() - began)), () => {
        for (const connection of open) connection.goAway()
      })
      onEmpty.push(() => {
        settled()
        pools.closeFree()
        resolve()
      })
    })
  }
