import type { Duplex } from "node:stream"

/** After how long without a byte TCP keep-alive probes a peer, in ms. */
const KEEP_ALIVE_MS = 30_000

/** Finds a dead peer of a connection that may be silent for days. */
export const keepTcpAlive = (socket: Duplex): void => {
  if ("setKeepAlive" in socket && typeof socket.setKeepAlive === "function") socket.setKeepAlive(true, KEEP_ALIVE_MS)
}
