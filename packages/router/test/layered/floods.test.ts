/** What many names, and many requests for one, cost; numbers of situations are those of the route data facts. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { everything, onlyInAll } from "../../../../test/requirements.ts"
import type { RouteKey } from "../../src/router.ts"
import { layeredStore } from "../../src/stores/layered.ts"
import type { LayeredStoreOptions } from "../../src/stores/layered.ts"
import { FakeAuthority, FakeCache, holdTime, later, lookup, ManyAuthority, record } from "./fixtures.ts"

beforeEach(holdTime)
afterEach(() => void vi.useRealTimers())

const start = (options: Partial<LayeredStoreOptions> = {}) => {
  const authority = new FakeAuthority()
  const store = layeredStore({ authority, random: () => 0, ...options })
  return { authority, store }
}
const all = (looked: readonly unknown[]) => Promise.all(looked.map(async (each) => each))
const status = async (looked: unknown) => (await (looked as Promise<{ readonly status: string }>)).status

/** Names at a rate of 10 000 a second, with something else in between once a second. */
const flood = async (
  store: ReturnType<typeof start>["store"],
  names: number,
  everySecond: (second: number) => Promise<void>,
): Promise<void> => {
  for (let n = 0; n < names;) {
    const looked: unknown[] = []
    for (let step = 0; step < 1_000; step++) looked.push(store.get(`p:random-${n++}`, lookup()))
    // In the midst of it: the flood has taken all that it may by then.
    if (n % 10_000 === 0) await everySecond(n / 10_000)
    await later(100)
    await all(looked)
  }
}

const UNKNOWN_READS = { perSecond: 100, burst: 200 }

/** How many known names were served meanwhile; each that was not is a failure. */
const servedDuring = async (names: number): Promise<number> => {
  const cache = new FakeCache("kv")
  cache.write = async () => undefined
  const { authority, store } = start({ caches: [cache], names: 20_000, routes: 1_000, unknownReads: UNKNOWN_READS })
  // Known, and no longer in memory: in the shared cache, too old to be used, or nowhere but remembered.
  const cached = Array.from({ length: 500 }, (_, n): RouteKey => `p:cached-${n}`)
  const remembered = Array.from({ length: 2_000 }, (_, n): RouteKey => `p:remembered-${n}`)
  for (const [n, key] of [...cached, ...remembered].entries()) {
    authority.routes.set(key, record(1, { owner: `org_${n}`, machine: key }))
  }
  for (const key of cached) {
    cache.entries.set(key, JSON.stringify({ readAt: Date.now() - 60_000, record: authority.routes.get(key) }))
  }
  for (const key of remembered) {
    expect(await status(store.get(key, lookup()))).toBe("hit")
    await later(20)
  }
  expect(store.stats().layers[0]!.routes).toBe(1_000)
  // Nobody has ever asked this router, or any, for these.
  const cold = Array.from({ length: 50 }, (_, n): RouteKey => `p:cold-${n}`)
  for (const [n, key] of cold.entries()) authority.routes.set(key, record(1, { owner: `new_${n}`, machine: key }))

  const began = authority.calls
  const seconds = names / 10_000
  let known = 0
  let retried = 0
  const waiting: RouteKey[] = []
  await flood(store, names, async (second) => {
    for (let n = 0; n < 20; n++) {
      for (const key of [cached[(second * 20 + n) % 500]!, remembered[(second * 20 + n) % 2_000]!]) {
        expect(await store.get(key, lookup())).toMatchObject({ status: "hit", record: { machine: { id: key } } })
        known++
      }
    }
    // A visitor whose page says that it tries again in a second, while the flood goes on.
    for (const visitor of waiting.splice(0)) {
      expect(await store.get(visitor, lookup())).toMatchObject({ status: "hit", record: { machine: { id: visitor } } })
      retried++
    }
    const visitor = cold[second % 50]!
    if ((await status(store.get(visitor, lookup()))) !== "hit") waiting.push(visitor)
  })
  // A second for the flood, and up to one for the visitor.
  expect(authority.calls - began).toBeLessThanOrEqual(200 + 100 * seconds * 2 + known + 50)
  expect(cache.entries.size).toBe(500)
  expect(retried).toBeGreaterThan(0)
  return known
}

describe("a stampede", () => {
  it("25: a thousand look-ups of a cold key are one read", async () => {
    const cache = new FakeCache()
    const { authority, store } = start({ caches: [cache] })
    authority.routes.set("p:misha", record(1))
    authority.delayMs = 500
    const looked = Array.from({ length: 1_000 }, () => store.get("p:misha", lookup()))
    await later(500)
    for (const each of await all(looked)) expect(each).toMatchObject({ status: "hit", record: { version: 1 } })
    expect([authority.calls, cache.reads]).toEqual([1, 1])
  })

  it("of refreshes after a machine moved is one read, too", async () => {
    const { authority, store } = start()
    authority.routes.set("p:misha", record(1))
    await store.get("p:misha", lookup())
    authority.delayMs = 100
    const looked = Array.from({ length: 1_000 }, () => store.get("p:misha", lookup({ refresh: true })))
    await later(100)
    await all(looked)
    expect(authority.calls).toBe(2)
  })

  it("a client that leaves takes nothing from those who wait for the same", async () => {
    const { authority, store } = start()
    authority.routes.set("p:misha", record(1))
    authority.delayMs = 300
    const client = new AbortController()
    void store.get("p:misha", lookup({ signal: client.signal }))
    const other = store.get("p:misha", lookup())
    client.abort()
    await later(300)
    expect(await status(other)).toBe("hit")
  })
})

