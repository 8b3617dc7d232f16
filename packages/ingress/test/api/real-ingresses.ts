import { defineGrammar } from "@project-ingress/hostname"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { createIngresses, memoryStorage } from "../../src/ingress.ts"
import type { Front, Ingresses } from "../../src/ingress.ts"

/** What the tests need of a platform. */
export interface TestPlatform {
  readonly machines: readonly { readonly id: string; readonly owner?: string }[]
  readonly reservedHostnames?: readonly string[]
  readonly fronts?: readonly Front[]
}

export type IngressesFactory = (platform: TestPlatform) => Ingresses | Promise<Ingresses>

/** Ingresses of a platform, in memory. */
export const realIngresses: IngressesFactory = async ({ machines, ...options }) => {
  const records = machines.map(({ id, owner }) => [
    `m:${id}`,
    {
      machine: { id, type: "upstream", externalId: id, metadata: { origin: "http://10.0.0.5" } },
      ...(owner === undefined ? {} : { owner }),
    },
  ])
  const store = memoryStore()
  for (const [key, record] of records) store.attach(key as `m:${string}`, record as never)
  const grammar = defineGrammar({ domains: ["iterate.app"] })
  const ingresses = createIngresses({ storage: memoryStorage(), grammar, store, ...options })
  await ingresses.start()
  return ingresses
}
