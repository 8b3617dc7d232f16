import { afterEach, describe, expect, it, vi } from "vitest"
import { openPacked, packRoutes } from "../../src/stores/packed.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"
import type { Lookup, RouteStore } from "../../src/stores/route-store.ts"
import { reasonOf } from "../../src/stores/store-health.ts"
import { tableStore } from "../../src/stores/table.ts"
import type { RouteSourceEvent, TableState, TableStore, TableStoreOptions } from "../../src/stores/table.ts"
import { fakeFeed } from "./fake-feed.ts"
import type { FakeFeed } from "./fake-feed.ts"
import { holdClock, passUntil, settled, until } from "./held-clock.ts"

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const stores: TableStore[] = []
afterEach(() => {
  for (const store of stores.splice(0)) store.dispose()
  vi.useRealTimers()
})

const setup = (feed: FakeFeed, options: TableStoreOptions = {}) => {
  holdClock()
  const events: RouteSourceEvent[] = []
  const store = tableStore(feed, { random: () => 0.5, onEvent: (event) => events.push(event), ...options })
  stores.push(store)
  const states = () => events.map(({ state }) => state)
  const get = (key: RouteKey) => store.get(key) as Lookup
  const versionOf = (key: RouteKey) => {
    const found = get(key)
    return found.status === "hit" ? found.record.version : found.status
  }
  return { store, events, states, get, versionOf }
}
const loaded = async (feed: FakeFeed, options: TableStoreOptions = {}) => {
  const all = setup(feed, options)
  await all.store.waitUntilLoaded()
  await settled()
  return all
}
/** A state in memory, as a key-value store would be. */
const memoryState = (first?: Uint8Array) => {
  const saves: Uint8Array[] = first === undefined ? [] : [first]
  const state: Required<TableState> = {
    load: async () => saves.at(-1),
    save: async (bytes) => void saves.push(bytes.slice()),
  }
  return { state, saves, image: () => openPacked(saves.at(-1)!) }
}
const keys = (count: number) => Array.from({ length: count }, (_, at): RouteKey => `p:project-${at}`)

