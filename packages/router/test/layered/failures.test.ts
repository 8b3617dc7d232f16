/** What happens while the authority or a cache fails; numbers of situations are those of the route data facts. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { RouteKey } from "../../src/router.ts"
import { layeredStore } from "../../src/stores/layered.ts"
import { encodeEntry } from "../../src/stores/published/entry.ts"
import { publishedStore } from "../../src/stores/published/published-store.ts"
import { FakeCache, holdTime, later, lookup, ManyAuthority, record, start } from "./fixtures.ts"
import type { Behaviour } from "./fixtures.ts"

beforeEach(holdTime)
afterEach(() => void vi.useRealTimers())

/** The result, and how long it took by the clock of the test; `undefined` when it is not there within `ms`. */
const within = async (ms: number, looked: unknown) => {
  const began = Date.now()
  const settled: { result?: unknown } = {}
  void Promise.resolve(looked).then((value) => (settled.result = value))
  const isSettled = () => "result" in settled
  for (let passed = 0; !isSettled() && passed <= ms; passed += 10) await later(10)
  return { result: settled.result, tookMs: Date.now() - began }
}

describe("an authority that is down", () => {
  const ways: readonly Behaviour[] = ["rejects", "throws", "unknown", "hangs"]

  it.each(ways)("11: that %s: every known route is served for 24 hours, then nobody knows", async (behaviour) => {
    const { authority, store } = start()
    const keys = Array.from({ length: 50 }, (_, n): RouteKey => `p:known-${n}`)
    for (const key of keys) authority.routes.set(key, record(1, { machine: key }))
    for (const key of keys) await store.get(key, lookup())
    authority.behaviour = behaviour
    for (const hours of [1, 12, 23]) {
      await later(hours === 1 ? 3_600_000 : 11 * 3_600_000)
      for (const key of keys) {
        const { result } = await within(1_100, store.get(key, lookup()))
        expect(result).toMatchObject({ status: "hit", stale: true, record: { machine: { id: key } } })
      }
    }
    await later(3_600_000)
    for (const key of keys) {
      const { result } = await within(2_100, store.get(key, lookup()))
      expect(result).toMatchObject({ status: "unknown", retryAfterMs: expect.any(Number) })
    }
  })

  it.each(ways)("12: at the start, that %s: unknown and when to ask again, never a miss", async (behaviour) => {
    const { authority, store } = start()
    authority.behaviour = behaviour
    for (const key of ["p:misha", "p:nobody"] as const) {
      const { result } = await within(2_100, store.get(key, lookup()))
      expect(result).toMatchObject({ status: "unknown" })
      expect((result as { readonly retryAfterMs: number }).retryAfterMs).toBeGreaterThanOrEqual(1_000)
    }
  })

  it("serves what is known also where onEvent throws", async () => {
    const { authority, store } = start({
      onEvent: () => {
        throw new Error("the log is full")
      },
    })
    await store.get("p:misha", lookup())
    authority.behaviour = "rejects"
    await later(60_000)
    expect(await store.get("p:misha", lookup())).toMatchObject({ status: "hit", stale: true })
  })

  it("33: a key that led nowhere is unknown and no miss when its time is over", async () => {
    const { authority, store } = start()
    await store.get("p:nobody", lookup())
    authority.behaviour = "rejects"
    expect(store.get("p:nobody", lookup())).toMatchObject({ status: "miss" })
    await later(2_000)
    expect((await store.get("p:nobody", lookup())).status).toBe("unknown")
  })

  it("and hangs costs one second of one request in a while, not of each", async () => {
    const { authority, store } = start()
    const keys = Array.from({ length: 20 }, (_, n): RouteKey => `p:known-${n}`)
    for (const key of keys) authority.routes.set(key, record(1))
    for (const key of keys) await store.get(key, lookup())
    authority.behaviour = "hangs"
    await later(60_000)
    const before = authority.calls
    const took: number[] = []
    for (let n = 0; n < 1_000; n++) {
      await later(100)
      took.push((await within(2_000, store.get(keys[n % 20]!, lookup()))).tookMs)
    }
    // Three keys until it is clear that it is the authority; then one whenever a pause of up to 8 s is over.
    expect(took.filter((ms) => ms > 100).length).toBeLessThanOrEqual(25)
    expect(Math.max(...took)).toBeLessThanOrEqual(1_010)
    expect(authority.calls - before).toBeLessThanOrEqual(25)
  })

  it("and hangs is not waited for by those who ask for what nobody has", async () => {
    const { authority, store } = start()
    authority.behaviour = "hangs"
    const took: number[] = []
    for (let n = 0; n < 100; n++) took.push((await within(3_000, store.get(`p:cold-${n}`, lookup()))).tookMs)
    expect(took.filter((ms) => ms > 100).length).toBeLessThanOrEqual(4)
    expect(took[0]).toBeLessThanOrEqual(2_010)
  })

  it("19: that works again is used within its pause, and everything comes to what it says", async () => {
    const { authority, store } = start()
    const keys = Array.from({ length: 10 }, (_, n): RouteKey => `p:known-${n}`)
    for (const key of keys) authority.routes.set(key, record(1))
    for (const key of keys) await store.get(key, lookup())
    authority.behaviour = "rejects"
    for (let s = 0; s < 600; s++) {
      await later(1_000)
      for (const key of keys) expect((await store.get(key, lookup())).status).toBe("hit")
    }
    // Asked again and again, but not by every look-up.
    expect(authority.calls).toBeLessThan(200)
    authority.behaviour = "works"
    for (const key of keys) authority.routes.set(key, record(2))
    await later(10_000)
    for (const key of keys) await store.get(key, lookup())
    await later(1_000)
    for (const key of keys) expect(await store.get(key, lookup())).toMatchObject({ record: { version: 2 } })
    for (const key of keys) expect(await store.get(key, lookup())).not.toHaveProperty("stale")
  })

  it("a key that fails alone fails only its own hostname", async () => {
    const { authority, store } = start()
    authority.failing.add("p:poison")
    for (let n = 0; n < 20; n++) {
      expect((await store.get("p:poison", lookup())).status).toBe("unknown")
      authority.routes.set(`p:cold-${n}`, record(1))
      expect((await store.get(`p:cold-${n}`, lookup())).status).toBe("hit")
      for (let again = 0; again < 5; again++) await store.get("p:poison", lookup())
    }
    expect(authority.asked.filter((key) => key === "p:poison")).toHaveLength(1)
  })

  it("a wildcard that fails is one key, under however many names it is asked for", async () => {
    const authority = new ManyAuthority()
    authority.failing.add("d:*.example.com")
    const store = layeredStore({ authority, random: () => 0 })
    authority.routes.set("p:cold", record(1))
    for (let n = 0; n < 20; n++) {
      const keys: RouteKey[] = [`d:${n}.example.com`, "d:*.example.com", "d:*.com"]
      expect((await store.getFirst(keys, lookup())).status).toBe("unknown")
    }
    expect((await store.get("p:cold", lookup())).status).toBe("hit")
  })

  it("custom domains of one top-level domain are several keys", async () => {
    const authority = new ManyAuthority()
    const store = layeredStore({ authority, random: () => 0 })
    authority.behaviour = "rejects"
    for (let n = 0; n < 20; n++) await store.getFirst([`d:www.of-${n}.com`, `d:*.of-${n}.com`, "d:*.com"], lookup())
    expect(authority.calls).toBe(3)
  })

  it("keys of which a store says that they fail alone are no failure of the store", async () => {
    const read = async (keys: readonly string[]) => keys.map((key) => (key === "p:well" ? entry : "damaged"))
    const entry = encodeEntry({ version: 1, readAt: Date.now(), record: record(1) })
    const authority = publishedStore({ layer: "kv", read, maxMissAgeMs: 60_000 })
    const store = layeredStore({ authority, random: () => 0 })
    for (let n = 0; n < 20; n++) expect((await store.get(`p:damaged-${n}`, lookup())).status).toBe("unknown")
    expect((await store.get("p:well", lookup())).status).toBe("hit")
  })

  it("a refresh gives what is known when it cannot be read, and says that it is stale", async () => {
    const { authority, store } = start()
    await store.get("p:misha", lookup())
    authority.behaviour = "rejects"
    expect(await store.get("p:misha", lookup({ refresh: true }))).toMatchObject({ status: "hit", stale: true })
  })

  it("is reported once, by its code and never its message, and when it works again", async () => {
    const { authority, store, events } = start()
    authority.behaviour = "rejects"
    for (let n = 0; n < 5; n++) await store.get(`p:any-${n}`, lookup())
    expect(events).toEqual([{ type: "route_source", layer: "authority", state: "failing", reason: "ECONNREFUSED" }])
    authority.behaviour = "works"
    await later(10_000)
    await store.get("p:misha", lookup())
    expect(events.slice(1)).toEqual([{ type: "route_source", layer: "authority", state: "recovered" }])
    authority.behaviour = "hangs"
    await within(2_100, store.get("p:slow", lookup()))
    expect(events.at(-1)).toMatchObject({ state: "failing", reason: "no result within 2000 ms" })
  })
})

