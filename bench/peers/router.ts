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
listen(createServer({ noDelay: true }, serveNode(router).connection))
