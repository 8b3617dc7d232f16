// The router on sockets, as a platform runs it: each request is parsed, looked up, signed and sent to the machine's proxy.
import { createServer } from "node:net"
import { defineGrammar } from "../../packages/hostname/src/hostname.ts"
import { local } from "../../packages/providers/src/adapters/local.ts"
import { serveNode } from "../../packages/router/src/hosts/node.ts"
import { createRouter } from "../../packages/router/src/router.ts"
import { memoryStore } from "../../packages/router/src/stores/memory.ts"
import { listen, place } from "./job.ts"

const machine = {
  id: place.machine,
  type: "local",
  externalId: "bench",
  metadata: { port: place.machinePort },
}
const router = createRouter({
  grammar: defineGrammar({ domains: ["iterate.app"] }),
  store: memoryStore({ "p:misha": { machine } }),
  providers: [local()],
  signingKey: JSON.parse(place.signingKey),
})
// One client and one project have the whole host here.
const all = { requests: 10_000, webSockets: 10_000 }
const bounds = { client: { connections: 10_000, ...all }, project: all, machine: all }
listen(createServer({ noDelay: true }, serveNode(router, { bounds }).connection))
