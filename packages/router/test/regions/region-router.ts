import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { regions } from "../../src/regions.ts"
import { createRouter } from "../../src/router.ts"
import type { Router, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

/** Where the one machine is, which is in fra, and where the regions' balancers are. `gone` is a project that fra has forgotten. */
export interface RouterSetup {
  readonly self: string
  readonly balancers: Readonly<Record<string, string>>
  readonly machinePort: number
  readonly signingKey: SigningKey
}

/** A region's router for any host. */
export const regionRouter = (
  { self, balancers, machinePort, signingKey }: RouterSetup,
  options: Partial<RouterOptions> = {},
): Router => {
  const machine = { id: "mach_1", type: "local", externalId: "dev", metadata: { port: machinePort } }
  return createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({
      "p:misha": { owner: "org_1", machine, region: "fra" },
      ...(self === "fra" ? {} : { "p:gone": { owner: "org_1", machine, region: "fra" } }),
    }),
    providers: [local()],
    signingKey,
    unprovenMachines: true,
    regions: regions({ self, balancers }),
    clientAddress: (request) => request.headers.get("x-test-address"),
    ...options,
  })
}
