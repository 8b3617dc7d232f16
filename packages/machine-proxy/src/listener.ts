import { createServer } from "node:net"
import type { ListenOptions, Server } from "node:net"
import type { MachineTls } from "./tls-key-file.ts"
import type { MachineProxy } from "./machine-proxy.ts"

/**
 * A TCP server for the proxy's connections, which does not listen yet: of TLS only, or of none. `warn` hears of plain requests where
 * TLS is spoken only, because their sender sees a closed connection and no reason.
 */
export const createListener = (
  { connection, secureConnection }: MachineProxy,
  tls: MachineTls | undefined,
  warn: (cause: string) => void,
): Server => {
  tls?.server.on("tlsClientError", ({ code }: NodeJS.ErrnoException) => {
    if (code === "ERR_SSL_HTTP_REQUEST") warn(PLAIN_REQUEST)
  })
  return createServer({ noDelay: true }, tls === undefined ? connection : secureConnection(tls.server))
}

const PLAIN_REQUEST = "a plain request came, and only TLS is spoken here: the machine's record needs the pin"

/**
 * Where to listen, for `server.listen`. The backlog is larger than Node's 511: bursts of connections are normal for a
 * proxy.
 */
export const listenOptions = (host: string, port: number): ListenOptions => ({ host, port, backlog: 4_096 })
