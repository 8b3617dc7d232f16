import type { Server } from "node:net"

/** How long a listener may stay open for the connections that wait in its queue, in ms. */
const MAX_WAIT_MS = 1_000

/**
 * Closes a listener when nobody waits to be accepted: the kernel resets what is in its queue then, with the requests that were
 * sent on it. Node accepts one connection in a turn of the event loop, so that a turn without any found the queue empty.
 */
export const closeListener = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    const until = performance.now() + MAX_WAIT_MS
    let accepted = true
    const onConnection = (): void => {
      accepted = true
    }
    server.on("connection", onConnection)
    const look = (): void => {
      if (accepted && performance.now() < until) {
        accepted = false
        // From here one turn passes until the next look, with the sockets that listen in it.
        setImmediate(look)
        return
      }
      server.off("connection", onConnection)
      // Its callback waits for every connection, and a listener that was closed before is one that is closed.
      server.close(() => undefined)
      resolve()
    }
    setImmediate(look)
  })