describe("a table that follows a feed", () => {
  it("has every route, knows which keys have none, and gives the same object each time", async () => {
    const feed = fakeFeed(["p:a", "p:b"])
    const { store, get, states } = await loaded(feed)
    expect(get("p:a")).toMatchObject({ status: "hit", layer: "table", record: feed.routes.get("p:a") })
    expect(get("p:c")).toEqual({ status: "miss", layer: "table", ageMs: expect.any(Number) as number })
    const [one, other] = [get("p:a"), get("p:a")]
    expect(one.status === "hit" && other.status === "hit" && one.record === other.record).toBe(true)
    expect(store.getFirst(["p:c", "p:b", "p:a"])).toMatchObject({ status: "hit", key: "p:b" })
    expect(store.stats()).toEqual({ layers: [{ layer: "table", routes: 2, ageMs: expect.any(Number) as number }] })
    expect(states()).toEqual(["loaded"])
  })

  it("sees what is created, changed and removed without time passing but what is between two reads", async () => {
    const feed = fakeFeed(["p:a", "p:b"])
    const { store, versionOf } = await loaded(feed)
    await vi.advanceTimersByTimeAsync(20)
    const created = feed.put("p:c")
    await until(() => versionOf("p:c") === created)
    const changed = feed.put("p:a")
    feed.remove("p:b")
    await vi.advanceTimersByTimeAsync(20)
    await until(() => versionOf("p:b") === "miss")
    expect(versionOf("p:a")).toBe(changed)
    expect(store.stats().layers[0]).toMatchObject({ routes: 2 })
  })

  it("situation 2: an older version never replaces a newer one, whoever says it", async () => {
    const feed = fakeFeed(["p:a"])
    const old = feed.routes.get("p:a")!
    const authority: RouteStore = { get: async () => ({ status: "hit", record: old }) }
    const { store, versionOf } = await loaded(feed, { authority })
    await vi.advanceTimersByTimeAsync(20)
    const newest = feed.put("p:a")
    await until(() => versionOf("p:a") === newest)
    feed.say({ key: "p:a", version: 1, record: old })
    await vi.advanceTimersByTimeAsync(20)
    await settled()
    expect(versionOf("p:a")).toBe(newest)
    expect(await store.get("p:a", { refresh: true })).toMatchObject({ record: { version: newest } })
  })

  it("situation 6: duplicates, replays and changes in another order do no harm; what was removed stays so", async () => {
    const feed = fakeFeed(["p:a", "p:b"])
    const { store, versionOf } = await loaded(feed)
    const created = feed.put("p:c")
    feed.remove("p:c")
    feed.remove("p:a")
    for (const change of feed.log.slice(0, 5).toReversed()) feed.say(change)
    await vi.advanceTimersByTimeAsync(20)
    await settled()
    expect([versionOf("p:a"), versionOf("p:b"), versionOf("p:c")]).toEqual(["miss", 2, "miss"])
    feed.say({ key: "p:c", version: created, record: feed.routes.get("p:b")! })
    const again = feed.put("p:c")
    await vi.advanceTimersByTimeAsync(20)
    await until(() => versionOf("p:c") === again)
    expect(store.stats().layers[0]).toMatchObject({ routes: 2 })
  })

  it("situation 7: reads everything again when the feed no longer keeps the changes, and goes on from there", async () => {
    const feed = fakeFeed(keys(10))
    const { versionOf, states } = await loaded(feed)
    feed.remove("p:project-3")
    feed.put("p:new")
    feed.put("p:project-4")
    feed.truncate()
    await vi.advanceTimersByTimeAsync(20)
    await until(() => states().length === 2)
    expect(states()).toEqual(["loaded", "loaded"])
    expect([versionOf("p:project-3"), versionOf("p:new"), versionOf("p:project-4")]).toEqual(["miss", 12, 13])
    const later = feed.put("p:later")
    await vi.advanceTimersByTimeAsync(20)
    await until(() => versionOf("p:later") === later)
  })

  it("situation 7: takes nothing of a result that is no page, and reads it again", async () => {
    const feed = fakeFeed(["p:a"])
    const { events, versionOf } = await loaded(feed)
    feed.editPage((page) => ({ ...page, cursor: undefined }))
    const next = feed.put("p:a")
    await vi.advanceTimersByTimeAsync(30)
    await until(() => events.length === 2)
    expect(events[1]).toMatchObject({ state: "stale", reason: "the feed gave no page of changes", routes: 1 })
    expect(versionOf("p:a")).toBe(1)
    feed.editPage((page) => page)
    await vi.advanceTimersByTimeAsync(200)
    await until(() => versionOf("p:a") === next)
    expect(events.at(-1)!.state).toBe("recovered")
  })

  it("reads everything again every hour, a tenth more or less, and finds what no change said", async () => {
    const feed = fakeFeed(keys(10))
    const { versionOf, states } = await loaded(feed, { random: () => 0 })
    feed.routes.delete("p:project-3")
    feed.routes.set("p:silent", { kind: "detached", version: 99, epoch: 0 })
    await vi.advanceTimersByTimeAsync(0.9 * HOUR - 100)
    expect(states()).toEqual(["loaded"])
    await vi.advanceTimersByTimeAsync(200)
    await until(() => states().length === 2)
    expect([versionOf("p:project-3"), versionOf("p:silent"), versionOf("p:project-4")]).toEqual(["miss", 99, 5])
  })

  it("reads everything again a moment later when that failed, and an hour later when it was refused", async () => {
    const feed = fakeFeed(keys(10))
    const { states } = await loaded(feed)
    feed.editSnapshot(() => {
      throw new Error("down")
    })
    await vi.advanceTimersByTimeAsync(HOUR)
    const failed = feed.calls.snapshot
    await vi.advanceTimersByTimeAsync(5_000)
    expect(feed.calls.snapshot).toBeGreaterThan(failed + 3)
    feed.editSnapshot(() => [])
    await passUntil(() => states().includes("refused"))
    const refused = feed.calls.snapshot
    await vi.advanceTimersByTimeAsync(50 * MINUTE)
    expect(feed.calls.snapshot).toBe(refused)
    await vi.advanceTimersByTimeAsync(20 * MINUTE)
    expect(feed.calls.snapshot).toBe(refused + 1)
  })

  it("goes on with changes while everything is read again, and loses none of them", async () => {
    const feed = fakeFeed(keys(10))
    const { store, versionOf } = await loaded(feed)
    await vi.advanceTimersByTimeAsync(20)
    const middle = Promise.withResolvers<void>()
    feed.beforeRoute((at) => (at === 5 ? middle.promise : undefined))
    const reloading = store.reload()
    await settled()
    const during = feed.put("p:project-1")
    const created = feed.put("p:created")
    feed.remove("p:project-8")
    await until(() => versionOf("p:project-1") === during)
    middle.resolve()
    await reloading
    expect([versionOf("p:project-1"), versionOf("p:created"), versionOf("p:project-8")]).toEqual([
      during,
      created,
      "miss",
    ])
    expect(store.stats().layers[0]).toMatchObject({ routes: 10 })
  })

  it("situation 10: of two reloads at once the older result is discarded, however late it comes", async () => {
    const feed = fakeFeed(keys(10))
    const { store, versionOf, states } = await loaded(feed)
    const first = Promise.withResolvers<void>()
    feed.beforeRoute(() => first.promise)
    const older = store.reload()
    await settled()
    feed.beforeRoute(undefined)
    feed.editSnapshot((entries) => entries.filter(([key]) => key !== "p:project-1"))
    const newer = store.reload()
    await Promise.all([older, newer])
    first.resolve()
    await settled()
    expect(versionOf("p:project-1")).toBe("miss")
    expect(states()).toEqual(["loaded", "loaded"])
  })
})

