import { defineGrammar } from "@project-ingress/hostname"
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest"
import { memoryRegistry } from "../../src/stores/memory.ts"
import type { RouteFeed } from "../../src/stores/memory.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"
import type { RouteSourceEvent } from "../../src/stores/store-event.ts"
import { encodeMarker, MARKER_KEY } from "../../src/stores/published/marker.ts"
import { publishedStore } from "../../src/stores/published/published-store.ts"
import { places } from "./places.ts"
import type { Space } from "./places.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const machine = { id: "mach_1", type: "fake", externalId: "x", metadata: {} }
const look = { signal: new AbortController().signal }
const record = (version: number, more: object = {}): RouteRecord => ({
  kind: "machine",
  version,
  epoch: 1,
  machine,
  ...more,
})

/** A feed whose snapshot is these routes. */
const feedOf = (routes: Iterable<readonly [RouteKey, RouteRecord]>, cursor = "a:1"): RouteFeed => ({
  snapshot: async () => ({
    cursor,
    routes: (async function* () {
      yield* routes
    })(),
  }),
  changes: async (since) => ({ status: "changes", changes: [], cursor: since, more: false }),
})
const manyRoutes = (count: number, version = 1): [RouteKey, RouteRecord][] =>
  Array.from({ length: count }, (_, at) => [`p:s${at}`, record(version)])

