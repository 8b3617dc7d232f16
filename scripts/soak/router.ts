/** The router of the chain, a process of its own. */
import { once } from "node:events"
import { createServer as createHttpServer } from "node:http"
import type { AddressInfo } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { defineGrammar } from "../../packages/hostname/src/hostname.ts"
import type { SigningKey } from "../../packages/forward/src/forward.ts"
import { local } from "../../packages/providers/src/adapters/local.ts"
import { createRouter } from "../../packages/router/src/router.ts"
import { mount, serveNode } from "../../packages/router/src/hosts/node.ts"
import { memoryStore } from "../../packages/router/src/stores/memory.ts"
import { appRequests } from "./app-requests.ts"
import { respond, upgrade } from "./honest-app.ts"
import { DOMAIN } from "./tenant.ts"
import type { Tenant, WayIn } from "./tenant.ts"
import { serveParent, givenSetup } from "./process.ts"

/** What the router has to know. */
export interface RouterSetup {
  readonly tenants: readonly Tenant[]
  /** Where the proxy of each tenant's machine listens. */
  readonly machinePorts: readonly number[]
  readonly signingKey: SigningKey
  readonly maxConnections: number
  /** How many tokens there will be. */
  readonly requests: number
  /** Default: `sockets`. */
  readonly by?: WayIn
  /** For `http2`. */
  readonly certificate?: { readonly key: string; readonly cert: string }
  /** Default: any. */
  readonly port?: number
}

const setup = givenSetup() as RouterSetup
const { tenants, machinePorts, signingKey, maxConnections, requests, by, certificate, port: given = 0 } = setup
const store = memoryStore()
for (const { index, name, machine, hostname } of tenants) {
  if (hostname !== undefined) continue
  const metadata = { port: machinePorts[index] }
  store.attach(`p:${name}`, { machine: { id: machine, type: "local", externalId: machine, metadata } })
}
const router = createRouter({
  grammar: defineGrammar({ domains: [DOMAIN] }),
  store,
  providers: [local()],
  signingKey,
  // No hostile response lasts that long; an honest one may, on a machine that does more than this.
  headersTimeoutMs: 60_000,
})
const seen = appRequests(requests)

/** The router in a server that has an app already. Returns the port. */
const mounted = async (own: Tenant): Promise<number> => {
  const server = createHttpServer({ keepAliveTimeout: 75_000 }, respond(own, seen.count))
  server.on("upgrade", upgrade(own, seen.count))
  mount(server, router, { limits: { maxConnections } })
  server.listen({ port: given, host: "127.0.0.1", backlog: 4_096 })
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

const onSockets = async (): Promise<number> => {
  const tls = by === "http2" ? { tls: createTlsServer({ ...certificate, ALPNProtocols: ["h2"] }) } : {}
  const host = serveNode(router, { limits: { maxConnections } })
  return (await host.listen({ hostname: "127.0.0.1", port: given, ...tls })).port
}

const own = tenants.find(({ hostname }) => hostname !== undefined)
serveParent({ port: own === undefined ? await onSockets() : await mounted(own) }, () => seen.report)
