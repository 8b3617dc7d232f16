import { defineGrammar } from "@project-ingress/hostname"
import { createClient } from "redis"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { memoryRegistry } from "../../src/stores/memory.ts"
import type { RouteFeed } from "../../src/stores/memory.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"
import { redisCache, redisPublisher, redisStore } from "../../src/stores/redis.ts"
import type { RedisCommand } from "../../src/stores/redis.ts"
import { clients } from "./places.ts"
import { noRedis, startRedis } from "./redis-server.ts"
import type { RedisServer } from "./redis-server.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const look = { signal: new AbortController().signal }
const record = (version: number): RouteRecord => ({ kind: "detached", version, epoch: 1 })

const feedOf = (...changes: readonly { readonly key: RouteKey; readonly version: number }[]): RouteFeed => ({
  snapshot: async () => ({ cursor: "a:1", routes: (async function* () {})() }),
  changes: async (since) => ({
    status: "changes",
    changes: since === "a:1" ? changes.map((change) => ({ ...change, record: record(change.version) })) : [],
    cursor: "a:2",
    more: false,
  }),
})

describe.skipIf(noRedis !== "")(`Redis${noRedis}`, () => {
  let server: RedisServer
  let command: RedisCommand
  let other: RedisCommand
  let ends: readonly (() => void)[]
  beforeAll(async () => {
    server = await startRedis()
    const both = await Promise.all([clients.redis(server.path), clients.ioredis(server.path)])
    ;[command, other] = both.map((each) => each.command) as [RedisCommand, RedisCommand]
    ends = both.map(({ end }) => end)
  })
  afterAll(async () => {
    for (const end of ends ?? []) end()
    await server?.close()
  })
  let keys = 0
  const setup = async () => {
    const key = `routes-${(keys += 1)}`
    const registry = memoryRegistry({ grammar })
    await registry.create({ name: "misha" })
    return { key, registry, store: redisStore(command, { key }) }
  }

  describe("that was flushed", () => {
    it("knows nothing, and the next round of the same publisher writes everything again", async () => {
      const { key, registry, store } = await setup()
      const publisher = redisPublisher(command, registry, { key })
      await publisher.sync()
      expect(await publisher.sync()).toMatchObject({ round: "changes" })
      await command(["DEL", key])
      expect(await redisStore(command, { key }).getFirst(["p:misha", "p:anna"])).toMatchObject({ status: "unknown" })
      expect(await publisher.sync()).toMatchObject({ round: "all", written: 1 })
      expect(await store.get("p:misha")).toMatchObject({ status: "hit" })
    })

    it("while all routes were written is not said to have them all", async () => {
      const { key, registry, store } = await setup()
      const flushes: RouteFeed = {
        changes: (since, options) => registry.changes(since, options),
        snapshot: async (options) => {
          const snapshot = await registry.snapshot(options)
          await command(["DEL", key])
          return snapshot
        },
      }
      await expect(redisPublisher(command, flushes, { key }).sync()).rejects.toMatchObject({ _tag: "PublishFailed" })
      expect(await store.get("p:anna")).toMatchObject({ status: "unknown" })
    })

    it("while changes were written is not said to have more than those", async () => {
      const { key, store } = await setup()
      await redisPublisher(command, feedOf(), { key }).publishAll()
      const feed = feedOf({ key: "p:a", version: 3 })
      const flushes: RouteFeed = {
        ...feed,
        changes: async (since, options) => {
          await command(["DEL", key])
          return feed.changes(since, options)
        },
      }
      await expect(redisPublisher(command, flushes, { key }).sync()).rejects.toMatchObject({ _tag: "PublishFailed" })
      expect(await store.getFirst(["p:a"])).toMatchObject({ status: "hit" })
      expect(await store.get("p:b")).toMatchObject({ status: "unknown" })
    })
  })

  describe("with several publishers", () => {
    it("ends at the highest version, in whatever order and by whichever client they write", async () => {
      const { key, store } = await setup()
      await redisPublisher(command, feedOf(), { key }).publishAll()
      const versions = Array.from({ length: 40 }, (_, at) => ((at * 17) % 40) + 1)
      const results = await Promise.allSettled(
        versions.map(async (version, at) => {
          // Whatever the cursor is: each writes its version.
          const feed: RouteFeed = {
            ...feedOf(),
            changes: () => feedOf({ key: "p:a", version }).changes("a:1"),
          }
          // All but one find another marker than the one they began with.
          await redisPublisher(at % 2 === 0 ? command : other, feed, { key }).sync()
        }),
      )
      const reasons = results.flatMap((each) => (each.status === "rejected" ? [each.reason._tag] : []))
      expect(new Set(reasons)).toEqual(new Set(["PublishFailed"]))
      expect(await store.get("p:a")).toMatchObject({ record: { version: 40 } })
    })

    it("does not let one that is behind bring a removed route back", async () => {
      const { key, registry, store } = await setup()
      await registry.putMachine({ id: "mach_1", type: "fake", externalId: "x", metadata: {} })
      await redisPublisher(command, registry, { key }).sync()
      const { version } = ((await store.get("m:mach_1")) as { record: RouteRecord }).record
      await registry.removeMachine("mach_1")
      await redisPublisher(command, registry, { key }).sync()
      const marker = JSON.parse(String(await command(["HGET", key, "~published"])))
      await command(["HSET", key, "~published", JSON.stringify({ ...marker, cursor: "a:1" })])
      await redisPublisher(other, feedOf({ key: "m:mach_1", version }), { key }).sync()
      expect(await store.get("m:mach_1")).toEqual({ status: "miss", layer: "redis" })
    })
  })

  it("forgets tombstones past their time when routes are compared", async () => {
    const { key } = await setup()
    const tombstone = (readAt: number) => JSON.stringify({ v: 1, version: 5, readAt })
    await command(["HSET", key, "p:old", tombstone(Date.now() - 60_001), "p:new", tombstone(Date.now())])
    await redisPublisher(command, feedOf(), { key, tombstoneMs: 60_000 }).publishAll()
    expect(await command(["HKEYS", key])).toEqual(expect.arrayContaining(["p:new", "~published"]))
    expect(await command(["HEXISTS", key, "p:old"])).toBe(0)
  })

  it("compares more routes than one reply has, once each", async () => {
    const { key } = await setup()
    const routes = Array.from({ length: 5_000 }, (_, at) => [`p:s${at}`, record(1)] as const)
    const feed: RouteFeed = {
      ...feedOf(),
      snapshot: async () => ({
        cursor: "a:1",
        routes: (async function* () {
          yield* routes
        })(),
      }),
    }
    expect(await redisPublisher(command, feed, { key }).publishAll()).toMatchObject({ written: 5_000 })
    await command(["HSET", key, "p:s7", "damaged"])
    expect(await redisPublisher(command, feed, { key }).publishAll()).toMatchObject({ written: 1 })
    expect(await redisStore(command, { key }).get("p:s7")).toMatchObject({ status: "hit" })
  })

  it("counts a route once that Redis lists twice, as it may", async () => {
    const { key } = await setup()
    const twice: RedisCommand = async (words) => {
      const reply = await command(words)
      if (words[0] !== "HSCAN") return reply
      const [cursor, fields] = reply as [string, string[]]
      return [cursor, [...fields, ...fields]]
    }
    const feed = (count: number): RouteFeed => ({
      ...feedOf(),
      snapshot: async () => ({
        cursor: "a:1",
        routes: (async function* () {
          for (let at = 0; at < count; at++) yield [`p:s${at}`, record(1)] as const
        })(),
      }),
    })
    await redisPublisher(twice, feed(20), { key }).publishAll()
    expect(await redisPublisher(twice, feed(18), { key }).publishAll()).toMatchObject({ written: 2 })
  })

  describe("as a cache", () => {
    const entry = { readAt: 1_700_000_000_000, record: record(5) }
    const ttl = { ...look, ttlMs: 120_000 }
    const cacheOf = () => {
      const prefix = `cache-${(keys += 1)}:`
      return { prefix, cache: redisCache(command, { prefix }) }
    }

    it("keeps the higher version, and of one version the later reading", async () => {
      const { cache } = cacheOf()
      await cache.write("p:a", entry, ttl)
      await cache.write("p:a", { readAt: entry.readAt + 9, record: record(4) }, ttl)
      expect(await cache.read("p:a", look)).toEqual(entry)
      await cache.write("p:a", { ...entry, readAt: entry.readAt + 1 }, ttl)
      expect(await cache.read("p:a", look)).toEqual({ ...entry, readAt: entry.readAt + 1 })
      await cache.write("p:a", { readAt: entry.readAt }, ttl)
      expect(await cache.read("p:a", look)).toMatchObject({ record: record(5) })
      await cache.write("p:a", { readAt: entry.readAt + 2 }, ttl)
      expect(await cache.read("p:a", look)).toEqual({ readAt: entry.readAt + 2 })
      await cache.write("p:a", { readAt: entry.readAt + 3, record: record(6) }, ttl)
      expect(await cache.read("p:a", look)).toMatchObject({ record: record(6) })
    })

    it("drops an entry when its time is over", async () => {
      const { prefix, cache } = cacheOf()
      await cache.write("p:a", entry, ttl)
      const left = Number(await command(["PTTL", `${prefix}p:a`]))
      expect(left).toBeGreaterThan(60_000)
      expect(left).toBeLessThanOrEqual(120_000)
    })

    it("replaces what is damaged", async () => {
      const { prefix, cache } = cacheOf()
      await command(["SET", `${prefix}p:a`, `{"v":1,"version":9`])
      await cache.write("p:a", entry, ttl)
      expect(await cache.read("p:a", look)).toEqual(entry)
    })
  })

  describe("that fails", () => {
    it("with an error reply makes look-ups unknown, and a round fail", async () => {
      const { key, registry, store } = await setup()
      await command(["SET", key, "no hash"])
      expect(await store.get("p:misha")).toMatchObject({ status: "unknown", layer: "redis" })
      await expect(redisPublisher(command, registry, { key }).sync()).rejects.toThrow(/WRONGTYPE/)
    })

    it("by ending makes look-ups unknown", async () => {
      const own = await startRedis()
      const client = createClient({ socket: { path: own.path, tls: false }, disableOfflineQueue: true })
      client.on("error", () => undefined)
      await client.connect()
      const store = redisStore((words) => client.sendCommand(words))
      expect(await store.get("p:a")).toMatchObject({ status: "unknown", cause: { name: "LookupFailed" } })
      await own.close()
      expect(await store.get("p:a")).toMatchObject({ status: "unknown", cause: expect.any(Error) })
      client.destroy()
    })

    it.each([
      ["an object around the reply", { result: null }],
      ["a string", "OK"],
      ["bytes", [Buffer.from("{}")]],
      ["nothing", undefined],
    ])("because the function returns %s makes look-ups unknown and no miss", async (_, reply) => {
      const store = redisStore(async () => reply)
      expect(await store.get("p:a")).toMatchObject({
        status: "unknown",
        cause: { message: expect.stringContaining("the command function must return the reply of Redis") },
      })
    })
  })

  it("options are checked when they are given", () => {
    const registry = memoryRegistry({ grammar })
    expect(() => redisStore("redis://" as never)).toThrow("redisStore: command must be a function")
    expect(() => redisCache(command, { prefix: "" })).toThrow("redisCache: prefix must be a non-empty string")
    expect(() => redisPublisher(command, registry, { keys: "" } as never)).toThrow(
      "keys is not an option (did you mean key?)",
    )
  })
})
