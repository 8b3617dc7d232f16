import { accessSync, constants } from "node:fs"
import type { Command, Peer, PeerSetup } from "./peer.ts"
import { caddy, go, haproxy, nginx } from "./peers/native.ts"

const node =
  (file: URL, more: Readonly<Record<string, string>> = {}) =>
  (setup: PeerSetup): Command => ({
    file: process.execPath,
    args: ["--conditions=@project-ingress/source", file.pathname],
    env: {
      PORT: String(setup.port),
      WEBSOCKET_PORT: String(setup.webSocketPort),
      ORIGIN: String(setup.origin),
      WEBSOCKET_ORIGIN: String(setup.webSocketOrigin),
      TICKET_KEYS: setup.keys,
      SIGNING_KEY: setup.signingKey,
      MACHINE: setup.machine,
      MACHINE_PORT: String(setup.machinePort),
      NODE_ENV: "production",
      ...more,
    },
  })

/** The machine proxy's own command. It verifies the ticket of each request; only its access log is off, as everybody's. */
const machineProxy = (setup: PeerSetup): Command => ({
  file: process.execPath,
  args: [
    "--conditions=@project-ingress/source",
    new URL("../packages/machine-proxy/src/bin.ts", import.meta.url).pathname,
  ],
  env: {
    HOST: "127.0.0.1",
    PORT: String(setup.port),
    INGRESS_MACHINE: setup.machine,
    INGRESS_TICKET_KEYS: setup.keys,
    INGRESS_LOG: "off",
    // The default of 10 000 is the number of idle WebSockets that is measured; the run's own probes come on top.
    INGRESS_MAX_CONNECTIONS: "20000",
  },
})

/** The machine proxy of this repository. */
export const ours: Peer = { name: "ours", command: machineProxy, webSocket: true }

/** The router of this repository, in front of a machine proxy: no peer, because it does another job. */
export const router: Peer = {
  name: "router",
  command: node(new URL("./peers/router.ts", import.meta.url)),
  webSocket: true,
}

const httpProxy = new URL("./peers/http-proxy.ts", import.meta.url)

export const peers: readonly Peer[] = [
  { name: "nginx", command: nginx, needs: { program: "nginx", debian: "nginx" }, webSocket: true },
  ours,
  { name: "bare", command: node(new URL("./peers/bare.ts", import.meta.url)), webSocket: false },
  { name: "tcp", command: node(new URL("./peers/tcp.ts", import.meta.url)), webSocket: true, ownWebSocketPort: true },
  { name: "haproxy", command: haproxy, needs: { program: "haproxy", debian: "haproxy" }, webSocket: true },
  { name: "go", command: go, needs: { program: "go", debian: "golang-go" }, webSocket: true },
  { name: "caddy", command: caddy, needs: { program: "caddy", debian: "caddy" }, webSocket: true },
  { name: "http-proxy", command: node(httpProxy), webSocket: true },
  { name: "http-proxy-3", command: node(httpProxy, { LIBRARY: "http-proxy-3" }), webSocket: true },
  { name: "httpxy", command: node(httpProxy, { LIBRARY: "httpxy" }), webSocket: true },
  { name: "fast-proxy", command: node(new URL("./peers/fast-proxy.ts", import.meta.url)), webSocket: false },
  // It can pass WebSockets on, by terminating each side and copying messages: another job than the one measured here.
  { name: "fastify", command: node(new URL("./peers/fastify.ts", import.meta.url)), webSocket: false },
  { name: "hono", command: node(new URL("./peers/hono.ts", import.meta.url)), webSocket: false },
  { name: "http-proxy-default", command: node(httpProxy, { KEEP_ALIVE: "0" }), webSocket: true, onDemand: true },
]

/** Whether a program is on the path. Debian keeps servers in sbin, which a user's path may lack. */
export const isInstalled = (program: string): boolean =>
  searchPath.split(":").some((directory) => {
    try {
      accessSync(`${directory}/${program}`, constants.X_OK)
      return true
    } catch {
      return false
    }
  })

export const searchPath = `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`
