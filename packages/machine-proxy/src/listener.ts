import { createServer } from "node:net"
import type { ListenOptions, Server } from "node:net"
import type { MachineTls } from "./tls-key-file.ts"
import type { MachineProxy } from "./machine-proxy.ts"

/** A TCP server for the proxy's connections, which does not listen yet: of TLS only, or of none. */
export const createListener = ({ connection, secureConnection }: MachineProxy, tls: MachineTls | undefined): Server =>
  createServer({ noDelay: true }, tls === undefined ? connection : secureConnection(tls.server))

/**
 * Where to listen, for `server.listen`. The backlog is larger than Node's 511: bursts of connections are normal for a
 * proxy.
 */
export const listenOptions = (host: string, port: number): ListenOptions => ({ host, port, backlog: 4_096 })
