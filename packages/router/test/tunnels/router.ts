import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "../../src/router.ts"
import type { Router, RouterEvent } from "../../src/router.ts"
import type { PortSettings } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

/** The one machine of the project `misha`, and what its ports speak. */
export interface TunnelSetup {
  readonly machine: string
  /** Where its machine proxy listens, on this computer. */
  readonly origin: { readonly port: number } | { readonly host: string; readonly port: number }
  readonly signingKey: SigningKey
  readonly ports: Readonly<Record<number, PortSettings>>
  readonly onEvent?: (event: RouterEvent) => void
}

/** The router of the tests, the same under every host. */
export const routerFor = ({ machine, origin, signingKey, ports, onEvent }: TunnelSetup): Router =>
  createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({
      "p:misha": { machine: { id: machine, type: "local", externalId: "dev", metadata: origin }, ports },
    }),
    providers: [local()],
    signingKey,
    ...(onEvent === undefined ? {} : { onEvent }),
  })