describe("a flood of unknown names", () => {
  it("23: takes nothing from cold names that are known, and a cold name that nobody knows waits for one retry", async () => {
    expect(await servedDuring(50_000)).toBe(5 * 40)
  })

  it("cannot make the hostname of a known domain unknown, where the authority takes several keys", async () => {
    const authority = new ManyAuthority()
    authority.routes.set("d:www.example.com", record(1))
    const store = layeredStore({ authority, random: () => 0, unknownReads: { perSecond: 1, burst: 2 } })
    const keys = ["d:4096.www.example.com", "d:www.example.com"] as const
    expect(await status(store.getFirst(keys, lookup()))).toBe("hit")
    for (let n = 0; n < 30_000; n++) void store.get(`p:random-${n}`, lookup())
    for (let s = 0; s < 100; s++) {
      await later(1_000)
      expect(await store.getFirst(keys, lookup())).toMatchObject({ status: "hit", key: "d:www.example.com" })
      for (let n = 0; n < 100; n++) void store.get(`p:again-${s}-${n}`, lookup())
    }
  })

  it("below the wildcards of several owners makes no other owner's route stale", async () => {
    const authority = new ManyAuthority()
    const wildcards = [1, 2, 3].map((n): RouteKey => `d:*.wild-${n}.example`)
    for (const key of wildcards) authority.routes.set(key, record(1, { owner: key }))
    authority.routes.set("p:misha", record(1, { owner: "org_2" }))
    const limits = { knownReads: { perSecond: 10, burst: 20 }, unknownReads: { perSecond: 10, burst: 20 } }
    const store = layeredStore({ authority, random: () => 0, ...limits, revalidateMs: 5_000 })
    for (const key of [...wildcards, "p:misha" as const]) await store.get(key, lookup())
    for (let s = 0; s < 60; s++) {
      for (let n = 0; n < 300; n++) {
        const key = wildcards[n % 3]!
        void store.getFirst([key.replace("*", `${s}-${n}`) as RouteKey, key], lookup())
      }
      // In the midst of it: the flood has taken all that it may by then.
      await later(1)
      const looked = await store.get("p:misha", lookup())
      expect(looked).toMatchObject({ status: "hit" })
      expect(looked).not.toHaveProperty("stale")
      await later(1_000)
    }
  })

  it("below the wildcards of several owners takes nothing from other owners' routes by names that were heard before", async () => {
    const authority = new ManyAuthority()
    const wildcards = [1, 2, 3, 4].map((n): RouteKey => `d:*.wild-${n}.example`)
    for (const key of wildcards) authority.routes.set(key, record(1, { owner: key }))
    authority.routes.set("p:misha", record(1, { owner: "org_2" }))
    const limits = { knownReads: { perSecond: 10, burst: 20 }, unknownReads: { perSecond: 1e6, burst: 100_000 } }
    const store = layeredStore({ authority, random: () => 0, ...limits, softMs: 1_000, revalidateMs: 2_000 })
    await store.get("p:misha", lookup())
    const below = wildcards.flatMap((key) =>
      Array.from({ length: 100 }, (_, n) => [key.replace("*", String(n)) as RouteKey, key] as const),
    )
    for (const keys of below) expect(await status(store.getFirst(keys, lookup()))).toBe("hit")
    for (let s = 0; s < 60; s++) {
      for (const keys of below) void store.getFirst(keys, lookup())
      await later(1)
      const looked = await store.get("p:misha", lookup())
      expect(looked).toMatchObject({ status: "hit" })
      expect(looked).not.toHaveProperty("stale")
      await later(1_000)
    }
  })

  it("below a known wildcard costs its owner, and no other", async () => {
    const authority = new ManyAuthority()
    authority.routes.set("d:*.example.com", record(1, { owner: "org_wild" }))
    authority.routes.set("p:misha", record(1, { owner: "org_2" }))
    const knownReads = { perSecond: 10, burst: 20 }
    const store = layeredStore({ authority, random: () => 0, knownReads, revalidateMs: 5_000 })
    await store.getFirst(["d:*.example.com"], lookup())
    await store.get("p:misha", lookup())
    for (let s = 0; s < 60; s++) {
      for (let n = 0; n < 100; n++) void store.getFirst([`d:${s}-${n}.example.com`, "d:*.example.com"], lookup())
      await later(1_000)
      const looked = await store.get("p:misha", lookup())
      expect(looked).toMatchObject({ status: "hit" })
      expect(looked).not.toHaveProperty("stale")
    }
  })

  it("is put off where a cache hangs, and gathers no work", async () => {
    const cache = new FakeCache()
    cache.behaviour = "hangs"
    const { store } = start({ caches: [cache] })
    const looked = Array.from({ length: 5_000 }, (_, n) => store.get(`p:random-${n}`, lookup()))
    expect(cache.reads).toBeLessThanOrEqual(1_024)
    expect(looked[4_999]).toMatchObject({ status: "unknown", retryAfterMs: 1_000 })
    await later(3_000)
    await all(looked)
  })
})