describe("an authority that gives nonsense", () => {
  it.each([
    ["nothing", undefined],
    ["no look-up", { status: "perhaps" }],
    ["a hit without a record", { status: "hit" }],
  ])("%s: unknown", async (_, given) => {
    const store = layeredStore({ authority: { get: () => given as never } })
    expect((await store.get("p:misha", lookup())).status).toBe("unknown")
  })

  it("a record of a key that was not asked for: unknown, and it is kept under no key", async () => {
    const authority = { get: () => given, getFirst: () => given }
    const given = { status: "hit", key: "p:other", record: record(1) } as const
    const store = layeredStore({ authority })
    expect((await store.getFirst(["p:a", "p:b"], lookup())).status).toBe("unknown")
    expect(store.stats().layers[0]).toMatchObject({ routes: 0 })
  })

  it("a record that is not valid is passed on for its own hostname to fail, and is in no cache", async () => {
    const cache = new FakeCache()
    const { authority, store } = start({ caches: [cache] })
    authority.routes.set("p:odd", { ...record(1), kind: "tunnel" } as never)
    for (const layer of ["registry", "memory"]) {
      expect(await store.get("p:odd", lookup())).toMatchObject({ status: "hit", layer, record: { kind: "tunnel" } })
    }
    expect(await store.get("p:misha", lookup())).toMatchObject({ record: { version: 1 } })
    await later(0)
    expect([...cache.entries.keys()]).toEqual(["p:misha"])
  })

  it("a record that never ends, or cannot be read, is passed on and not kept", async () => {
    const { authority, store } = start()
    const circle: { inner?: unknown } = {}
    circle.inner = circle
    const trap = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error("trap")
        },
      },
    )
    for (const [key, odd] of [
      ["p:circle", circle],
      ["p:trap", trap],
    ] as const) {
      authority.routes.set(key, odd as never)
      expect((await store.get(key, lookup())).status).toBe("hit")
    }
    expect(store.stats().layers[0]).toMatchObject({ routes: 0 })
  })
})