describe("while the source is down", () => {
  it("situation 11: every route is served for 24 h, and then nothing is known any more; no name of a wildcard is lost", async () => {
    const feed = fakeFeed(["p:a", "d:*.example.com"])
    const { store, get, events } = await loaded(feed)
    feed.kill()
    await vi.advanceTimersByTimeAsync(100)
    expect(events.at(-1)).toMatchObject({ state: "stale", reason: "ECONNREFUSED", routes: 2 })
    expect(get("p:a")).toMatchObject({ status: "hit", stale: true })
    expect(get("p:none")).toMatchObject({ status: "miss", stale: true })
    await vi.advanceTimersByTimeAsync(MINUTE)
    expect(get("p:none")).toMatchObject({ status: "unknown", retryAfterMs: 1_000 })
    expect(store.getFirst(["p:none", "p:other"])).toMatchObject({ status: "unknown" })
    await vi.advanceTimersByTimeAsync(23.9 * HOUR)
    expect(get("p:a")).toMatchObject({ status: "hit", stale: true })
    expect(store.getFirst(["d:www.example.com", "d:*.example.com"])).toMatchObject({ key: "d:*.example.com" })
    await vi.advanceTimersByTimeAsync(0.1 * HOUR)
    expect(get("p:a")).toMatchObject({ status: "unknown", retryAfterMs: 1_000, stale: true })
    expect(JSON.stringify(events)).not.toContain("secret")
    // Once for each change, however often it was tried meanwhile.
    expect(events.map(({ state }) => state)).toEqual(["loaded", "stale"])

    feed.heal()
    const next = feed.put("p:a")
    await vi.advanceTimersByTimeAsync(31_000)
    await until(() => get("p:a").status === "hit")
    expect(get("p:a")).toEqual({
      status: "hit",
      key: "p:a",
      layer: "table",
      ageMs: expect.any(Number) as number,
      record: { kind: "detached", version: next, epoch: 0 },
    })
    expect(events[2]).toMatchObject({ state: "recovered" })
  })

  it("tries again with growing pauses, never all the time", async () => {
    const feed = fakeFeed(["p:a"])
    await loaded(feed)
    feed.kill()
    const before = feed.calls.changes
    await vi.advanceTimersByTimeAsync(10 * MINUTE)
    expect(feed.calls.changes - before).toBeLessThan(45)
    expect(feed.calls.changes - before).toBeGreaterThan(15)
  })

  it("a source that hangs is one that is down", async () => {
    const feed = fakeFeed(["p:a"])
    const { events, get } = await loaded(feed)
    await vi.advanceTimersByTimeAsync(20)
    feed.hang()
    await vi.advanceTimersByTimeAsync(15_100)
    await until(() => events.length === 2)
    expect(events[1]).toMatchObject({ state: "stale", reason: "no result within 15000 ms" })
    expect(get("p:a")).toMatchObject({ status: "hit", stale: true })
  })

  it("situation 12: without ever having been loaded nothing is known, and nothing is a miss", async () => {
    const feed = fakeFeed(["p:a"])
    feed.kill()
    const { store, get, events } = setup(feed)
    await vi.advanceTimersByTimeAsync(MINUTE)
    expect(get("p:a")).toMatchObject({ status: "unknown", retryAfterMs: 1_000 })
    expect(store.getFirst(["p:a", "p:b"])).toMatchObject({ status: "unknown" })
    expect(await store.get("p:a", { refresh: true })).toMatchObject({ status: "unknown" })
    const { cause } = get("p:a") as { readonly cause?: unknown }
    expect(reasonOf(cause)).toBe("the routes are not loaded yet")
    expect(events.map(({ state }) => state)).toEqual(["failing"])
    const waiting = store.waitUntilLoaded()
    feed.heal()
    await vi.advanceTimersByTimeAsync(31_000)
    await waiting
    expect(get("p:a")).toMatchObject({ status: "hit" })
    expect(events.map(({ state }) => state)).toEqual(["failing", "recovered", "loaded"])
  })

  it("a snapshot that stops in the middle is given up and read again", async () => {
    const feed = fakeFeed(keys(10))
    const { get, events } = setup(feed)
    feed.beforeRoute((at) => (at === 5 ? new Promise<void>(() => undefined) : undefined))
    await settled()
    await vi.advanceTimersByTimeAsync(60_000)
    await until(() => events.length === 1)
    expect(events[0]).toMatchObject({ state: "failing", reason: "no route of the snapshot within 30000 ms" })
    expect(get("p:project-0")).toMatchObject({ status: "unknown" })
    feed.beforeRoute(undefined)
    await passUntil(() => get("p:project-0").status === "hit")
  })

  it("a clock that is set changes nothing: neither back nor two days ahead", async () => {
    const feed = fakeFeed(["p:a"])
    const { get } = await loaded(feed)
    feed.kill()
    await vi.advanceTimersByTimeAsync(100)
    vi.setSystemTime(Date.now() + 48 * HOUR)
    expect(get("p:a")).toMatchObject({ status: "hit" })
    expect(get("p:none")).toMatchObject({ status: "miss" })
    vi.setSystemTime(0)
    expect(get("p:a").ageMs).toBeLessThan(1_000)
  })
})

