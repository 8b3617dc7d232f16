/** What a registry's feed does for a layered store; numbers of situations are those of the route data facts. */
import { defineGrammar } from "@project-ingress/hostname"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { RouteKey } from "../../src/router.ts"
import { layeredStore } from "../../src/stores/layered.ts"
import type { FeedPage } from "../../src/stores/layered.ts"
import { memoryRegistry } from "../../src/stores/memory.ts"
import { FakeCache, holdTime, later, lookup, record, start, version } from "./fixtures.ts"

beforeEach(holdTime)
afterEach(() => void vi.useRealTimers())

describe("changes of a feed", () => {
  const change = (key: RouteKey, of: number) => ({ key, version: of, record: record(of) })

  it("21: a key that led nowhere is there at once", async () => {
    const { authority, store } = start()
    await store.get("p:new", lookup())
    authority.routes.set("p:new", record(1))
    store.apply([change("p:new", 1)])
    expect(store.get("p:new", lookup())).toMatchObject({ status: "hit", record: { version: 1 } })
  })

  it("that do not say what they are about are passed over", async () => {
    const { authority, store } = start()
    await store.get("p:new", lookup())
    authority.routes.set("p:new", record(1))
    store.apply([null, { key: "p:new" }, { version: 9 }, change("p:new", 1)] as never)
    expect(store.get("p:new", lookup())).toMatchObject({ status: "hit", record: { version: 1 } })
  })

  it("6: applied twice, and in the wrong order, they come to the same", async () => {
    const { authority, store } = start()
    await store.get("p:misha", lookup())
    authority.routes.set("p:misha", record(3))
    for (const of of [3, 2, 3, 1, 2]) store.apply([change("p:misha", of)])
    expect(version(store.get("p:misha", lookup()))).toBe(3)
    await later(0)
    expect(authority.calls).toBe(2)
    store.apply([change("p:misha", 3)])
    await later(1_000)
    store.get("p:misha", lookup())
    expect(authority.calls).toBe(2)
  })

  it("a removal is asked for before the next use, and an older cache entry does not undo it", async () => {
    const cache = new FakeCache()
    const { authority, store } = start({ caches: [cache] })
    await store.get("p:misha", lookup())
    await later(1_000)
    authority.routes.delete("p:misha")
    store.apply([{ key: "p:misha", version: 2 }])
    expect((await store.get("p:misha", lookup())).status).toBe("miss")
    expect(authority.calls).toBe(2)
  })

  it("one with a record that is not valid leaves the decision to the authority", async () => {
    const { authority, store } = start()
    await store.get("p:misha", lookup())
    const invalid = { ...record(2), visibility: "everybody" } as never
    authority.routes.set("p:misha", invalid)
    store.apply([{ key: "p:misha", version: 2, record: invalid }])
    expect(await store.get("p:misha", lookup())).toMatchObject({ status: "hit", record: { visibility: "everybody" } })
  })
})

describe("a feed that is followed", () => {
  const grammar = defineGrammar({ domains: ["iterate.app"] })

  it("21: makes a new project, a renamed one and a new domain's machine visible at once", async () => {
    const registry = memoryRegistry({ grammar })
    const store = layeredStore({ authority: registry, random: () => 0 })
    const followed = store.follow(registry)
    await later(0)
    expect((await store.get("p:misha", lookup())).status).toBe("miss")
    await registry.create({ name: "misha", owner: "org_1" })
    await later(0)
    expect(store.get("p:misha", lookup())).toMatchObject({ status: "hit", record: { kind: "detached" } })
    await store.get("p:anna", lookup())
    await registry.rename("misha", "anna")
    await later(1)
    for (const key of ["p:anna", "p:misha"] as const) {
      expect(store.get(key, lookup())).toMatchObject({
        status: "hit",
        record: { kind: key === "p:anna" ? "detached" : "redirect" },
      })
    }
    await store.dispose()
    await followed
  })

  it("23: knows all names of the registry, whatever flood there is", async () => {
    const registry = memoryRegistry({ grammar })
    for (let n = 0; n < 50; n++) await registry.create({ name: `cold-${n}`, owner: `org_${n}` })
    const store = layeredStore({ authority: registry, random: () => 0, unknownReads: { perSecond: 1, burst: 1 } })
    const followed = store.follow(registry)
    await later(0)
    for (let n = 0; n < 1_000; n++) void store.get(`p:random-${n}`, lookup())
    for (let n = 0; n < 50; n++) expect((await store.get(`p:cold-${n}`, lookup())).status).toBe("hit")
    await store.dispose()
    await followed
  })

  it("7: with a gap is read from the beginning, and forgets what led nowhere", async () => {
    const { authority, store } = start()
    let snapshots = 0
    const pages: FeedPage[] = [{ status: "gap" }]
    const followed = store.follow({
      snapshot: async () => ({ cursor: `${++snapshots}`, routes: (async function* () {})() }),
      changes: async (since) => pages.shift() ?? { status: "changes", changes: [], cursor: since, more: false },
    })
    await store.get("p:new", lookup())
    authority.routes.set("p:new", record(1))
    await later(1_500)
    expect(snapshots).toBe(2)
    expect((await store.get("p:new", lookup())).status).toBe("hit")
    await store.dispose()
    await followed
  })

  it("that fails is reported, tried again later and later, and ends with its signal", async () => {
    const events: unknown[] = []
    const { store } = start({ onEvent: (event) => events.push(event) })
    let calls = 0
    const ended = new AbortController()
    const followed = store.follow(
      {
        snapshot: () => (calls++, Promise.reject(Object.assign(new Error("x"), { code: "57P01" }))),
        changes: () => Promise.reject(new Error("never asked")),
      },
      { signal: ended.signal },
    )
    await later(120_000)
    expect(calls).toBeGreaterThanOrEqual(7)
    expect(calls).toBeLessThanOrEqual(12)
    expect(events).toEqual([{ type: "route_source", layer: "feed", state: "failing", reason: "57P01" }])
    ended.abort()
    await followed
    await later(60_000)
    expect(calls).toBeLessThanOrEqual(12)
  })

  it("that hangs is reported, and asked again", async () => {
    const events: unknown[] = []
    const { authority, store } = start({ onEvent: (event) => events.push(event) })
    await store.get("p:new", lookup())
    authority.routes.set("p:new", record(1))
    let calls = 0
    const followed = store.follow({
      snapshot: async () => ({ cursor: "1", routes: (async function* () {})() }),
      // A connection that is dead: the first call never ends, and obeys no signal.
      changes: async (since) => {
        if (++calls === 1) return new Promise<FeedPage>(() => undefined)
        const changes = calls === 2 ? [{ key: "p:new" as const, version: 1, record: record(1) }] : []
        return { status: "changes", changes, cursor: since, more: false }
      },
    })
    await later(60_000)
    expect(events).toMatchObject([{ state: "failing", reason: "no result within 35000 ms" }, { state: "recovered" }])
    expect(await store.get("p:new", lookup())).toMatchObject({ status: "hit", record: { version: 1 } })
    await store.dispose()
    await followed
  })
})
