import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import type { Machine } from "@project-ingress/providers"
import { accessTokens, defineAccess, embedding, shareLinks } from "../../src/access.ts"
import { visibility } from "../../src/policies.ts"
import type { RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

/** The project, as a control plane knows it. */
export const granted = { key: "p:misha", externalId: "prj_misha", owner: "org_1", generation: 3 } as const

/** One project behind tokens and links, on every host the same. */
export const grantsOptions = (signingKey: SigningKey, machine: Machine): Omit<RouterOptions, "providers"> => {
  const grammar = defineGrammar({ domains: ["iterate.app"] })
  const access = defineAccess({ keys: [signingKey] })
  const { key, ...identity } = granted
  const settings = { visibility: "private", embed: ["https://docs.example"] } as const
  return {
    grammar,
    store: memoryStore({ [key]: { machine, ...identity, ...settings } }),
    signingKey,
    unprovenMachines: true,
    policies: [accessTokens(access), shareLinks(access), embedding(), visibility({ grammar })],
  }
}