describe.skipIf(!everything)(`a flood of a million unknown names${onlyInAll}`, () => {
  it("23: takes nothing from cold names that are known", { timeout: 600_000 }, async () => {
    expect(await servedDuring(1_000_000)).toBe(100 * 40)
  })
})

describe("reads of known names that are too many", () => {
  it("make routes older, up to ten times revalidateMs; then nobody knows", async () => {
    const { authority, store } = start({ knownReads: { perSecond: 0.001, burst: 2 } })
    authority.routes.set("p:misha", record(1))
    await store.get("p:misha", lookup())
    const refresh = lookup({ refresh: true })
    await store.get("p:misha", refresh)
    await store.get("p:misha", refresh)
    await later(299_000)
    expect(await store.get("p:misha", lookup())).toMatchObject({ status: "hit", stale: true })
    await later(2_001)
    expect(await store.get("p:misha", lookup())).toMatchObject({ status: "unknown", retryAfterMs: 1_000 })
  })

  it("are of their owner: at most half are one tenant's", async () => {
    const { authority, store } = start({ knownReads: { perSecond: 1, burst: 20 }, softMs: 1, revalidateMs: 1 })
    const keysOf = (owner: string) => Array.from({ length: 50 }, (_, n): RouteKey => `p:${owner}-${n}`)
    for (const owner of ["big", "small"]) {
      for (const key of keysOf(owner)) authority.routes.set(key, record(1, { owner }))
      for (const key of keysOf(owner)) await store.get(key, lookup())
    }
    await later(5)
    const before = authority.calls
    for (const key of keysOf("big")) await store.get(key, lookup())
    expect(authority.calls - before).toBe(10)
    expect(await store.get(keysOf("small")[0]!, lookup())).not.toHaveProperty("stale")
  })
})

describe("memory", () => {
  it("a tenant with many names pushes out its own, not those of others", async () => {
    const { authority, store } = start({ routes: 100, unknownReads: { perSecond: 1e6, burst: 100_000 } })
    const small = Array.from({ length: 40 }, (_, n): RouteKey => `p:small-${n}`)
    for (const [n, key] of small.entries()) authority.routes.set(key, record(1, { owner: `org_${n}` }))
    for (const key of small) await store.get(key, lookup())
    for (let n = 0; n < 5_000; n++) {
      authority.routes.set(`p:big-${n}`, record(1, { owner: "big" }))
      await store.get(`p:big-${n}`, lookup())
    }
    expect(store.stats().layers[0]!.routes).toBe(100)
    const { calls } = authority
    for (const key of small) expect(store.get(key, lookup())).toMatchObject({ status: "hit", layer: "memory" })
    expect(authority.calls).toBe(calls)
  })

  it("keys that led nowhere on the way to a route are its owner's, and no flood pushes them out", async () => {
    const authority = new ManyAuthority()
    authority.routes.set("d:www.example.com", record(1))
    const unknownReads = { perSecond: 1e6, burst: 100_000 }
    const store = layeredStore({ authority, random: () => 0, misses: 100, unknownReads })
    const keys = ["d:4096.www.example.com", "d:www.example.com"] as const
    await store.getFirst(keys, lookup())
    for (let n = 0; n < 2_000; n++) await store.get(`p:random-${n}`, lookup())
    expect(store.getFirst(keys, lookup())).toMatchObject({ status: "hit", layer: "memory" })
  })

  it("large records count as several", async () => {
    const { authority, store } = start({ routes: 100 })
    for (let n = 0; n < 50; n++) {
      const metadata = { text: "x".repeat(10_000) }
      authority.routes.set(`p:large-${n}`, { ...record(1, { owner: `org_${n}` }), metadata })
      await store.get(`p:large-${n}`, lookup())
    }
    expect(store.stats().layers[0]!.routes).toBe(10)
  })

  it("unknown names push out each other only, and a name longer than any hostname is not kept", async () => {
    const { authority, store } = start({ misses: 100, unknownReads: { perSecond: 1e6, burst: 100_000 } })
    authority.routes.set("p:misha", record(1))
    await store.get("p:misha", lookup())
    for (let n = 0; n < 2_000; n++) await store.get(`p:random-${n}`, lookup())
    const { calls } = authority
    for (let n = 0; n < 2_000; n++) await store.get(`p:random-${n}`, lookup())
    expect(authority.calls - calls).toBeGreaterThanOrEqual(1_900)
    expect(store.get("p:misha", lookup())).toMatchObject({ layer: "memory" })
    const long: RouteKey = `p:${"x".repeat(60_000)}`
    await store.get(long, lookup())
    expect(store.get(long, lookup())).toBeInstanceOf(Promise)
  })
})
