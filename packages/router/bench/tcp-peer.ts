// A child of `pnpm bench tcp`: one process, one job. Prints the port that it listens on.
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { upstream } from "@project-ingress/providers/upstream"
import { serveTcp } from "../src/hosts/tcp.ts"
import { createRouter } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"

const [job, app] = [process.argv[2], Number(process.argv[3])]

const serve = async (): Promise<(socket: Socket) => void> => {
  if (job === "echo")
    return (socket) => {
      socket.on("error", () => undefined)
      socket.pipe(socket)
    }
  // What is compared with: Node's own way to join two sockets.
  if (job === "pipe")
    return (socket) => {
      const upstreamSocket = connect({ port: app, host: "127.0.0.1", noDelay: true })
      socket.on("error", () => upstreamSocket.destroy())
      upstreamSocket.on("error", () => socket.destroy())
      socket.pipe(upstreamSocket)
      upstreamSocket.pipe(socket)
    }
  const store = memoryStore({
    "p:misha": {
      machine: { id: "mach_1", type: "upstream", externalId: "1", metadata: { origin: `http://127.0.0.1:${app}` } },
      port: app,
      protocol: "tcp",
    },
  })
  const { signing } = await generateTicketKeys("bench")
  const grammar = defineGrammar({ domains: ["iterate.app"] })
  const providers = [upstream({ allowCidrs: ["127.0.0.0/8"] })]
  return serveTcp(createRouter({ grammar, store, providers, signingKey: signing }), { bounds: { client: false } })
    .byServerName
}

const server = createServer({ noDelay: true }, await serve())
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port))
