import { defineGrammar } from "@project-ingress/hostname"
import { describe, expect, it, vi } from "vitest"
import { memoryRegistry } from "../../src/stores/memory.ts"
import type { MemoryRegistryOptions } from "../../src/stores/memory.ts"
import { fake, keys, stamped } from "../fakes.ts"
import { createRouter } from "../../src/router.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const tagOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (cause: { readonly _tag?: string }) => cause._tag,
  )

describe("a custom domain", () => {
  it("is never verified without a resolver, and not by one that hangs", async () => {
    const registry = memoryRegistry({ grammar })
    await registry.create({ name: "misha" })
    await registry.addDomain("misha", "example.com")
    expect(await tagOf(registry.verifyDomain("misha", "example.com"))).toBe("DomainNotVerified")
    vi.useFakeTimers()
    try {
      const hanging = memoryRegistry({ grammar, resolveTxt: () => new Promise(() => {}) })
      await hanging.create({ name: "misha" })
      await hanging.addDomain("misha", "example.com")
      const pending = tagOf(hanging.verifyDomain("misha", "example.com"))
      await vi.advanceTimersByTimeAsync(5_001)
      expect(await pending).toBe("DomainNotVerified")
    } finally {
      vi.useRealTimers()
    }
  })
})

describe("memoryRegistry", () => {
  it("is a store for a router", async () => {
    const registry = memoryRegistry({ grammar })
    await registry.putMachine({ id: "mach_1", type: "fake", externalId: "x", metadata: {} })
    await registry.create({ name: "misha", machine: "mach_1" })
    const sent: unknown[] = []
    const router = createRouter({
      grammar,
      store: registry,
      providers: [fake()],
      signingKey: keys.signing,
      unprovenMachines: true,
      transport: async (outgoing) => (sent.push(outgoing), stamped()),
    })
    const statusOf = async (slug: string) => (await router.fetch(new Request(`http://${slug}.iterate.app/`)))?.status
    expect([await statusOf("misha"), await statusOf("anna"), sent.length]).toEqual([200, 404, 1])
  })

  it.each<[string, unknown]>([
    ["options must be an object, got undefined", undefined],
    ["grammar must be a grammar made by defineGrammar, got undefined", {}],
    ["grammar must be a grammar made by defineGrammar, got an object", { grammar: { domain: "iterate.app" } }],
    ["grammar must be a grammar made by defineGrammar, got an object", { grammar: { domains: ["iterate.app"] } }],
    [
      "grammar must be a grammar made by defineGrammar, got an object",
      { grammar: JSON.parse(JSON.stringify(grammar)) as unknown },
    ],
    ["resolveTXT is not an option (did you mean resolveTxt?)", { grammar, resolveTXT: () => [] }],
    ["resolveTxt must be a function, got a string", { grammar, resolveTxt: "dns" }],
    ["quarantineMs must be a number from 0 up, got NaN", { grammar, quarantineMs: NaN }],
    ["keptChanges must be an integer from 1 up, got 0", { grammar, keptChanges: 0 }],
  ])("checks its options: %s", (message, options) => {
    expect(() => memoryRegistry(options as MemoryRegistryOptions)).toThrow(new TypeError(`memoryRegistry: ${message}`))
  })
})
