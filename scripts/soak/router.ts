/** The router of the chain, a process of its own. */
import { defineGrammar } from "../../packages/hostname/src/hostname.ts"
import type { SigningKey } from "../../packages/forward/src/forward.ts"
import { local } from "../../packages/providers/src/adapters/local.ts"
import { createRouter } from "../../packages/router/src/router.ts"
import { serveNode } from "../../packages/router/src/hosts/node.ts"
import { memoryStore } from "../../packages/router/src/stores/memory.ts"
import type { Tenant } from "./tenant.ts"
import { DOMAIN } from "./tenant.ts"
import { serveParent, givenSetup } from "./process.ts"

/** What the router has to know. */
export interface RouterSetup {
  readonly tenants: readonly Tenant[]
  /** Where the proxy of each tenant's machine listens. */
  readonly machinePorts: readonly number[]
  readonly signingKey: SigningKey
  readonly maxConnections: number
  /** Default: any. */
  readonly port?: number
}

const { tenants, machinePorts, signingKey, maxConnections, port: given = 0 } = givenSetup() as RouterSetup
const store = memoryStore()
for (const { name, machine } of tenants) {
  const port = machinePorts[tenants.findIndex((tenant) => tenant.machine === machine)]
  store.attach(`p:${name}`, { machine: { id: machine, type: "local", externalId: machine, metadata: { port } } })
}
const router = createRouter({
  grammar: defineGrammar({ domains: [DOMAIN] }),
  store,
  providers: [local()],
  signingKey,
  // No hostile response lasts that long; an honest one may, on a machine that does more than this.
  headersTimeoutMs: 60_000,
})
const { port } = await serveNode(router, { limits: { maxConnections } }).listen({ hostname: "127.0.0.1", port: given })
serveParent({ port })
