// What `project-ingress explain --config` imports in command.test.ts: a platform's own module.
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

const machine = { id: "mach_1", type: "local", externalId: "dev", metadata: { port: 8080 } }

export const router = createRouter({
  grammar: defineGrammar({ domains: ["iterate.app"] }),
  store: memoryStore({
    "p:misha": { machine, rules: [{ match: { path: { prefix: "/api" }, method: "POST" }, targets: [{ port: 9000 }] }] },
  }),
  providers: [local()],
  signingKey: (await generateTicketKeys("test")).signing,
  policies: [{ name: "look", explainable: true, onRoute: () => undefined }],
})

// A platform's module may keep the process open.
setInterval(() => {}, 1_000)
