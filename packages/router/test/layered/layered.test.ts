/** What is how old, at most; numbers of situations are those of the route data facts. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { layeredStore } from "../../src/stores/layered.ts"
import { FakeAuthority, FakeCache, holdTime, later, lookup, ManyAuthority, record, start, version } from "./fixtures.ts"

beforeEach(holdTime)
afterEach(() => void vi.useRealTimers())

describe("memory", () => {
  it("gives a route at once and as the same object, and reads the authority once", async () => {
    const { authority, store } = start()
    const cold = await store.get("p:misha", lookup())
    expect(cold).toMatchObject({ status: "hit", layer: "registry", record: { version: 1 } })
    await later(1_000)
    const warm = store.get("p:misha", lookup())
    expect(warm).toEqual({ status: "hit", layer: "memory", ageMs: 1_000, record: record(1) })
    expect("record" in cold && "record" in warm && cold.record === warm.record).toBe(true)
    expect(authority.calls).toBe(1)
  })

  it("keeps the object of a route that was read again and has the same version", async () => {
    const { store } = start()
    const cold = await store.get("p:misha", lookup())
    await later(40_000)
    const again = await store.get("p:misha", lookup())
    expect(again).toMatchObject({ ageMs: 0 })
    expect("record" in cold && "record" in again && cold.record === again.record).toBe(true)
  })

  it("gives a route that changed, even if its version did not", async () => {
    const cache = new FakeCache()
    const { authority, store } = start({ caches: [cache] })
    await store.get("p:misha", lookup())
    authority.routes.set("p:misha", record(1, { machine: "mach_2" }))
    const looked = await store.get("p:misha", lookup({ refresh: true }))
    expect(looked).toMatchObject({ record: { machine: { id: "mach_2" } } })
    await later(0)
    expect(cache.entries.get("p:misha")).toContain("mach_2")
  })

  it("says what it holds, by layer", async () => {
    const { store } = start({ caches: [new FakeCache("kv")] })
    expect(store.stats()).toEqual({ layers: [{ layer: "memory", routes: 0 }, { layer: "kv" }, { layer: "authority" }] })
    await store.get("p:misha", lookup())
    await later(500)
    expect(store.stats().layers).toEqual([
      { layer: "memory", routes: 1, ageMs: 500 },
      { layer: "kv" },
      { layer: "authority", ageMs: 500 },
    ])
  })
})

describe("while the authority answers", () => {
  it("27: a hot route past its time is given at once, and read once in the background", async () => {
    const { authority, store } = start()
    await store.get("p:misha", lookup())
    authority.routes.set("p:misha", record(2))
    authority.delayMs = 300
    await later(5_000)
    for (let n = 0; n < 1_000; n++) {
      const looked = store.get("p:misha", lookup())
      expect(looked).toMatchObject({ status: "hit", record: { version: 1 }, ageMs: 5_000 })
      expect(looked).not.toHaveProperty("stale")
    }
    await later(300)
    expect(version(store.get("p:misha", lookup()))).toBe(2)
    expect(authority.calls).toBe(2)
  })

  it("4: a withdrawn route is not served past revalidateMs, with its old version in every cache", async () => {
    const caches = [new FakeCache("near"), new FakeCache("far")]
    const { authority, store } = start({ caches })
    await store.get("p:misha", lookup())
    await later(0)
    for (const cache of caches) expect(cache.entries.get("p:misha")).toContain('"version":1')
    authority.routes.set("p:misha", { kind: "removed", version: 2, epoch: 2 })
    await later(29_999)
    // Another router, which has nothing but the caches.
    const other = layeredStore({ authority, caches, random: () => 0 })
    expect(await other.get("p:misha", lookup())).toMatchObject({ layer: "near", ageMs: 29_999, record: { version: 1 } })
    await later(1)
    for (const router of [store, other]) {
      expect(await router.get("p:misha", lookup())).toMatchObject({ record: { kind: "removed" }, ageMs: 0 })
    }
  })

  it.each([
    ["takes one key", FakeAuthority],
    ["takes several", ManyAuthority],
  ])("counts what was just read, whatever the ages are, from an authority that %s", async (_, Authority) => {
    for (const ages of [
      { softMs: 0, revalidateMs: 1, missMs: 1 },
      { softMs: 0, revalidateMs: 0, missMs: 0 },
    ]) {
      const authority = new Authority()
      // Longer than everything may be old.
      authority.delayMs = 20
      const store = layeredStore({ authority, caches: [new FakeCache()], ...ages, random: () => 0 })
      const keys = ["p:misha", "m:misha"] as const
      const look = async () => {
        const looked = store.getFirst(keys, lookup())
        await later(100)
        return looked
      }
      for (let version = 1; version < 4; version++) {
        expect(await look()).toMatchObject({ status: "miss" })
        authority.routes.set("m:misha", record(version))
        expect(await look()).toMatchObject({ status: "hit", key: "m:misha", record: { version } })
        authority.routes.delete("m:misha")
      }
      expect(await look()).toMatchObject({ status: "miss" })
    }
  })

  it("4: it waits a second for an authority that is slow, and serves the old route only then", async () => {
    const { authority, store } = start()
    await store.get("p:misha", lookup())
    authority.routes.set("p:misha", record(2))
    authority.delayMs = 900
    await later(30_000)
    const looked = store.get("p:misha", lookup())
    await later(900)
    expect(version(await looked)).toBe(2)

    authority.routes.set("p:misha", record(3))
    authority.delayMs = 1_100
    await later(30_000)
    const slow = store.get("p:misha", lookup())
    // Over when what has arrived by then was looked at.
    await later(1_001)
    expect(await slow).toMatchObject({ record: { version: 2 }, stale: true, ageMs: 30_900 })
    // What came later is not lost.
    await later(100)
    expect(version(store.get("p:misha", lookup()))).toBe(3)
  })

  it("1: a refresh goes past memory and caches, for that key alone, and is written through", async () => {
    const cache = new FakeCache()
    const { authority, store } = start({ caches: [cache] })
    authority.routes.set("p:anna", record(1))
    await store.get("p:misha", lookup())
    await store.get("p:anna", lookup())
    await later(0)
    authority.routes.set("p:misha", record(2))
    const reads = cache.reads
    expect(version(await store.get("p:misha", lookup({ refresh: true })))).toBe(2)
    expect(cache.reads).toBe(reads)
    expect(authority.refreshed).toEqual(["p:misha"])
    expect(version(store.get("p:misha", lookup()))).toBe(2)
    await later(0)
    expect(cache.entries.get("p:misha")).toContain('"version":2')
    expect(authority.calls).toBe(3)
  })

  it("1: a refresh does not take the result of a read that began before it", async () => {
    const { authority, store } = start()
    authority.delayMs = 100
    const before = store.get("p:misha", lookup())
    await later(50)
    authority.routes.set("p:misha", record(2))
    const after = store.get("p:misha", lookup({ refresh: true }))
    await later(100)
    expect([version(await before), version(await after)]).toEqual([1, 2])
    expect(version(store.get("p:misha", lookup()))).toBe(2)
  })

  it("10: of two reads that pass each other, the older one does not replace the newer", async () => {
    const { authority, store } = start()
    authority.delayMs = 500
    const slow = store.get("p:misha", lookup())
    await later(100)
    authority.routes.delete("p:misha")
    authority.delayMs = 0
    expect((await store.get("p:misha", lookup({ refresh: true }))).status).toBe("miss")
    await later(400)
    await slow
    expect(store.get("p:misha", lookup())).toMatchObject({ status: "miss" })
  })
})

describe("a version never goes backwards", () => {
  it("2: an older one of a cache, or of an authority that is behind, does not replace a newer", async () => {
    const cache = new FakeCache()
    const { authority, store } = start({ caches: [cache] })
    authority.routes.set("p:misha", record(6))
    await store.get("p:misha", lookup())
    await later(6_000)
    cache.entries.set("p:misha", JSON.stringify({ readAt: Date.now(), record: record(5) }))
    authority.routes.set("p:misha", record(5))
    for (let ms = 0; ms < 100_000; ms += 3_000) {
      expect(version(await store.get("p:misha", lookup()))).toBe(6)
      await later(3_000)
    }
    expect(await store.get("p:misha", lookup())).toMatchObject({ stale: true })
  })

  it("34: a removed name is not brought back by what a cache still has", async () => {
    const [near, far] = [new FakeCache("near"), new FakeCache("far")]
    const { authority, store } = start({ caches: [near, far] })
    await store.get("p:misha", lookup())
    await later(1_000)
    const old = far.entries.get("p:misha")!
    authority.routes.delete("p:misha")
    expect((await store.get("p:misha", lookup({ refresh: true }))).status).toBe("miss")
    await later(0)
    for (const cache of [near, far]) expect(cache.entries.get("p:misha")).not.toContain("record")
    // A slow writer puts it back, and the time of the miss is over.
    far.entries.set("p:misha", old)
    near.entries.clear()
    await later(3_000)
    expect((await store.get("p:misha", lookup())).status).toBe("miss")
    expect((await store.get("p:misha", lookup())).status).toBe("miss")
  })
})

describe("a key that leads nowhere", () => {
  it("21: is asked for again after 2 s, then twice as long up to 30 s; a new project is there within that time", async () => {
    const { authority, store } = start()
    const intervals: number[] = []
    let calls = 0
    let at = Date.now()
    for (let ms = 0; ms < 200_000; ms += 1_000) {
      await store.get("p:nobody", lookup())
      if (authority.calls > calls) {
        intervals.push(Date.now() - at)
        at = Date.now()
        calls = authority.calls
      }
      await later(1_000)
    }
    expect(intervals).toEqual([0, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000, 30_000])

    expect((await store.get("p:new", lookup())).status).toBe("miss")
    authority.routes.set("p:new", record(1))
    await later(2_000)
    expect((await store.get("p:new", lookup())).status).toBe("hit")
  })

  it("varies its times by up to a fifth", async () => {
    const numbers = [0, 0.5, 0.999]
    for (const [n, expected] of [2_000, 1_800, 1_601].entries()) {
      const { authority, store } = start({ random: () => numbers[n]! })
      await store.get("p:nobody", lookup())
      await later(expected - 1)
      await store.get("p:nobody", lookup())
      expect(authority.calls).toBe(1)
      await later(1)
      await store.get("p:nobody", lookup())
      expect(authority.calls).toBe(2)
    }
  })
})

describe("several keys", () => {
  const keys = ["d:4096.www.example.com", "d:www.example.com", "d:*.example.com"] as const

  it("are one read of an authority that takes several, and one hit afterwards", async () => {
    const authority = new ManyAuthority()
    authority.routes.set("d:www.example.com", record(1))
    const store = layeredStore({ authority, random: () => 0 })
    expect(await store.getFirst(keys, lookup())).toMatchObject({ status: "hit", key: "d:www.example.com" })
    expect(authority.calls).toBe(1)
    await later(4_999)
    expect(store.getFirst(keys, lookup())).toMatchObject({ status: "hit", key: "d:www.example.com", layer: "memory" })
    expect(authority.calls).toBe(1)
  })

  it("are asked for in turn, as get would, where it takes one", async () => {
    const { authority, store } = start()
    authority.routes.set("d:www.example.com", record(1))
    expect(await store.getFirst(keys, lookup())).toMatchObject({ status: "hit", key: "d:www.example.com" })
    expect(authority.asked).toEqual(["d:4096.www.example.com", "d:www.example.com"])
  })

  it("lead to a name that became one of its own meanwhile", async () => {
    const authority = new ManyAuthority()
    authority.routes.set("d:www.example.com", record(1))
    const store = layeredStore({ authority, random: () => 0 })
    await store.getFirst(keys, lookup())
    authority.routes.set("d:4096.www.example.com", record(2))
    await later(5_000)
    await store.getFirst(keys, lookup())
    await later(0)
    expect(store.getFirst(keys, lookup())).toMatchObject({ key: "d:4096.www.example.com", record: { version: 2 } })
  })

  it("never fall through from a name that nobody can tell to a wildcard", async () => {
    const authority = new ManyAuthority()
    authority.routes.set("d:*.example.com", record(1))
    const store = layeredStore({ authority, random: () => 0 })
    await store.getFirst(["d:*.example.com"], lookup())
    authority.behaviour = "rejects"
    expect(await store.getFirst(keys, lookup())).toMatchObject({ status: "unknown", key: keys[0] })
  })

  it("11: lead on for 24 hours while the authority is down, over keys that led nowhere", async () => {
    const authority = new ManyAuthority()
    authority.routes.set("d:*.example.com", record(1))
    const store = layeredStore({ authority, random: () => 0 })
    await store.getFirst(keys, lookup())
    authority.behaviour = "rejects"
    await later(86_399_000)
    expect(await store.getFirst(keys, lookup())).toMatchObject({ status: "hit", key: "d:*.example.com", stale: true })
    await later(1_001)
    expect((await store.getFirst(keys, lookup())).status).toBe("unknown")
  })
})

describe("options", () => {
  it("are checked when they are given", () => {
    const authority = new FakeAuthority()
    const of = (options: object) => () => layeredStore(options as never)
    expect(of({})).toThrow("layeredStore: authority must be a route store, got undefined")
    expect(of({ authority, cashes: [] })).toThrow("did you mean caches?")
    expect(of({ authority, caches: [{}] })).toThrow("caches must be an array in which every element is a route cache")
    expect(of({ authority, softMs: 40_000 })).toThrow("revalidateMs must be at least softMs, 40000, got 30000")
    expect(of({ authority, maxAgeMs: 1 })).toThrow("maxAgeMs must be at least revalidateMs")
    expect(of({ authority, maxMissMs: 1 })).toThrow("maxMissMs must be at least missMs")
    expect(of({ authority, knownReads: { perSecond: 0, burst: 1 } })).toThrow("knownReads must be { perSecond, burst }")
    expect(of({ authority, routes: 0 })).toThrow("routes must be an integer from 1 up")
  })
})
