import fc from "fast-check"
import { defineGrammar } from "@project-ingress/hostname"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { referenceRoutes } from "../../bench/reference-routes.ts"
import { memoryRegistry } from "../../src/stores/memory.ts"
import { pagedStore, pagePublisher } from "../../src/stores/paged.ts"
import type { PagedStoreOptions, PagePublisherOptions } from "../../src/stores/paged.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"
import type { FeedPage, RouteChange, RouteFeed } from "../../src/stores/route-feed.ts"
import type { Lookup, RouteStore } from "../../src/stores/route-store.ts"
import type { RouteSourceEvent } from "../../src/stores/store-event.ts"
import { arbitraryKey } from "../packed/arbitrary-routes.ts"
import { memoryPages } from "./pages-in-memory.ts"

const signal = new AbortController().signal
const removed = (version: number): RouteRecord => ({ kind: "removed", version, epoch: 0 })
const get = async (store: RouteStore, key: RouteKey, refresh = false): Promise<Lookup> =>
  store.get(key, { signal, refresh })

/** A feed of routes that a test changes. */
const feedOf = (initial: Iterable<readonly [RouteKey, RouteRecord]>) => {
  const routes = new Map(initial)
  const log: RouteChange[] = []
  const feed: RouteFeed & {
    gap: boolean
    put: (key: RouteKey, record: RouteRecord) => void
    drop: (key: RouteKey) => void
  } = {
    gap: false,
    put: (key, record) => {
      routes.set(key, record)
      log.push({ key, version: record.version, record })
    },
    drop: (key) => {
      const { version } = routes.get(key)!
      routes.delete(key)
      log.push({ key, version: version + 1 })
    },
    snapshot: async () => {
      const [cursor, copy] = [String(log.length), [...routes]]
      return {
        cursor,
        routes: (async function* () {
          yield* copy
        })(),
      }
    },
    changes: async (since, { limit = 1_000 } = {}): Promise<FeedPage> => {
      if (feed.gap) {
        feed.gap = false
        return { status: "gap" }
      }
      const from = Number(since)
      const changes = log.slice(from, from + limit)
      return {
        status: "changes",
        changes,
        cursor: String(from + changes.length),
        more: from + changes.length < log.length,
      }
    },
  }
  return feed
}

const routes = [...new Map(referenceRoutes(500))]

/** A store that has read version 1 of `p:a`, over pages that have version 2 since. */
const changed = async (options?: PagedStoreOptions, publishing?: PagePublisherOptions) => {
  const pages = memoryPages()
  const feed = feedOf([["p:a", removed(1)]])
  const publisher = pagePublisher(pages, feed, publishing)
  await publisher.sync()
  const store = pagedStore(pages, options)
  await get(store, "p:a")
  feed.put("p:a", removed(2))
  await publisher.sync()
  return { pages, feed, publisher, store }
}

