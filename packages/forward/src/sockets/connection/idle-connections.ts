import type { ConnectionContext } from "./engine-context.ts"

/** For how long a connection has been idle that is closed for the sake of another client, in ms. */
const IDLE_MS = 500
/** How many are closed at a time, because to look for them takes long. */
const CLOSED_AT_ONCE = 32
/** While none is found, they are looked for so often, in ms. */
const LOOK_MS = 100

/** Makes room for a new connection by closing idle ones, the oldest first. Gives whether there is room. */
export const idleConnections = ({ open, limits }: ConnectionContext): (() => boolean) => {
  const most = Math.min(CLOSED_AT_ONCE, Math.ceil(limits.maxConnections / 16))
  let notBefore = 0
  return () => {
    const now = performance.now()
    if (now < notBefore) return false
    let closed = 0
    for (const connection of open) {
      if (connection.closeIfIdle?.(IDLE_MS) === true && ++closed === most) break
    }
    if (closed === 0) notBefore = now + LOOK_MS
    return closed > 0
  }
}