describe("what a source gives that looks wrong", () => {
  const refusing = async (edit: Parameters<FakeFeed["editSnapshot"]>[0]) => {
    const feed = fakeFeed(keys(20))
    const all = await loaded(feed)
    feed.editSnapshot(edit)
    return { feed, ...all }
  }

  it.each<[string, Parameters<FakeFeed["editSnapshot"]>[0], string, string]>([
    ["no routes", () => [], "empty", "snapshot: the packed routes are refused: routes must be more than 0"],
    [
      "20 % fewer",
      (entries) => entries.slice(0, 16),
      "smaller",
      "snapshot: the packed routes are refused: routes must be at least 17, 85 % of the previous ones, got 16",
    ],
    [
      "a route of an earlier version",
      (entries) => entries.map(([key, record]) => [key, { ...record, version: record.version - 1 }] as const),
      "older",
      "snapshot: the packed routes are refused: version must be at least 1 for each key, got 0",
    ],
  ])("situation 15: %s: refused once, the table goes on, and force takes it", async (_, edit, reason, message) => {
    const { feed, store, events, versionOf } = await refusing(edit)
    await expect(store.reload()).rejects.toMatchObject({ _tag: "PackedRefused", reason })
    await expect(store.reload()).rejects.toMatchObject({ reason })
    expect(events.slice(1)).toMatchObject([{ state: "refused", reason: message, routes: 20 }])
    const next = feed.put("p:project-0")
    await vi.advanceTimersByTimeAsync(50)
    await until(() => versionOf("p:project-0") === next)
    feed.routes.set("p:project-0", { kind: "detached", version: 1, epoch: 0 })
    await store.reload({ force: true })
    expect(store.stats().layers[0]).toMatchObject({ routes: edit([...feed.routes]).length })
    expect(events.at(-1)).toMatchObject({ state: "loaded" })
  })

  it("of a route that comes twice the higher version counts, in any order", async () => {
    const older = (entries: [RouteKey, RouteRecord][]) =>
      entries.map(([key, record]): [RouteKey, RouteRecord] => [key, { ...record, version: 0 }])
    const { store, versionOf } = await refusing((entries) => [...older(entries), ...entries, ...older(entries)])
    await store.reload()
    expect(keys(20).map((key) => versionOf(key))).toEqual(Array.from({ length: 20 }, (_, at) => at + 1))
  })

  it("situation 15: 15 % fewer are taken, and so is any number that changes remove one by one", async () => {
    const { feed, store, versionOf } = await refusing((entries) => entries.slice(0, 17))
    await store.reload()
    expect(store.stats().layers[0]).toMatchObject({ routes: 17 })
    for (const key of keys(10)) feed.remove(key)
    await vi.advanceTimersByTimeAsync(50)
    await until(() => versionOf("p:project-0") === "miss")
    expect(store.stats().layers[0]).toMatchObject({ routes: 7 })
    feed.editSnapshot((entries) => entries.slice(0, 7))
    await store.reload()
    expect(store.stats().layers[0]).toMatchObject({ routes: 7 })
  })

  it("situation 12: a platform without routes is not loaded, and is within a second of its first one", async () => {
    const feed = fakeFeed()
    const { get, events } = setup(feed)
    await until(() => events.length === 1)
    // One attempt a second, once there were some: each ends before the clock goes on.
    for (let at = 0; at < 10; at++) {
      await until(() => vi.getTimerCount() === 1)
      const before = feed.calls.snapshot
      await vi.advanceTimersByTimeAsync(1_000)
      expect(feed.calls.snapshot).toBe(before + 1)
    }
    expect(events).toMatchObject([{ state: "refused" }])
    expect(get("p:a")).toMatchObject({ status: "unknown" })
    await until(() => vi.getTimerCount() === 1)
    feed.put("p:a")
    await vi.advanceTimersByTimeAsync(1_000)
    await until(() => get("p:a").status === "hit")
  })

  it("a record or a change that is wrong fails at most its own hostname, and is reported by its field", async () => {
    const problems: string[] = []
    const onInvalid: TableStoreOptions["onInvalid"] = (key, { field }) => problems.push(`${key} ${field}`)
    const feed = fakeFeed(["p:a", "p:b", "p:c"])
    const { store, versionOf, get } = await loaded(feed, { onInvalid })
    feed.put("p:b", { kind: "of-next-year" })
    const say = (change: unknown) => feed.say(change as never)
    say(null)
    say({ key: "p:UPPER", version: 50 })
    say({ key: "x".repeat(60_000), version: 50 })
    say({ key: "p:a", version: "50" })
    say({ key: "p:a", version: Number.NaN })
    const good = feed.put("p:c")
    await vi.advanceTimersByTimeAsync(50)
    await until(() => versionOf("p:c") === good)
    expect(versionOf("p:a")).toBe(1)
    expect(get("p:b")).toMatchObject({ record: { kind: "of-next-year" } })
    expect(problems).toEqual([
      "p:b kind",
      "undefined key",
      "p:UPPER key",
      `${"x".repeat(256)} key`,
      "p:a version",
      "p:a version",
    ])

    feed.editSnapshot((entries) => entries.map(([key, record]) => [key, key === "p:a" ? ("half" as never) : record]))
    await store.reload()
    expect(get("p:a")).toMatchObject({ status: "hit", record: "half" })
    expect(versionOf("p:c")).toBe(good)
    feed.editSnapshot((entries) => entries)
    feed.put("p:a")
    await vi.advanceTimersByTimeAsync(50)
    await until(() => (get("p:a") as { record?: { kind?: string } }).record?.kind === "detached")
  })
})