for (const { name, missing, start } of places)
  describe.skipIf(missing !== "")(`in ${name}${missing}`, () => {
    let place: Awaited<ReturnType<typeof start>>
    beforeAll(async () => void (place = await start()))
    afterAll(() => place?.close())

    const setup = async () => {
      const space = place.space()
      const registry = memoryRegistry({ grammar, keptChanges: 20 })
      await registry.putMachine(machine)
      await registry.create({ name: "misha", machine: "mach_1" })
      /** A round of a publisher that has just begun, as by a Worker's schedule. */
      const publish = () => space.publisher(registry).sync()
      const statusOf = async (key: RouteKey, of: Space = space) => {
        const { status } = await of.store().get(key)
        return status
      }
      const versionOf = async (key: RouteKey) => {
        const lookup = await space.store().get(key)
        return lookup.status === "hit" ? lookup.record.version : lookup.status
      }
      return { space, registry, publish, statusOf, versionOf }
    }

    describe("a publisher", () => {
      it("writes every route as the registry has it", async () => {
        const { space, registry, publish } = await setup()
        expect(await publish()).toEqual({ round: "all", written: 2, more: false })
        for (const key of ["p:misha", "m:mach_1"] as const)
          expect(await space.store().get(key)).toMatchObject({
            status: "hit",
            record: (registry.get(key) as { record?: RouteRecord }).record,
          })
      })

      it("writes only what has changed since", async () => {
        const { registry, publish, statusOf, versionOf } = await setup()
        await publish()
        await registry.create({ name: "anna" })
        await registry.transfer("anna", "org_1")
        expect(await publish()).toEqual({ round: "changes", written: 1, more: false })
        expect(await publish()).toEqual({ round: "changes", written: 0, more: false })
        expect(await statusOf("p:anna")).toBe("hit")
        expect(await versionOf("p:anna")).toBe((registry.get("p:anna") as { record?: RouteRecord }).record?.version)
      })

      it("removes what leads nowhere any more, and what is made again under the name leads there", async () => {
        const { registry, publish, statusOf } = await setup()
        await publish()
        await registry.detach("misha")
        await registry.removeMachine("mach_1")
        await publish()
        expect(await statusOf("m:mach_1")).toBe("miss")
        await registry.putMachine(machine)
        await publish()
        expect(await statusOf("m:mach_1")).toBe("hit")
      })

      it("reads all routes again after a gap in the feed", async () => {
        const { registry, publish, versionOf } = await setup()
        await publish()
        for (let at = 0; at < 20; at++) {
          await registry.detach("misha")
          await registry.attach("misha", "mach_1")
        }
        expect(await publish()).toMatchObject({ round: "all" })
        expect(await versionOf("p:misha")).toBe((registry.get("p:misha") as { record?: RouteRecord }).record?.version)
      })

      it("goes on where one that died after a commit and before its writes has left off", async () => {
        const { space, registry, publish, statusOf } = await setup()
        await publish()
        await registry.create({ name: "anna" })
        const dies: RouteFeed = {
          snapshot: (options) => registry.snapshot(options),
          changes: async (since, options) => {
            await registry.changes(since, options)
            throw new Error("killed")
          },
        }
        await expect(space.publisher(dies).sync()).rejects.toThrow("killed")
        expect(await statusOf("p:anna")).not.toBe("hit")
        await publish()
        expect(await statusOf("p:anna")).toBe("hit")
      })

      it("removes routes that were deleted while nobody followed the feed", async () => {
        const { space, statusOf } = await setup()
        await space.publisher(feedOf(manyRoutes(20))).publishAll()
        expect(await space.publisher(feedOf(manyRoutes(18))).publishAll()).toMatchObject({ written: 2 })
        expect(await statusOf("p:s17")).toBe("hit")
        expect(await statusOf("p:s18")).toBe("miss")
        expect(await space.publisher(feedOf(manyRoutes(18))).publishAll()).toMatchObject({ written: 0 })
      })

      it("removes nothing when 15 % are gone, unless forced", async () => {
        const { space, statusOf } = await setup()
        const events: RouteSourceEvent[] = []
        const few = feedOf(manyRoutes(16))
        await space.publisher(feedOf(manyRoutes(20))).publishAll()
        const publisher = space.publisher(few, { onEvent: (event) => events.push(event) })
        await expect(publisher.publishAll()).rejects.toMatchObject({ _tag: "PublishRefused", reason: "smaller" })
        expect(await statusOf("p:s19")).toBe("hit")
        expect(events).toEqual([
          expect.objectContaining({ state: "refused", reason: expect.stringContaining("16 routes, and 20") }),
        ])
        await space.publisher(few).publishAll({ force: true })
        expect(await statusOf("p:s19")).toBe("miss")
        await expect(space.publisher(feedOf([])).publishAll()).rejects.toMatchObject({ reason: "smaller" })
      })

      it("never replaces a version by an earlier one, unless forced", async () => {
        const { space, versionOf } = await setup()
        await space.publisher(feedOf(manyRoutes(3, 7))).publishAll()
        const earlier = feedOf(manyRoutes(3, 6))
        await expect(space.publisher(earlier).publishAll()).rejects.toMatchObject({ reason: "older" })
        expect(await versionOf("p:s0")).toBe(7)
        await space.publisher(earlier).publishAll({ force: true })
        expect(await versionOf("p:s0")).toBe(6)
      })

      it("applies changes although a comparison that was due is refused", async () => {
        const { space, versionOf } = await setup()
        await space.publisher(feedOf(manyRoutes(20))).publishAll()
        const change = { key: "p:s3", version: 9, record: record(9) } as const
        const few: RouteFeed = {
          ...feedOf(manyRoutes(2)),
          changes: async () => ({ status: "changes", changes: [change], cursor: "a:2", more: false }),
        }
        const marker = JSON.parse((await space.read("~published"))!)
        await space.put("~published", JSON.stringify({ ...marker, comparedAt: 0 }))
        expect(await space.publisher(few).sync()).toMatchObject({ round: "changes", written: 1 })
        expect(await versionOf("p:s3")).toBe(9)
        expect(JSON.parse((await space.read("~published"))!).comparedAt).toBeGreaterThan(0)
      })

      it("writes a key once for many changes, and duplicates and reordered changes end at the highest version", async () => {
        const { space, versionOf } = await setup()
        await space.publisher(feedOf([])).publishAll()
        const changes = [6, 5, 6, 4].map((version) => ({ key: "p:a", version, record: record(version) }) as const)
        const feed: RouteFeed = {
          ...feedOf([]),
          changes: async () => ({ status: "changes", changes, cursor: "a:5", more: false }),
        }
        expect(await space.publisher(feed).sync()).toMatchObject({ written: 1 })
        expect(await versionOf("p:a")).toBe(6)
      })

      it("stores a record that nobody can use as it is, reports it, and leaves out keys that no hostname leads to", async () => {
        const { space, versionOf } = await setup()
        const found: string[] = []
        const cyclic: Record<string, unknown> = { kind: "machine", version: 2 }
        cyclic["self"] = cyclic
        const routes = [
          ["p:good", record(3)],
          ["p:wrong", { kind: "machine", version: 3, epoch: 0, machine: 5 }],
          ["p:cyclic", cyclic],
          [`p:${"x".repeat(60_000)}`, record(1)],
          ["P:UPPER", record(1)],
        ] as unknown as [RouteKey, RouteRecord][]
        await space
          .publisher(feedOf(routes), { onInvalid: (key, { field }) => found.push(`${key.slice(0, 9)} ${field}`) })
          .sync()
        expect(found).toEqual([
          "p:wrong machine",
          expect.stringMatching(/^p:cyclic self/),
          "p:xxxxxxx key",
          "P:UPPER key",
        ])
        expect(await versionOf("p:good")).toBe(3)
        expect(await space.store().get("p:wrong")).toMatchObject({ status: "hit", record: { machine: 5 } })
        expect(await space.store().get("p:cyclic")).toMatchObject({ status: "hit", record: null })
      })

      it("leaves out changes that do not say what they are about, reports them, and writes the others", async () => {
        const { space, versionOf } = await setup()
        const found: string[] = []
        const changes = [
          null,
          { key: "p:good", version: 4, record: record(4) },
          { key: "p:other" },
          { version: 5 },
        ] as never
        const feed: RouteFeed = {
          ...feedOf([["p:good", record(3)]]),
          changes: async (since) => ({ status: "changes", changes, cursor: `${since}1`, more: false }),
        }
        const publisher = space.publisher(feed, { onInvalid: (key, { field }) => found.push(`${key} ${field}`) })
        await publisher.sync()
        await publisher.sync()
        expect(found).toEqual(["undefined key", "p:other version", "undefined key"])
        expect(await versionOf("p:good")).toBe(4)
      })

      it("carries values of 60 000 characters of any kind", async () => {
        const { space } = await setup()
        const metadata = { text: '\u2028é"\\'.repeat(15_000) }
        await space.publisher(feedOf([["p:long", record(1, { metadata })]])).sync()
        expect(await space.store().get("p:long")).toMatchObject({ status: "hit", record: { metadata } })
      })

      it("has one round at a time, refuses options that it does not have, and what is no feed", async () => {
        const { space, registry } = await setup()
        const publisher = space.publisher(registry)
        const first = publisher.sync()
        await expect(publisher.sync()).rejects.toMatchObject({ _tag: "PublishFailed" })
        await first
        expect(() => space.publisher(registry, { compareMS: 1 } as never)).toThrow(/compareMS is not an option/)
        expect(() => space.publisher({} as never)).toThrow(/the feed must have snapshot and changes/)
        await expect(publisher.sync({ wait: 1 } as never)).rejects.toThrow(/wait is not an option/)
      })

      it("stops comparing at maxRoutes", async () => {
        const { space } = await setup()
        await expect(space.publisher(feedOf(manyRoutes(4)), { maxRoutes: 3 }).sync()).rejects.toThrow(
          /more than 3 routes/,
        )
      })

      it("runs until it is aborted, and writes each change when it is made", async () => {
        const { space, registry, statusOf } = await setup()
        const events: string[] = []
        const stop = new AbortController()
        const loaded = Promise.withResolvers<void>()
        const publisher = space.publisher(registry, {
          onEvent: ({ state }) => {
            events.push(state)
            if (state === "loaded") loaded.resolve()
          },
        })
        const running = publisher.run({ signal: stop.signal })
        await loaded.promise
        await registry.create({ name: "anna" })
        await expect.poll(() => statusOf("p:anna"), { timeout: 10_000 }).toBe("hit")
        stop.abort()
        await running
        expect(events).toEqual(["loaded"])
      })
    })

    describe("the store", () => {
      it("says unknown of a key that is absent until all routes were published, then miss", async () => {
        const { publish, statusOf } = await setup()
        expect(await statusOf("p:nobody")).toBe("unknown")
        await publish()
        expect(await statusOf("p:nobody")).toBe("miss")
      })

      it("says unknown of a key that is absent when the publisher has given no sign for long; what is there is served", async () => {
        const { space, publish } = await setup()
        await publish()
        const marker = JSON.parse((await space.read("~published"))!)
        await space.put("~published", JSON.stringify({ ...marker, at: Date.now() - 60_000 }))
        const store = space.store({ maxMissAgeMs: 59_000 })
        expect(await store.get("p:nobody")).toMatchObject({ status: "unknown", retryAfterMs: 5_000 })
        expect(await store.get("p:misha")).toMatchObject({ status: "hit" })
        expect(await space.store({ maxMissAgeMs: 120_000 }).get("p:nobody")).toMatchObject({ status: "miss" })
      })

      it("finds the first of several keys, and stops at one that it cannot read", async () => {
        const { space, publish } = await setup()
        await publish()
        const first = (...keys: RouteKey[]) => space.store().getFirst(keys)
        expect(await first("p:a", "p:misha", "m:mach_1")).toMatchObject({ status: "hit", key: "p:misha" })
        expect(await first("p:a", "p:b")).toMatchObject({ status: "miss" })
        await space.put("p:b", "{")
        expect(await first("p:a", "p:b", "p:misha")).toMatchObject({ status: "unknown", key: "p:b" })
        expect(await first("p:misha", "p:b")).toMatchObject({ status: "hit", key: "p:misha" })
      })

      const whole = JSON.stringify({ v: 1, version: 4, readAt: 1, record: record(4) })
      it.each([
        ["is not JSON", "}", "the entry is not JSON"],
        ["is truncated", whole.slice(0, -7), "the entry is not JSON"],
        ["is empty", "", "the entry is not JSON"],
        ["is no object", "[1]", "the entry is no object"],
        ["has no format", `{"version":1,"readAt":1}`, "the entry has no format"],
        [
          "has a later format",
          whole.replace(`"v":1`, `"v":2`),
          "the entry has format 2, and this version reads up to 1",
        ],
        ["has no version", `{"v":1,"readAt":1}`, "the entry has no version"],
        ["has no time", `{"v":1,"version":1}`, "the entry has no time"],
        ["is 60 000 characters of nothing", "x".repeat(60_000), "the entry is not JSON"],
      ])("fails only the key whose entry %s", async (_, text, sentence) => {
        const { space, publish, statusOf } = await setup()
        await publish()
        await space.put("p:broken", text)
        const lookup = await space.store().get("p:broken")
        expect(lookup).toMatchObject({ status: "unknown", cause: { name: "LookupFailed", message: sentence } })
        expect(await statusOf("p:misha")).toBe("hit")
        await space.putInCache("p:broken", text)
        expect(await space.cache().read("p:broken", look)).toBeUndefined()
      })

      it("leaves out fields of an entry that it does not know", async () => {
        const { space } = await setup()
        await space.put("p:a", whole.replace(`"v":1`, `"v":1,"later":{"x":1}`))
        expect(await space.store().get("p:a")).toMatchObject({ status: "hit", record: record(4) })
      })
    })

    describe("the cache", () => {
      const entry = { readAt: 1_700_000_000_000, record: record(5) }
      const ttl = { ...look, ttlMs: 120_000 }

      it("gives an entry as it was written, misses as well", async () => {
        const { space } = await setup()
        const cache = space.cache()
        expect(await cache.read("p:a", look)).toBeUndefined()
        await cache.write("p:a", entry, ttl)
        await cache.write("p:b", { readAt: 5 }, ttl)
        expect(await cache.read("p:a", look)).toEqual(entry)
        expect(await cache.read("p:b", look)).toEqual({ readAt: 5 })
      })
    })
  })

it("the last sign of a publisher whose clock was ahead is as old as it has been known", async () => {
  vi.useFakeTimers({ toFake: ["Date", "performance"] })
  onTestFinished(() => void vi.useRealTimers())
  const marker = { cursor: "1", at: Date.now() + 3_600_000, comparedAt: Date.now() }
  const read = async ([key]: readonly string[]) => [key === MARKER_KEY ? encodeMarker(marker) : null]
  const store = publishedStore({ layer: "kv", read, maxMissAgeMs: 15 * 60_000 })
  for (let minute = 0; minute <= 15; minute++) {
    expect(await store.get("p:nobody")).toMatchObject({ status: "miss" })
    vi.advanceTimersByTime(60_000)
  }
  expect(await store.get("p:nobody")).toMatchObject({ status: "unknown" })
  // It gives signs again, by the same clock.
  marker.at += 1
  vi.advanceTimersByTime(31_000)
  expect(await store.get("p:nobody")).toMatchObject({ status: "miss" })
})
