import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "../../src/router.ts"
import type { Router, RouterEvent } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

/** Where the one machine of the cases is, and what signs its tickets. */
export interface RouterSetup {
  readonly machine: string
  readonly port: number
  readonly signingKey: SigningKey
  readonly onEvent?: (event: RouterEvent) => void
}

/** The router of the cases, the same under every host: the machine has two names, `misha` and `other`. */
export const routerFor = ({ machine, port, signingKey, onEvent }: RouterSetup): Router => {
  const attached = { machine: { id: machine, type: "local", externalId: "dev", metadata: { port } } }
  return createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({ "p:misha": attached, "p:other": attached }),
    providers: [local()],
    signingKey,
    isolateCookies: { reserved: ["platform_session", "__Host-platform-*"] },
    filterResponseHeaders: true,
    ...(onEvent === undefined ? {} : { onEvent }),
  })
}