describe("a cache", () => {
  const entry = (fields: object) => JSON.stringify({ readAt: Date.now(), record: record(1), ...fields })

  it.each<[string, (cache: FakeCache) => void]>([
    ["rejects", (cache) => (cache.behaviour = "rejects")],
    ["hangs", (cache) => (cache.behaviour = "hangs")],
    ["has no JSON", (cache) => cache.entries.set("p:misha", "<html>")],
    ["has half of an entry", (cache) => cache.entries.set("p:misha", entry({}).slice(0, 40))],
    ["has a list", (cache) => cache.entries.set("p:misha", "[1]")],
    ["has null", (cache) => cache.entries.set("p:misha", "null")],
    ["has a later format", (cache) => cache.entries.set("p:misha", entry({ v: 2 }))],
    [
      "has an entry of another key",
      (cache) => cache.entries.set("p:misha", entry({ key: "p:anna", record: record(9) })),
    ],
    ["has an invalid record", (cache) => cache.entries.set("p:misha", entry({ record: { kind: "tunnel" } }))],
    ["has no time", (cache) => cache.entries.set("p:misha", entry({ readAt: "yesterday" }))],
    [
      "has an entry from before yesterday",
      (cache) => cache.entries.set("p:misha", entry({ readAt: Date.now() - 9e7 })),
    ],
  ])("13: that %s is passed over within its time", async (_, damage) => {
    const near = new FakeCache("near")
    const { authority, store } = start({ caches: [near, new FakeCache("far")] })
    authority.routes.set("p:misha", record(5))
    damage(near)
    const { result, tookMs } = await within(500, store.get("p:misha", lookup()))
    expect(result).toMatchObject({ status: "hit", record: { version: 5 }, layer: "registry" })
    expect(tookMs).toBeLessThanOrEqual(220)
  })

  it("that hangs is not waited for by every request, and is used again when it works", async () => {
    const cache = new FakeCache()
    const { authority, store, events } = start({ caches: [cache] })
    cache.behaviour = "hangs"
    const took: number[] = []
    for (let n = 0; n < 20; n++) {
      authority.routes.set(`p:cold-${n}`, record(1))
      took.push((await within(1_000, store.get(`p:cold-${n}`, lookup()))).tookMs)
    }
    expect(took.filter((ms) => ms > 20)).toHaveLength(3)
    expect(events).toMatchObject([{ layer: "cache", state: "failing", reason: "no result within 200 ms" }])
    cache.behaviour = "works"
    cache.entries.set("p:cached", entry({}))
    await later(10_000)
    cache.entries.set("p:cached", entry({}))
    expect(await store.get("p:cached", lookup())).toMatchObject({ layer: "cache" })
    expect(events.at(-1)).toMatchObject({ layer: "cache", state: "recovered" })
  })

  it("gives what it has to the caches before it", async () => {
    const [near, far] = [new FakeCache("near"), new FakeCache("far")]
    const { authority, store } = start({ caches: [near, far] })
    far.entries.set("p:misha", entry({ readAt: Date.now() - 7_000 }))
    expect(await store.get("p:misha", lookup())).toMatchObject({ layer: "far", ageMs: 7_000 })
    await later(0)
    expect(JSON.parse(near.entries.get("p:misha")!)).toMatchObject({ key: "p:misha", readAt: Date.now() - 7_000 })
    expect(authority.calls).toBe(0)
  })

  it("serves for 24 hours a router that starts while the authority is down", async () => {
    const cache = new FakeCache()
    const { authority, store } = start({ caches: [cache] })
    authority.behaviour = "rejects"
    cache.entries.set("p:misha", entry({ readAt: Date.now() - 80_000_000 }))
    expect(await store.get("p:misha", lookup())).toMatchObject({ stale: true, ageMs: 80_000_000 })
  })

  it("is written once in a while by a route that stays the same, and at once by one that changes", async () => {
    const cache = new FakeCache()
    const { authority, store } = start({ caches: [cache] })
    for (let s = 0; s < 60; s++) {
      await store.get("p:misha", lookup())
      await later(1_000)
    }
    expect(authority.calls).toBeLessThanOrEqual(12)
    expect(cache.writes).toBeLessThanOrEqual(5)
    const { writes } = cache
    authority.routes.set("p:misha", record(2))
    await store.get("p:misha", lookup({ refresh: true }))
    await later(0)
    expect(cache.writes).toBe(writes + 1)
  })
})

