import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "@project-ingress/router"
import { memoryStore } from "@project-ingress/router/stores/memory"

/** The router of the recipes: one project, `misha`, whose machine's proxy is on this computer. */
const machine = { id: "mach_1", type: "local", externalId: "dev", metadata: { port: Number(process.env.MACHINE_PORT) } }
export const router = createRouter({
  grammar: defineGrammar({ domains: ["iterate.app"] }),
  store: memoryStore({ "p:misha": { machine } }),
  providers: [local()],
  signingKey: JSON.parse(process.env.SIGNING_KEY),
  unprovenMachines: true,
})
