/** The laws of route stores, for every store of this package that needs nothing outside this process. */
import { describe, it, vi } from "vitest"
import { layeredStore } from "../../src/stores/layered.ts"
import type { LayeredStore } from "../../src/stores/layered.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import type { RouteInput } from "../../src/stores/memory.ts"
import { openPacked, PackedRefused, packedStore, packRoutes } from "../../src/stores/packed.ts"
import type { PackedStore } from "../../src/stores/packed.ts"
import { pagePublisher, pagedStore } from "../../src/stores/paged.ts"
import { polledSql } from "../../src/stores/polled-sql.ts"
import type { PolledSqlStore } from "../../src/stores/polled-sql.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"
import { tableStore } from "../../src/stores/table.ts"
import { faultySource, routeStoreSuite } from "../../src/testing.ts"
import { FakeCache } from "../layered/fixtures.ts"
import { memoryPages } from "../paged/pages-in-memory.ts"
import { feedSource } from "./feed-source.ts"
import { plainStore, simpleFixture, textSource } from "./memory-fixture.ts"

/** So that a source that hangs costs a test less. */
const lookupTimeoutMs = 3_000
vi.setConfig({ testTimeout: 60_000 })

describe("a store of a few lines", () => {
  routeStoreSuite(it, simpleFixture(), { lookupTimeoutMs: 200 })
})

describe("memoryStore", () => {
  const store = memoryStore()
  const put = (key: RouteKey, record: RouteRecord) => store.attach(key, record)
  const skip = { "version.older": "it counts versions itself: the last write is the newest" }
  routeStoreSuite(it, { open: () => store, put, remove: store.detach }, { lookupTimeoutMs, skip })
})

describe("packedStore", () => {
  // So that one route is not more than 15 % of them.
  const others = Array.from({ length: 100 }, (_, nth): [RouteKey, RouteRecord] => [
    `p:other-${nth}`,
    { kind: "detached", version: 1, epoch: 0 },
  ])
  const routes = new Map<RouteKey, RouteRecord>(others)
  routeStoreSuite(
    it,
    {
      open: async () => packedStore(await openPacked(await packRoutes(routes))),
      put: (key, record) => routes.set(key, record),
      remove: (key) => routes.delete(key),
      settle: async (store) => {
        const packed = store as PackedStore
        try {
          packed.swap(await openPacked(await packRoutes(routes), { previous: packed.image! }))
        } catch (cause) {
          // An earlier version of a route: the image in use stays.
          if (!(cause instanceof PackedRefused && cause.reason === "older")) throw cause
        }
      },
    },
    { skip: { "refresh.newer": "it has no source: an image is given to it" } },
  )
})

describe("tableStore", () => {
  const { feed, put, remove, faults, foreign, reads } = feedSource()
  let marks = 0
  routeStoreSuite(
    it,
    {
      open: async () => {
        const store = tableStore(feed)
        await Promise.race([store.waitUntilLoaded(), new Promise((resolve) => setTimeout(resolve, 1_000))])
        return store
      },
      put,
      remove,
      settle: async (store) => {
        const key: RouteKey = `p:mark-${(marks += 1)}`
        put(key, { kind: "detached", version: 1, epoch: 1 })
        const { signal } = new AbortController()
        await vi.waitUntil(async () => (await store.get(key, { signal })).status === "hit", {
          timeout: 30_000,
          interval: 5,
        })
      },
      faults: { ...faults, foreign },
      reads,
    },
    { lookupTimeoutMs },
  )
})

describe("layeredStore with a cache, and ages of a few milliseconds", () => {
  const { source, put, remove, faults } = textSource()
  const ages = { softMs: 1, revalidateMs: 5, missMs: 1, maxMissMs: 5 }
  routeStoreSuite(
    it,
    {
      open: () => layeredStore({ authority: plainStore(source.call), caches: [new FakeCache()], ...ages }),
      put,
      remove,
      settle: () => new Promise((resolve) => setTimeout(resolve, 10)),
      faults,
      reads: source.reads,
    },
    { lookupTimeoutMs },
  )
})

describe("layeredStore that is notified of changes", () => {
  const { source, put, remove, faults } = textSource()
  const changed: { readonly key: RouteKey; readonly version: number; readonly record?: RouteRecord }[] = []
  routeStoreSuite(
    it,
    {
      open: () => layeredStore({ authority: plainStore(source.call) }),
      put: (key, record) => {
        put(key, record)
        changed.push({ key, version: record.version, record })
      },
      remove: (key, version) => {
        remove(key)
        changed.push({ key, version })
      },
      settle: (store) => (store as LayeredStore).apply(changed),
      faults,
      reads: source.reads,
    },
    { lookupTimeoutMs },
  )
})

describe("pagedStore", () => {
  const pages = memoryPages()
  const source = feedSource()
  const publisher = pagePublisher(pages, source.feed)
  const reader = faultySource((name: string) => pages.read(name, { fresh: true, signal: new AbortController().signal }))
  const published =
    <Args extends readonly unknown[]>(change: (...args: Args) => unknown) =>
    async (...args: Args) => {
      change(...args)
      await publisher.sync()
    }
  routeStoreSuite(
    it,
    {
      open: () => pagedStore({ read: reader.call }, { softMs: 0, revalidateMs: 0, timeoutMs: 1_000 }),
      put: published(source.put),
      remove: published(source.remove),
      faults: { ...reader.faults, foreign: published(source.foreign) },
      reads: reader.reads,
    },
    { lookupTimeoutMs },
  )
})

describe("polledSql", () => {
  const { put, remove, faults, texts } = textSource()
  const query = faultySource(async (_text: string) => [...texts].map(([key, record]) => ({ key, record })))
  routeStoreSuite(
    it,
    {
      open: async () => {
        const store = polledSql(query.call, {
          pollMs: 100,
          timeoutMs: 1_000,
          map: ({ key, record }) => {
            try {
              return { key: key as RouteKey, route: JSON.parse(String(record)) as RouteInput }
            } catch {
              return { key: key as RouteKey, problem: { field: "record", accepted: "JSON" } }
            }
          },
        })
        await store.load({ force: true })
        return store
      },
      put,
      remove,
      settle: (store) => (store as PolledSqlStore).load({ force: true }),
      faults: { ...query.faults, corrupt: faults.corrupt, truncated: faults.truncated, foreign: faults.foreign },
      reads: query.reads,
    },
    { lookupTimeoutMs, skip: { "refresh.newer": "look-ups read the table once a second at most" } },
  )
})