describe("clocks that are set", () => {
  it("a wall clock set forward or back by a year changes nothing of what is in memory", async () => {
    const { authority, store } = start()
    await store.get("p:misha", lookup())
    for (const by of [365 * 86_400_000, -365 * 86_400_000]) {
      vi.setSystemTime(Date.now() + by)
      await later(1_000)
      expect(store.get("p:misha", lookup())).toMatchObject({ status: "hit", layer: "memory" })
    }
    expect(authority.calls).toBe(1)
    authority.behaviour = "rejects"
    vi.setSystemTime(Date.now() + 365 * 86_400_000)
    await later(60_000)
    expect(await store.get("p:misha", lookup())).toMatchObject({ stale: true, ageMs: 62_000 })
  })

  it.each([
    ["a little from the future is new", 4_000, { layer: "cache", ageMs: 0 }],
    ["from the future is asked for before it is used", 60_000, { layer: "registry", record: { version: 2 } }],
  ])("an entry of a cache that is %s", async (_, aheadMs, expected) => {
    const cache = new FakeCache()
    const { authority, store } = start({ caches: [cache] })
    authority.routes.set("p:misha", record(2))
    cache.entries.set("p:misha", JSON.stringify({ readAt: Date.now() + aheadMs, record: record(1) }))
    expect(await store.get("p:misha", lookup())).toMatchObject(expected)
  })

  it("an entry from the future is served while the authority is down", async () => {
    const cache = new FakeCache()
    const { authority, store } = start({ caches: [cache] })
    authority.behaviour = "rejects"
    cache.entries.set("p:misha", JSON.stringify({ readAt: Date.now() + 60_000, record: record(1) }))
    expect(await store.get("p:misha", lookup())).toMatchObject({ status: "hit", stale: true })
  })
})
