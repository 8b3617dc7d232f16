// Run by descriptors.test.ts under a low `ulimit -n`: a Node host or a machine proxy, whose port is its first line. A line on its
// input takes every descriptor that is left, the next one gives them back.
import { closeSync, openSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { createInterface } from "node:readline"
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createMachineProxy } from "../../machine-proxy/src/machine-proxy.ts"
import { serveNode } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"

const [, , kind, port] = process.argv

const router = async () => {
  const machine = (id: string) => ({ machine: { id, type: "local", externalId: id, metadata: { port: Number(port) } } })
  const { signing } = await generateTicketKeys("test")
  return serveNode(
    createRouter({
      grammar: defineGrammar({ domains: ["iterate.app"] }),
      store: memoryStore({ "p:misha": machine("mach_1"), "p:anna": machine("mach_2") }),
      providers: [local()],
      signingKey: signing,
      unprovenMachines: true,
    }),
    // What descriptors do to the host alone.
    { bounds: { client: false, project: { requests: 10_000 }, machine: { requests: 10_000 } } },
  )
}

const engine = kind === "router" ? await router() : createMachineProxy({ machine: "mach_1", keys: "insecure" })
const server = createServer(engine.connection)
server.on("error", () => undefined)
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(server.address() as AddressInfo).port} ${engine.limits.maxConnections}\n`)
})

const held: number[] = []
createInterface({ input: process.stdin }).on("line", () => {
  if (held.length > 0) {
    for (const descriptor of held.splice(0)) closeSync(descriptor)
  } else {
    try {
      for (;;) held.push(openSync("/dev/null", "r"))
    } catch {
      // None is left.
    }
  }
  process.stdout.write("done\n")
})