describe("pages of a table", () => {
  it("lead where the registry does, in any number of pages", async () => {
    for (const count of [1, 7, 64]) {
      const pages = memoryPages()
      expect(await pagePublisher(pages, feedOf(routes), { pages: count }).sync()).toEqual({
        round: "all",
        written: count,
        more: false,
      })
      const store = pagedStore(pages)
      for (const [key, record] of routes) {
        expect(await get(store, key)).toMatchObject({ status: "hit", record, layer: "pages" })
        expect(await get(store, `${key}x`)).toMatchObject({ status: "miss", layer: "pages" })
      }
      expect(store.stats().layers[0]).toMatchObject({ layer: "pages", routes: routes.length })
    }
  })

  it("are read once each, and decide at once from then on, with the same object", async () => {
    const pages = memoryPages()
    await pagePublisher(pages, feedOf(routes), { pages: 4 }).sync()
    pages.reads.length = 0
    const store = pagedStore(pages)
    const first = routes[0]![0]
    await Promise.all(Array.from({ length: 100 }, async () => get(store, first)))
    expect(pages.reads).toHaveLength(2)
    const [one, other] = [store.get(first, { signal }), store.get(first, { signal })] as [Lookup, Lookup]
    expect(one.status === "hit" && other.status === "hit" && one.record === other.record).toBe(true)
  })

  it("get about 2 000 routes each, unless another number is asked for", async () => {
    const pages = memoryPages()
    const many = Array.from({ length: 5_000 }, (_, at) => [`p:a${at}`, removed(1)] as const)
    expect((await pagePublisher(pages, feedOf(many)).sync()).written).toBe(4)
  })

  it("are written only where something has changed, and never in place of what readers use", async () => {
    const pages = memoryPages()
    const feed = feedOf(routes)
    const publisher = pagePublisher(pages, feed, { pages: 16 })
    await publisher.sync()
    const store = pagedStore(pages, { softMs: 0, revalidateMs: 0 })
    const [key] = routes[3]!
    await get(store, key)
    pages.writes.length = 0
    feed.put(key, removed(9_000_000))
    feed.put("p:new-one", removed(9_000_001))
    feed.drop(routes[4]![0])
    expect((await publisher.sync()).round).toBe("changes")
    expect(pages.writes.at(-1)).toBe("manifest")
    expect(pages.writes.length).toBeLessThanOrEqual(4)
    expect(await get(store, key)).toMatchObject({ status: "hit", record: removed(9_000_000) })
    expect(await get(store, "p:new-one")).toMatchObject({ status: "hit" })
    expect((await get(store, routes[4]![0])).status).toBe("miss")
    expect(store.stats().layers[0]!.routes).toBe(routes.length)
    // What an earlier manifest names is still there.
    expect(pages.stored.size).toBeGreaterThan(17)
  })

  it("of an earlier table are removed after keepMs", async () => {
    const pages = memoryPages()
    const feed = feedOf(routes)
    const publisher = pagePublisher(pages, feed, { pages: 4, keepMs: 0, signMs: 0 })
    await publisher.sync()
    feed.put("p:a", removed(1))
    await publisher.sync()
    expect(pages.stored.size).toBe(6)
    await vi.waitFor(async () => {
      await publisher.sync()
      expect(pages.stored.size).toBe(5)
    })
  })

  it("are what another publisher goes on from, and stay the same where nothing has changed", async () => {
    const pages = memoryPages()
    const feed = feedOf(routes)
    await pagePublisher(pages, feed, { pages: 8 }).sync()
    feed.put("p:later", removed(1))
    pages.writes.length = 0
    expect(await pagePublisher(pages, feed, { pages: 8 }).sync()).toMatchObject({ round: "changes", written: 1 })
    pages.writes.length = 0
    await pagePublisher(pages, feed, { pages: 8 }).publishAll()
    // One page has the dictionary of before.
    expect(pages.writes.length).toBeLessThanOrEqual(2)
  })

  it("hold what the registry says after any changes, faults of the storage among them", async () => {
    const change = fc.record({
      key: arbitraryKey,
      isRemoval: fc.boolean(),
      fault: fc.constantFrom("none", "none", "none", "write", "manifest", "gap"),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), async (changes, count) => {
        const pages = memoryPages()
        const model = new Map<RouteKey, RouteRecord>([["p:always", removed(1)]])
        const feed = feedOf(model)
        const publisher = pagePublisher(pages, feed, { pages: count })
        await publisher.sync()
        const store = pagedStore(pages, { softMs: 0, revalidateMs: 0 })
        let version = 1
        for (const { key, isRemoval, fault } of changes) {
          version += 2
          if (isRemoval && model.has(key) && key !== "p:always") {
            feed.drop(key)
            model.delete(key)
          } else {
            feed.put(key, removed(version))
            model.set(key, removed(version))
          }
          feed.gap = fault === "gap"
          pages.fault = (call, name) => {
            if (call === "write" && (fault === "write" || fault === name)) throw new Error("broken")
          }
          await publisher.sync().catch(() => undefined)
          pages.fault = undefined
        }
        // A half of the routes may be gone: that is what happened here.
        await publisher.sync().catch(async () => publisher.publishAll({ force: true }))
        for (const { key } of changes) {
          const record = model.get(key)
          const found = await get(store, key, true)
          expect(found.status === "hit" ? found.record : undefined).toEqual(record)
          expect(found.status).not.toBe("unknown")
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe("a publisher of pages", () => {
  it("refuses a table that is more than 15 % smaller, unless forced; readers take a forced one", async () => {
    const pages = memoryPages()
    const events: RouteSourceEvent[] = []
    await pagePublisher(pages, feedOf(routes), { pages: 2 }).sync()
    const store = pagedStore(pages, { softMs: 0, revalidateMs: 0 })
    await get(store, routes[0]![0])
    const half = pagePublisher(pages, feedOf(routes.slice(0, 200)), {
      pages: 2,
      onEvent: (event) => events.push(event),
    })
    await expect(half.publishAll()).rejects.toMatchObject({ _tag: "PublishRefused", reason: "smaller" })
    expect(events).toEqual([expect.objectContaining({ type: "route_source", state: "refused" })])
    expect((await get(store, routes[400]![0])).status).toBe("hit")
    await half.publishAll({ force: true })
    expect((await get(store, routes[400]![0])).status).toBe("miss")
  })

  it("refuses routes of earlier versions than those that are stored, unless forced", async () => {
    const pages = memoryPages()
    await pagePublisher(pages, feedOf([["p:a", removed(5)]])).sync()
    const lagging = pagePublisher(pages, feedOf([["p:a", removed(4)]]))
    await expect(lagging.publishAll()).rejects.toMatchObject({ _tag: "PublishRefused", reason: "older" })
    await lagging.publishAll({ force: true })
    expect(await get(pagedStore(pages), "p:a")).toMatchObject({ record: removed(4) })
  })

  it("leaves the table as it was when it dies before the manifest, and the next one goes on (situation 17)", async () => {
    const pages = memoryPages()
    const feed = feedOf(routes)
    await pagePublisher(pages, feed, { pages: 2 }).sync()
    feed.put("p:a", removed(1))
    pages.fault = (call, name) => {
      if (call === "write" && name === "manifest") throw new Error("killed")
    }
    await expect(pagePublisher(pages, feed, { pages: 2 }).sync()).rejects.toThrow("killed")
    pages.fault = undefined
    const store = pagedStore(pages, { softMs: 0, revalidateMs: 0 })
    expect((await get(store, "p:a")).status).toBe("miss")
    await pagePublisher(pages, feed, { pages: 2 }).sync()
    expect((await get(store, "p:a")).status).toBe("hit")
  })

  it("writes the manifest again after signMs without a change, and not before", async () => {
    const pages = memoryPages()
    const feed = feedOf(routes)
    const publisher = pagePublisher(pages, feed, { pages: 2 })
    await publisher.sync()
    pages.writes.length = 0
    await publisher.sync()
    expect(pages.writes).toEqual([])
    const signs = pagePublisher(pages, feed, { pages: 2, signMs: 0 })
    await signs.sync()
    expect(pages.writes).toEqual(["manifest"])
  })

  it("publishes all again where a page or the manifest is damaged, or the feed has a gap", async () => {
    for (const damage of ["page", "manifest", "gap"]) {
      const pages = memoryPages()
      const feed = feedOf(routes)
      await pagePublisher(pages, feed, { pages: 1 }).sync()
      const [page] = [...pages.stored.keys()].filter((name) => name !== "manifest")
      if (damage === "gap") feed.gap = true
      else pages.stored.set(damage === "page" ? page! : "manifest", new Uint8Array(10))
      feed.put("p:a", removed(1))
      expect((await pagePublisher(pages, feed, { pages: 1 }).sync()).round).toBe("all")
      expect((await get(pagedStore(pages), "p:a")).status).toBe("hit")
    }
  })

  it("packs a record that no router can use, so that it fails its own hostname, and leaves out what is no key", async () => {
    const pages = memoryPages()
    const invalid: string[] = []
    const rows = [
      ["p:good", removed(1)],
      ["p:bad", { kind: "nonsense", version: 1, epoch: 0 }],
      ["p:Not A Key", removed(1)],
      [`p:${"a".repeat(60_000)}`, removed(1)],
      [5, removed(1)],
    ] as unknown as [RouteKey, RouteRecord][]
    await pagePublisher(pages, feedOf(rows), { onInvalid: (key) => invalid.push(key.slice(0, 12)) }).sync()
    expect(invalid.toSorted()).toEqual(["5", "p:Not A Key", "p:aaaaaaaaaa", "p:bad"])
    const store = pagedStore(pages)
    expect((await get(store, "p:good")).status).toBe("hit")
    expect(await get(store, "p:bad")).toMatchObject({ status: "hit", record: { kind: "nonsense" } })
    expect(store.stats().layers[0]!.routes).toBe(2)
  })

  it("leaves out changes that do not say what they are about, and reports them", async () => {
    const pages = memoryPages()
    const invalid: string[] = []
    const feed = feedOf([["p:a", removed(1)]])
    const publisher = pagePublisher(pages, feed, { onInvalid: (key, { field }) => invalid.push(`${key} ${field}`) })
    await publisher.sync()
    const changes = [null, { key: "p:a" }, { key: "p:a", version: 2, record: removed(2) }] as never
    feed.changes = async (since) => ({ status: "changes", changes, cursor: `${since}1`, more: false })
    expect((await publisher.sync()).round).toBe("changes")
    expect(invalid).toEqual(["undefined key", "p:a version"])
    expect(await get(pagedStore(pages), "p:a")).toMatchObject({ status: "hit", record: { version: 2 } })
  })
})

describe("a store of pages", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["Date", "performance", "setTimeout", "clearTimeout"], now: 1_700_000_000_000 })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it("does not know before the first manifest: unknown, never a miss (situation 12)", async () => {
    const pages = memoryPages()
    const events: RouteSourceEvent[] = []
    const store = pagedStore(pages, { onEvent: (event) => events.push(event) })
    expect(await get(store, "p:a")).toMatchObject({ status: "unknown", retryAfterMs: 1_000 })
    pages.fault = () => {
      throw Object.assign(new Error("secret"), { code: "ECONNREFUSED" })
    }
    vi.advanceTimersByTime(6_000)
    expect((await get(store, "p:a")).status).toBe("unknown")
    expect(events).toEqual([
      { type: "route_source", layer: "pages", state: "failing", reason: "no routes are published" },
    ])
    pages.fault = undefined
    await pagePublisher(pages, feedOf([["p:a", removed(1)]])).sync()
    vi.advanceTimersByTime(6_000)
    expect((await get(store, "p:a")).status).toBe("hit")
    expect(events.at(-1)).toMatchObject({ state: "loaded", routes: 1 })
  })

  it("takes the last sign of a publisher whose clock was ahead for as old as it has been known", async () => {
    const pages = memoryPages()
    vi.setSystemTime(Date.now() + 3_600_000)
    await pagePublisher(pages, feedOf(routes), { pages: 1 }).sync()
    vi.setSystemTime(Date.now() - 3_600_000)
    const store = pagedStore(pages)
    for (let minute = 0; minute <= 15; minute++) {
      expect((await get(store, "p:nobody")).status).toBe("miss")
      vi.advanceTimersByTime(60_000)
    }
    expect((await get(store, "p:nobody")).status).toBe("unknown")
  })

  it("serves what it has for 24 h while nothing can be read, and is unknown then (situation 11)", async () => {
    const pages = memoryPages()
    await pagePublisher(pages, feedOf(routes), { pages: 1 }).sync()
    const store = pagedStore(pages)
    const [key, record] = routes[0]!
    await get(store, key)
    pages.fault = () => {
      throw new Error("down")
    }
    for (let hour = 1; hour < 24; hour++) {
      vi.advanceTimersByTime(3_600_000)
      expect(await get(store, key)).toMatchObject({ status: "hit", record, stale: true })
      expect((await get(store, "p:nobody")).status).toBe("unknown")
    }
    vi.advanceTimersByTime(3_700_000)
    expect((await get(store, key)).status).toBe("unknown")
  })

  it("sees a change after softMs beside a request, and after revalidateMs before it", async () => {
    const { feed, publisher, store } = await changed()
    expect(await get(store, "p:a")).toMatchObject({ record: removed(1) })
    vi.advanceTimersByTime(5_001)
    expect(await get(store, "p:a")).toMatchObject({ record: removed(1) })
    await vi.waitFor(async () => expect(await get(store, "p:a")).toMatchObject({ record: removed(2) }))
    feed.put("p:a", removed(3))
    await publisher.sync()
    vi.advanceTimersByTime(30_001)
    expect(await get(store, "p:a")).toMatchObject({ record: removed(3) })
  })

  it("asks at once after a 421", async () => {
    const { store } = await changed()
    expect(await get(store, "p:a", true)).toMatchObject({ record: removed(2) })
  })

  it("goes on with the page that it has while a new one is not there yet", async () => {
    const { pages, store } = await changed({ softMs: 0, revalidateMs: 0 })
    const late = pages.writes.at(-2)!
    const bytes = pages.stored.get(late)!
    pages.stored.delete(late)
    expect(await get(store, "p:a")).toMatchObject({ record: removed(1), stale: true })
    pages.stored.set(late, bytes)
    vi.advanceTimersByTime(10_000)
    expect(await get(store, "p:a")).toMatchObject({ record: removed(2) })
  })

  it("goes on with pages of an earlier layout until new ones can be read, and says of no other key that it is absent", async () => {
    const pages = memoryPages()
    const feed = feedOf(routes)
    await pagePublisher(pages, feed, { pages: 4 }).publishAll()
    const store = pagedStore(pages, { softMs: 0, revalidateMs: 0, maxAgeMs: 3_600_000 })
    for (const [key] of routes) expect((await get(store, key)).status).toBe("hit")
    // Published in more pages, as when a table has grown, and none of them can be read yet.
    feed.put("p:new", removed(1))
    await pagePublisher(pages, feed, { pages: 8 }).publishAll()
    pages.fault = (call, name) => {
      if (call === "read" && name !== "manifest") throw new Error("not there yet")
    }
    for (const [key, record] of routes)
      expect(await get(store, key)).toMatchObject({ status: "hit", record, stale: true })
    expect((await get(store, "p:new")).status).toBe("unknown")
    pages.fault = undefined
    vi.advanceTimersByTime(10_000)
    for (const [key] of [...routes, ["p:new"] as const]) expect((await get(store, key)).stale).toBeUndefined()
    expect((await get(store, "p:new")).status).toBe("hit")
  })

  it("does not serve an earlier page for longer than maxAgeMs, however new the manifest is", async () => {
    const { pages, publisher, store } = await changed(
      { softMs: 0, revalidateMs: 0, maxAgeMs: 3_600_000 },
      { signMs: 0 },
    )
    pages.fault = (call, name) => {
      if (call === "read" && name !== "manifest") throw new Error("lost")
    }
    vi.advanceTimersByTime(3_500_000)
    await publisher.sync()
    expect(await get(store, "p:a")).toMatchObject({ record: removed(1), stale: true, ageMs: 3_500_000 })
    // Of a key that the new page may have.
    expect((await get(store, "p:b")).status).toBe("unknown")
    vi.advanceTimersByTime(200_000)
    await publisher.sync()
    expect((await get(store, "p:a")).status).toBe("unknown")
  })

  it("does not go back to an earlier manifest, which a replica that lags may give (situation 2)", async () => {
    const pages = memoryPages()
    const feed = feedOf([["p:a", removed(1)]])
    const publisher = pagePublisher(pages, feed)
    await publisher.sync()
    const earlier = pages.stored.get("manifest")!
    vi.advanceTimersByTime(1_000)
    feed.put("p:a", removed(2))
    await publisher.sync()
    const store = pagedStore(pages, { softMs: 0, revalidateMs: 0 })
    await get(store, "p:a")
    pages.stored.set("manifest", earlier)
    vi.advanceTimersByTime(1_000)
    expect(await get(store, "p:a")).toMatchObject({ record: removed(2) })
  })

  it("does not wait for a storage that hangs, but once, and never serves a page under another's name", async () => {
    const pages = memoryPages()
    await pagePublisher(pages, feedOf(routes), { pages: 2 }).sync()
    const names = [...pages.stored.keys()].filter((name) => name !== "manifest")
    const [one, other] = names.map((name) => pages.stored.get(name)!)
    pages.stored.set(names[0]!, other!)
    pages.stored.set(names[1]!, one!)
    const store = pagedStore(pages)
    for (const [key] of routes.slice(0, 20)) expect((await get(store, key)).status).toBe("unknown")

    const hanging = pagedStore(pages)
    pages.fault = () => new Promise(() => {})
    const waiting = get(hanging, "p:a")
    await vi.advanceTimersByTimeAsync(2_001)
    expect((await waiting).status).toBe("unknown")
    expect((await get(hanging, "p:a")).status).toBe("unknown")
  })

  it("reads one page after each pause of a storage whose pages cannot be read, and all of them once one can", async () => {
    const pages = memoryPages()
    await pagePublisher(pages, feedOf(routes), { pages: 8 }).sync()
    const store = pagedStore(pages)
    pages.fault = (call, name) => {
      if (call === "read" && name !== "manifest") throw new Error("lost")
    }
    for (const [key] of routes) expect((await get(store, key)).status).toBe("unknown")
    for (let pauses = 0; pauses < 3; pauses++) {
      vi.advanceTimersByTime(10_000)
      await get(store, "p:a", true)
      const before = pages.reads.length
      for (const [key] of routes) expect((await get(store, key)).status).toBe("unknown")
      expect(pages.reads.length).toBe(before)
    }
    pages.fault = undefined
    vi.advanceTimersByTime(10_000)
    for (const [key] of routes) expect((await get(store, key)).status).toBe("hit")
  })

  it("reads other pages at once, though some are not there yet", async () => {
    const pages = memoryPages()
    await pagePublisher(pages, feedOf(routes), { pages: 8 }).sync()
    const store = pagedStore(pages)
    const absent = [...pages.stored.keys()].filter((name) => name !== "manifest").slice(0, 4)
    const stored = absent.map((name) => [name, pages.stored.get(name)!] as const)
    for (const name of absent) pages.stored.delete(name)
    const statuses: string[] = []
    for (const [key] of routes) statuses.push((await get(store, key)).status)
    // Each page that is there was read for the first of its routes.
    expect(new Set(statuses)).toEqual(new Set(["hit", "unknown"]))
    expect(new Set(pages.reads).size).toBe(9)
    for (const [name, bytes] of stored) pages.stored.set(name, bytes)
    vi.advanceTimersByTime(1_000)
    for (const [key] of routes) expect((await get(store, key)).status).toBe("hit")
  })

  it("keeps no more bytes of pages than it may", async () => {
    const pages = memoryPages()
    const many = [...new Map(referenceRoutes(60_000))]
    await pagePublisher(pages, feedOf(many), { pages: 64 }).sync()
    const total = [...pages.stored.values()].reduce((sum, bytes) => sum + bytes.length, 0)
    expect(total).toBeGreaterThan(3 * 2 ** 20)
    const store = pagedStore(pages, { maxBytes: 2 ** 20 })
    pages.reads.length = 0
    for (let round = 0; round < 2; round++)
      for (let at = 0; at < many.length; at += 100) expect((await get(store, many[at]![0])).status).toBe("hit")
    // All of the table would be 65 reads.
    expect(pages.reads.length).toBeGreaterThan(130)
  }, 60_000)

  it("goes on, and so does its publisher, whatever onEvent throws", async () => {
    const onEvent = (): never => {
      throw new Error("the log is full")
    }
    const pages = memoryPages()
    await pagePublisher(pages, feedOf([["p:a", removed(1)]]), { onEvent }).sync()
    const store = pagedStore(pages, { softMs: 0, revalidateMs: 0, onEvent })
    expect(await get(store, "p:a")).toMatchObject({ status: "hit" })
    pages.stored.set("manifest", new Uint8Array(10))
    expect(await get(store, "p:a")).toMatchObject({ status: "hit" })
  })

  it("refuses what is no manifest of this version, and goes on with the one before", async () => {
    const pages = memoryPages()
    const events: RouteSourceEvent[] = []
    await pagePublisher(pages, feedOf([["p:a", removed(1)]])).sync()
    const store = pagedStore(pages, { softMs: 0, revalidateMs: 0, onEvent: (event) => events.push(event) })
    await get(store, "p:a")
    const good: Record<string, unknown> = JSON.parse(new TextDecoder().decode(pages.stored.get("manifest")))
    const bad: unknown[] = [
      [],
      { ...good, format: 2 },
      { ...good, seed: -1 },
      { ...good, pages: [] },
      { ...good, pages: ["x"] },
      { ...good, routes: "many" },
      { ...good, asOf: null },
      { ...good, cursor: 7 },
      { ...good, retired: [1] },
    ]
    for (const [at, manifest] of bad.entries()) {
      pages.stored.set("manifest", new TextEncoder().encode(JSON.stringify(manifest)))
      vi.advanceTimersByTime(1_000)
      expect([at, (await get(store, "p:a")).status]).toEqual([at, "hit"])
    }
    expect(events.at(-1)).toMatchObject({ state: "refused", reason: expect.stringContaining("manifest") })
  })

  it("leads where a real registry does", async () => {
    const registry = memoryRegistry({
      grammar: defineGrammar({ domains: ["iterate.app"] }),
      resolveTxt: async () => [],
    })
    const pages = memoryPages()
    const publisher = pagePublisher(pages, registry)
    await registry.putMachine({ id: "mach_1", type: "local", externalId: "x", metadata: {} })
    await registry.create({ name: "misha", machine: "mach_1" })
    await publisher.sync()
    const store = pagedStore(pages, { softMs: 0, revalidateMs: 0 })
    const expected = registry.get("p:misha")
    expect(await get(store, "p:misha")).toMatchObject({
      status: "hit",
      record: (expected as { record: object }).record,
    })
    await registry.detach("misha")
    await publisher.sync()
    expect(await get(store, "p:misha")).toMatchObject({ status: "hit", record: { kind: "detached" } })
  })
})