describe("a table's state", () => {
  it("is saved, with the cursor, and the next start goes on from there without reading everything", async () => {
    const feed = fakeFeed(keys(10))
    const { state, saves, image } = memoryState()
    const first = await loaded(feed, { state })
    await vi.advanceTimersByTimeAsync(2_000)
    await until(() => saves.length === 1)
    expect((await image()).routes).toBe(10)
    feed.put("p:later")
    feed.remove("p:project-1")
    await vi.advanceTimersByTimeAsync(20)
    await until(() => first.versionOf("p:later") === 11)
    await vi.advanceTimersByTimeAsync(2_000)
    await until(() => saves.length === 2)
    expect((await image()).cursor).toBe("a:12")
    expect([first.versionOf("p:later"), first.versionOf("p:project-1")]).toEqual([11, "miss"])
    first.store.dispose()

    feed.put("p:project-2")
    const before = { ...feed.calls }
    const { store, versionOf, states } = await loaded(feed, { state })
    expect([versionOf("p:project-2"), versionOf("p:later"), versionOf("p:project-1")]).toEqual([13, 11, "miss"])
    expect(store.stats().layers[0]).toMatchObject({ routes: 10 })
    expect(feed.calls.snapshot).toBe(before.snapshot)
    expect(states()).toEqual([])
  })

  it("is served while the source is down at the start, which says so, with its age, and for a day only", async () => {
    holdClock()
    const routes = keys(10).map((key): readonly [RouteKey, RouteRecord] => [key, removed(1)])
    const { state } = memoryState(await packRoutes(routes, { cursor: "a:10", builtAt: Date.now() - 23 * HOUR }))
    const feed = fakeFeed(keys(10))
    feed.kill()
    const { store, events, get } = setup(feed, { state })
    await store.waitUntilLoaded()
    expect(events).toMatchObject([{ state: "stale", reason: "ECONNREFUSED", routes: 10 }])
    expect(events[0]!.ageMs).toBeGreaterThanOrEqual(23 * HOUR)
    expect(store.stats().layers[0]!.ageMs).toBeGreaterThanOrEqual(23 * HOUR)
    expect(get("p:project-1")).toMatchObject({ status: "hit", stale: true })
    expect(get("p:none")).toMatchObject({ status: "unknown" })
    await vi.advanceTimersByTimeAsync(HOUR + 1)
    expect(get("p:project-1")).toMatchObject({ status: "unknown" })
    feed.heal()
    await passUntil(() => get("p:none").status === "miss")
    expect(get("p:project-1")).not.toHaveProperty("stale")
  })

  it("without a cursor is served until everything was read, and one of another registry, too", async () => {
    for (const cursor of [undefined, "other:7"]) {
      holdClock()
      const { state } = memoryState(await packRoutes([["p:project-1", removed(1)]], { cursor }))
      const { store, versionOf, states } = await loaded(fakeFeed(keys(3)), { state })
      await until(() => states().includes("loaded"))
      expect(versionOf("p:project-1")).toBe(2)
      expect(store.stats().layers[0]).toMatchObject({ routes: 3 })
    }
  })

  const image = () => packRoutes([["p:project-1", removed(1)]], { cursor: "a:10" })
  const edited = async (edit: (bytes: Uint8Array) => Uint8Array | void) => {
    const bytes = (await image()).slice()
    return edit(bytes) ?? bytes
  }
  it.each<[string, () => Promise<Uint8Array>, string]>([
    ["truncated", () => edited((bytes) => bytes.subarray(0, -1)), "state: the packed routes are refused: bytes must"],
    [
      "damaged",
      () => edited((bytes) => void (bytes[bytes.length - 1]! ^= 1)),
      "state: the packed routes are refused: slice 0",
    ],
    [
      "of another version",
      () => edited((bytes) => void (bytes[8] = 9)),
      "state: the packed routes are refused: format must",
    ],
    [
      "something else",
      async () => new TextEncoder().encode("{}".repeat(100)),
      "state: the packed routes are refused: magic",
    ],
    ["empty", async () => new Uint8Array(0), "state: the packed routes are refused: bytes must be more than 0"],
    ["not to be read", () => Promise.reject(Object.assign(new Error("secret"), { code: "EACCES" })), "state: EACCES"],
  ])(
    "situation 16: one that is %s is refused with its reason, and the source is read instead",
    async (_, load, reason) => {
      const feed = fakeFeed(keys(3))
      const { events, versionOf } = await loaded(feed, { state: { load } })
      expect(events).toMatchObject([{ state: "refused" }, { state: "loaded", routes: 3 }])
      expect(events[0]!.reason).toContain(reason)
      expect(versionOf("p:project-1")).toBe(2)
    },
  )

  it("that hangs does not keep the source from being read", async () => {
    const { store, states } = setup(fakeFeed(keys(3)), { state: { load: () => new Promise(() => undefined) } })
    await vi.advanceTimersByTimeAsync(60_000)
    await store.waitUntilLoaded()
    expect(states()).toEqual(["refused", "loaded"])
  })

  it("situation 9: is saved while changes never stop, at the latest after saveMs", async () => {
    const feed = fakeFeed(keys(10))
    const { state, saves } = memoryState()
    await loaded(feed, { state, saveMs: 10_000 })
    const times: number[] = [Date.now()]
    // Ends only if it is saved although changes never stop.
    while (times.length < 4) {
      feed.put("p:busy")
      await vi.advanceTimersByTimeAsync(100)
      await settled()
      while (saves.length >= times.length) times.push(Date.now())
    }
    for (const [at, time] of times.slice(1).entries()) expect(time - times[at]!).toBeGreaterThanOrEqual(9_900)
  })

  it("of which no image can be built is reported once, and saved when one can be", async () => {
    const feed = fakeFeed(keys(3))
    const { state, image, saves } = memoryState()
    const { events, get } = await loaded(feed, { state, saveMs: 1_000 })
    await passUntil(() => saves.length === 1)
    // Longer than an image may have it.
    feed.editPage((page) => ({ ...page, cursor: `a:${String(feed.log.length).padStart(5_000, "0")}` }))
    for (const key of ["p:new", "p:newer"] as const) {
      feed.put(key)
      await passUntil(() => get(key).status === "hit" && events.length > 1)
      await vi.advanceTimersByTimeAsync(2_000)
      await settled()
    }
    expect(events.slice(1)).toMatchObject([{ state: "not_saved", reason: expect.stringContaining("head") as string }])
    expect(saves.length).toBe(1)
    feed.editPage((page) => page)
    feed.put("p:newest")
    await passUntil(() => saves.length === 2)
    expect((await image()).routes).toBe(6)
  })

  it("that cannot be saved is reported once, and tried again with the next change", async () => {
    const feed = fakeFeed(keys(3))
    const { state, saves } = memoryState()
    let isFull = true
    const save: TableState["save"] = async (bytes) => {
      if (isFull) throw Object.assign(new Error("secret"), { code: "ENOSPC" })
      await state.save(bytes)
    }
    const { events } = await loaded(feed, { state: { ...state, save }, saveMs: 1_000 })
    await passUntil(() => events.length === 2)
    expect(events[1]).toMatchObject({ state: "not_saved", reason: "ENOSPC" })
    feed.put("p:a")
    await vi.advanceTimersByTimeAsync(3_000)
    await settled()
    isFull = false
    feed.put("p:a")
    await passUntil(() => saves.length === 1)
    expect(events).toHaveLength(2)
  })

  it("is not saved twice where nothing has changed, but when all was read again: it says how old it is", async () => {
    const { state, saves, image } = memoryState()
    const { states } = await loaded(fakeFeed(keys(3)), { state })
    await passUntil(() => saves.length === 1)
    const { builtAt } = await image()
    await vi.advanceTimersByTimeAsync(HOUR - 10 * MINUTE)
    await settled()
    expect(saves).toHaveLength(1)
    await passUntil(() => saves.length === 2)
    expect(states()).toEqual(["loaded", "loaded"])
    expect((await image()).builtAt - builtAt).toBeGreaterThan(HOUR - 10 * MINUTE)
  })

  it("is saved every hour also where the routes are read again but once a day", async () => {
    const { state, saves, image } = memoryState()
    const { states } = await loaded(fakeFeed(keys(3)), { state, relistMs: 24 * HOUR })
    await passUntil(() => saves.length === 1)
    const { builtAt } = await image()
    await vi.advanceTimersByTimeAsync(HOUR - MINUTE)
    expect(saves).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(2 * MINUTE)
    await until(() => saves.length === 2)
    expect((await image()).builtAt - builtAt).toBeGreaterThanOrEqual(HOUR)
    expect(states()).toEqual(["loaded"])
  })

  it("is as old as the table is, also where it is saved while the source is down", async () => {
    const feed = fakeFeed(keys(3))
    const { state, saves, image } = memoryState()
    const authority: RouteStore = { get: async () => ({ status: "hit", record: removed(9) }) }
    const { store } = await loaded(feed, { state, authority })
    await passUntil(() => saves.length === 1)
    feed.kill()
    await vi.advanceTimersByTimeAsync(5 * HOUR)
    await store.get("p:project-1", { refresh: true })
    await passUntil(() => saves.length === 2)
    expect(Date.now() - (await image()).builtAt).toBeGreaterThanOrEqual(5 * HOUR)
    expect((await image()).cursor).toBe("a:3")
  })
})

