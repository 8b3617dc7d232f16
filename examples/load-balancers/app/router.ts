/** A router that restarts without a failed request behind a load balancer: see "Stopping" in the README of the router. */
import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "@project-ingress/router"
import { serveNode } from "@project-ingress/router/node"
import { memoryStore } from "@project-ingress/router/stores/memory"

const { PORT = "8787", MACHINE_PORT = "8080", APP_PORT = "3000", SIGNING_KEY = "" } = process.env

const router = createRouter({
  grammar: defineGrammar({ domains: ["iterate.app"] }),
  store: memoryStore({
    "p:misha": {
      machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port: Number(MACHINE_PORT) } },
      port: Number(APP_PORT),
    },
  }),
  providers: [local()],
  signingKey: JSON.parse(SIGNING_KEY) as SigningKey,
})
const { close } = await serveNode(router).listen({ port: Number(PORT), hostname: "127.0.0.1" })
console.log("listening")

process.once("SIGTERM", () => void close())
