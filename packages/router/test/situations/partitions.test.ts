/** Two routers and one source of their routes: what each may say while any of the ways between them is cut. */
import { defineGrammar } from "@project-ingress/hostname"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { RouteKey, RouteStore } from "../../src/router.ts"
import { kvPublisher, kvStore } from "../../src/stores/cloudflare-kv.ts"
import { layeredStore } from "../../src/stores/layered.ts"
import { memoryRegistry } from "../../src/stores/memory.ts"
import type { MemoryRegistry } from "../../src/stores/memory.ts"
import { pagedStore, pagePublisher } from "../../src/stores/paged.ts"
import { tableStore } from "../../src/stores/table.ts"
import { machine } from "../fakes.ts"
import { FakeCache } from "../layered/fixtures.ts"
import { memoryPages } from "../paged/pages-in-memory.ts"
import { FaultyKv } from "../../src/testing.ts"
import { holdClock, settled } from "../table/held-clock.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const { signal } = new AbortController()

/** A way between two of them. */
class Edge {
  #cut: "fails" | "hangs" | undefined
  #broken = Promise.withResolvers<never>()

  cut(how: "fails" | "hangs"): void {
    this.#cut = how
    this.#broken.promise.catch(() => undefined)
    if (how === "fails") this.#broken.reject(Object.assign(new Error("cut"), { code: "ECONNRESET" }))
  }

  heal(): void {
    this.#cut = undefined
    this.#broken = Promise.withResolvers<never>()
  }