const removed = (version: number): RouteRecord => ({ kind: "removed", version, epoch: 0 })

describe("many changes", () => {
  it("are packed into a new image in the background; nothing is lost of what changes meanwhile", async () => {
    const feed = fakeFeed(keys(3_000))
    const { state } = memoryState()
    const { store, versionOf, get } = await loaded(feed, { state, saveMs: 3_600_000 })
    for (const key of keys(1_000)) feed.put(key)
    for (const key of keys(1_200).slice(1_000)) feed.remove(key)
    await passUntil(() => versionOf("p:project-1199") === "miss")
    const before = get("p:project-0")
    await passUntil(() => {
      // Packed, so it is another object.
      const now = get("p:project-0")
      return before.status === "hit" && now.status === "hit" && now.record !== before.record
    })
    const last = feed.put("p:project-0")
    await passUntil(() => versionOf("p:project-0") === last)
    feed.say({ key: "p:project-1100", version: 1_101, record: removed(1_101) })
    await vi.advanceTimersByTimeAsync(100)
    await settled()
    for (const key of keys(3_000)) expect(versionOf(key)).toBe(feed.routes.get(key)?.version ?? "miss")
    expect(store.stats().layers[0]).toMatchObject({ routes: 2_800 })
  })
})

describe("after a machine said that it is not the one meant", () => {
  it("asks the authority for that one key, and keeps what is newer", async () => {
    const feed = fakeFeed(["p:a", "p:b"])
    const asked: unknown[] = []
    const authority: RouteStore = {
      get: async (key, { refresh }) => {
        asked.push([key, refresh])
        return { status: "hit", record: removed(9) }
      },
    }
    const { store, versionOf } = await loaded(feed, { authority })
    expect(await store.get("p:a", { refresh: true })).toMatchObject({ status: "hit", key: "p:a", record: removed(9) })
    expect(versionOf("p:a")).toBe(9)
    expect(asked).toEqual([["p:a", true]])
    expect(feed.calls.snapshot).toBe(1)
  })

  it("finds the first of several keys, and what leads nowhere any more on the way", async () => {
    const feed = fakeFeed(["p:a", "p:b"])
    const authority: RouteStore = {
      get: async (key) => (key === "p:b" ? { status: "hit", record: removed(9) } : { status: "miss" }),
    }
    for (const given of [
      authority,
      { ...authority, getFirst: async () => ({ status: "hit", key: "p:b", record: removed(9) }) } satisfies RouteStore,
    ]) {
      const { store, versionOf } = await loaded(feed, { authority: given })
      expect(await store.getFirst(["p:a", "p:b"], { refresh: true })).toMatchObject({ key: "p:b", record: removed(9) })
      expect([versionOf("p:a"), versionOf("p:b")]).toEqual(["miss", 9])
      expect(store.stats().layers[0]).toMatchObject({ routes: 1 })
      // An earlier change does not bring it back, the next one does.
      feed.say(feed.log[0]!)
      const again = feed.put("p:a")
      await vi.advanceTimersByTimeAsync(50)
      await until(() => versionOf("p:a") === again)
    }
  })

  it("situation 2: what the authority said stays, although everything is read again from a feed that lags behind", async () => {
    const feed = fakeFeed(["p:a", "p:b", "p:c"])
    const authority: RouteStore = {
      get: async (key) => (key === "p:a" ? { status: "hit", record: removed(9) } : { status: "miss" }),
    }
    const { store, versionOf } = await loaded(feed, { authority })
    await store.get("p:a", { refresh: true })
    await store.get("p:b", { refresh: true })
    await store.reload()
    expect([versionOf("p:a"), versionOf("p:b"), versionOf("p:c")]).toEqual([9, "miss", 3])
    expect(store.stats().layers[0]).toMatchObject({ routes: 2 })
  })

  it.each<[string, RouteStore["get"]]>([
    ["throws", () => Promise.reject(new Error("down"))],
    ["hangs", () => new Promise(() => undefined)],
    ["cannot tell", async () => ({ status: "unknown" })],
    ["gives nonsense", async () => "nonsense" as never],
    ["gives no record", async () => ({ status: "hit", record: "half" as never })],
  ])("an authority that %s leaves the table as it is", async (_, ask) => {
    const { store } = await loaded(fakeFeed(["p:a"]), { authority: { get: ask } })
    const looking = store.get("p:a", { refresh: true })
    await vi.advanceTimersByTimeAsync(2_000)
    expect(await looking).toMatchObject({ status: "hit", record: { version: 1 } })
  })

  it("without an authority reads the feed at once, one read for all who ask together, and one more for later callers", async () => {
    const feed = fakeFeed(["p:a"])
    const { store, versionOf } = await loaded(feed)
    await vi.advanceTimersByTimeAsync(20)
    // A change that nobody was notified of: the reader that waits does not see it yet.
    const record: RouteRecord = removed(7)
    feed.log.push({ key: "p:a", version: 7, record })
    expect(versionOf("p:a")).toBe(1)
    const before = feed.calls.changes
    const found = await Promise.all(Array.from({ length: 50 }, async () => store.get("p:a", { refresh: true })))
    expect(found.every((each) => each.status === "hit" && each.record.version === 7)).toBe(true)
    expect(feed.calls.changes - before).toBeLessThanOrEqual(2)
  })
})