  /** The same thing, at the other end of this way: results of calls that are on their way are lost, too. */
  through<A extends object>(target: A): A {
    return new Proxy(target, {
      get: (_, name) => {
        const found: unknown = Reflect.get(target, name)
        if (typeof found !== "function") return found
        return (...given: unknown[]): unknown => {
          const { promise } = this.#broken
          if (this.#cut !== undefined) return this.#cut === "fails" ? promise : new Promise(() => undefined)
          const isCut = () => this.#broken.promise !== promise || this.#cut !== undefined
          const result = Promise.resolve(found.apply(target, given)).then((value: unknown) =>
            isCut() ? new Promise(() => undefined) : value,
          )
          return Promise.race([result, promise])
        }
      },
    })
  }
}

/** The triangle: each router's way to what it reads, and the way that both depend on. */
interface Edges {
  readonly first: Edge
  readonly second: Edge
  readonly shared: Edge
}

interface Arrangement {
  readonly name: string
  /** Whether a router has two ways to what it reads, so that it hears of changes whichever of them is cut. */
  readonly isRedundant: boolean
  readonly open: (registry: MemoryRegistry, edges: Edges, ended: AbortSignal) => Promise<readonly RouteStore[]>
}

const arrangements: readonly Arrangement[] = [
  {
    name: "layers over a registry and a cache that they share",
    isRedundant: true,
    open: async (registry, { first, second, shared }) => {
      const cache = new FakeCache()
      return [first, second].map((edge) =>
        layeredStore({ authority: edge.through(registry), caches: [shared.through(cache)] }),
      )
    },
  },
  {
    name: "tables that follow one feed",
    isRedundant: false,
    open: async (registry, { first, second, shared }) => {
      const source = shared.through(registry)
      return [first, second].map((edge) => tableStore(edge.through(source)))
    },
  },
  {
    name: "pages of one publisher",
    isRedundant: false,
    open: async (registry, { first, second, shared }, signal) => {
      const pages = memoryPages()
      void pagePublisher(pages, shared.through(registry)).run({ signal })
      return [first, second].map((edge) => pagedStore(edge.through(pages)))
    },
  },
  {
    name: "layers over the KV of one publisher",
    isRedundant: false,
    open: async (registry, { first, second, shared }, signal) => {
      const kv = new FaultyKv()
      void kvPublisher(kv.place(), shared.through(registry)).run({ signal })
      return [first, second].map((edge) => layeredStore({ authority: kvStore(edge.through(kv.place())) }))
    },
  },
]

const projects = Array.from({ length: 12 }, (_, n) => `t${n}`)
const keys = projects.flatMap((name): RouteKey[] => [`p:${name}`, `m:mach_${name}`])

/** Hashes that are being made, in threads which no clock of a test holds. */
const digests = new Set<symbol>()
let ended: AbortController
let stores: readonly RouteStore[]
beforeEach(() => {
  holdClock()
  digests.clear()
  const digest = crypto.subtle.digest.bind(crypto.subtle)
  vi.spyOn(crypto.subtle, "digest").mockImplementation(async (...given) => {
    const one = Symbol()
    digests.add(one)
    try {
      return await digest(...given)
    } finally {
      digests.delete(one)
    }
  })
  ended = new AbortController()
  stores = []
})
afterEach(async () => {
  ended.abort()
  for (const store of stores) void store.dispose?.()
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const pass = async (ms: number): Promise<void> => {
  await vi.advanceTimersByTimeAsync(ms)
  do await settled()
  while (digests.size > 0)
}

/** A look-up, which takes 5 s at most by the clock of the test. */
const look = async (store: RouteStore, key: RouteKey) => {
  const found: { lookup?: Awaited<ReturnType<RouteStore["get"]>> } = {}
  void Promise.resolve(store.get(key, { signal })).then((lookup) => (found.lookup = lookup))
  await Promise.resolve()
  for (let waited = 0; found.lookup === undefined && waited < 5_000; waited += 250) await pass(250)
  return found.lookup ?? { status: "unknown" as const }
}

describe.each(arrangements)("$name", ({ isRedundant, open }) => {
  describe.each(["first", "second", "shared"] as const)("whose %s way is cut", (name) => {
    it.each(["fails", "hangs"] as const)(
      "serve every route that they had, never another's, and come to the same when it heals: it %s",
      { timeout: 60_000 },
      async (how) => {
        const registry = memoryRegistry({ grammar })
        for (const name of projects) {
          await registry.putMachine({ ...machine(`mach_${name}`), owner: `org_${name}_0` })
          await registry.create({ name, owner: `org_${name}_0`, machine: `mach_${name}` })
        }
        const edges = { first: new Edge(), second: new Edge(), shared: new Edge() }
        stores = await open(registry, edges, ended.signal)
        const now = (key: RouteKey) => {
          const found = registry.get(key)
          return found.status === "hit" ? found.record : undefined
        }
        const highest = stores.map(() => new Map<RouteKey, number>())
        /** What a router says of every key, by I1, I4 and I5 of the facts. */
        const inspect = async (): Promise<(number | string)[][]> => {
          const seen: (number | string)[][] = []
          for (const [n, store] of stores.entries()) {
            seen[n] = []
            for (const key of keys) {
              const found = await look(store, key)
              const place = `router ${n}, ${key}`
              expect(found.status, `I4: ${place}`).toBe("hit")
              if (found.status !== "hit") continue
              const { record } = found
              const project = key.replace(/^p:|^m:mach_/, "")
              expect(record.owner, `I5: ${place}`).toMatch(new RegExp(`^org_${project}_\\d$`))
              expect(record.kind === "machine" && record.machine?.id, `I5: ${place}`).toBe(`mach_${project}`)
              expect(record.version, `I1: ${place}`).toBeGreaterThanOrEqual(highest[n]!.get(key) ?? 0)
              highest[n]!.set(key, record.version)
              seen[n].push(record.version)
            }
          }
          return seen
        }
        const expected = () => keys.map((key) => now(key)!.version)
        const agree = async (limit: number): Promise<void> => {
          for (let s = 0; s < limit; s += 10) {
            const seen = await inspect()
            if (seen.every((each) => String(each) === String(expected()))) return
            await pass(10_000)
          }
          expect(await inspect(), "I2").toEqual(stores.map(expected))
        }
        // All is well at first.
        for (let s = 0; s < 300; s++) {
          await pass(1_000)
          const found = await Promise.all(stores.map((store) => look(store, keys[0]!)))
          if (found.every(({ status }) => status === "hit")) break
        }
        await agree(600)

        edges[name].cut(how)
        for (let turn = 1; turn < 4; turn++) {
          for (const project of projects) await registry.transfer(project, `org_${project}_${turn}`)
          for (let at = 0; at < 10; at++) {
            await pass(20_000)
            await inspect()
          }
        }
        // Whoever is not cut off has heard of it all; whoever is has not.
        await pass(120_000)
        await inspect()
        await pass(1_000)
        const seen = await inspect()
        const isCurrent = (["first", "second"] as const).map((own) => isRedundant || ![own, "shared"].includes(name))
        expect(seen.map((each) => String(each) === String(expected()))).toEqual(isCurrent)

        edges[name].heal()
        await agree(1_200)
      },
    )
  })
})