describe("a table store", () => {
  it.each<[string, () => unknown]>([
    ["tableStore: the feed must have snapshot and changes", () => tableStore({} as never)],
    [
      "tableStore: relist is not an option (did you mean relistMs?)",
      () => tableStore(fakeFeed(), { relist: 1 } as never),
    ],
    ["tableStore: maxAgeMs must be a number from 0 up, got -1", () => tableStore(fakeFeed(), { maxAgeMs: -1 })],
    [
      "tableStore: state must be a TableState, got a string",
      () => tableStore(fakeFeed(), { state: "/tmp/x" as never }),
    ],
    [
      "tableStore: authority must be a route store, got an object",
      () => tableStore(fakeFeed(), { authority: {} as never }),
    ],
  ])("checks its options: %s", (message, make) => {
    expect(make).toThrow(new TypeError(message))
  })

  it("ends everything when it is disposed of, and whoever waits for it", async () => {
    const feed = fakeFeed(["p:a"])
    const { store, events } = await loaded(feed)
    store.dispose()
    await settled()
    const before = { ...feed.calls }
    feed.kill()
    await vi.advanceTimersByTimeAsync(3 * HOUR)
    expect(feed.calls).toEqual(before)
    expect(events).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(0)
    await expect(store.reload()).rejects.toThrow("the store was disposed of")
    const never = fakeFeed()
    never.kill()
    const { store: other } = setup(never)
    const controller = new AbortController()
    const waiting = other.waitUntilLoaded({ signal: controller.signal })
    controller.abort(new Error("enough"))
    await expect(waiting).rejects.toThrow("enough")
    const until = other.waitUntilLoaded()
    other.dispose()
    await expect(until).rejects.toThrow("the store was disposed of")
  })

  it("goes on when what it reports to throws", async () => {
    const { versionOf } = await loaded(fakeFeed(["p:a"]), {
      onEvent: () => {
        throw new Error("a log that is full")
      },
    })
    expect(versionOf("p:a")).toBe(1)
  })
})
