/** The laws of route stores, for those whose routes are in a database or a key-value store. */
import { defineGrammar } from "@project-ingress/hostname"
import { afterAll, describe, it, vi } from "vitest"
import { kvStore } from "../../src/stores/cloudflare-kv.ts"
import type { KvReader } from "../../src/stores/cloudflare-kv.ts"
import { d1Routes } from "../../src/stores/d1-routes.ts"
import { d1Registry } from "../../src/stores/d1.ts"
import type { D1Binding } from "../../src/stores/d1.ts"
import { postgresRegistry } from "../../src/stores/postgres.ts"
import type { PostgresRegistryOptions } from "../../src/stores/postgres.ts"
import { encodeEntry } from "../../src/stores/published/entry.ts"
import { encodeMarker, MARKER_KEY } from "../../src/stores/published/marker.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"
import { redisStore } from "../../src/stores/redis.ts"
import { damagedEntries, faultySource, FaultyKv, routeStoreSuite } from "../../src/testing.ts"
import type { StoreFixture, StoreLawName } from "../../src/testing.ts"
import { clients, startKv } from "../published/places.ts"
import { noRedis, startRedis } from "../published/redis-server.ts"
import { startD1 } from "../registry/d1-worker.ts"
import { startPg, startPglite } from "../registry/engines.ts"
import { noPostgres } from "../registry/postgres-server.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const lookupTimeoutMs = 1_500
vi.setConfig({ testTimeout: 60_000 })

/** Entries as publishers write them. */
const published = (write: (key: string, text: string) => Promise<unknown>) => ({
  marker: () => write(MARKER_KEY, encodeMarker({ cursor: "1", at: Date.now(), comparedAt: Date.now() })),
  put: (key: RouteKey, record: RouteRecord) =>
    write(key, encodeEntry({ version: record.version, readAt: Date.now(), record })),
  remove: (key: RouteKey, version: number) => write(key, encodeEntry({ version, readAt: Date.now() })),
})

/** What a store reads of KV, made to fail. One function has no overloads. */
const faultyKv = (binding: () => KvReader) => {
  const source = faultySource(async (keys: string & string[], how: { type: "text"; cacheTtl: number }) =>
    binding().get(keys, how),
  )
  return { ...source, binding: { get: source.call } as unknown as KvReader }
}

describe("kvStore in workerd", async () => {
  const { binding, close } = await startKv()
  afterAll(close)
  const write = async (key: string, text: string) => binding.put(key, text, { metadata: {} })
  const { marker, put, remove } = published(write)
  await marker()
  const read = faultyKv(() => binding)
  const damage = damagedEntries({
    read: (key) => binding.get(key, { type: "text", cacheTtl: 30 }) as Promise<string>,
    write,
  })
  routeStoreSuite(
    it,
    {
      open: () => kvStore(read.binding),
      put,
      remove,
      faults: { ...read.faults, ...damage },
      reads: read.reads,
    },
    { lookupTimeoutMs, skip: readsEachTime("KV") },
  )
})

describe("kvStore in the model of KV, in another data centre", () => {
  const clock = { ms: 0 }
  const kv = new FaultyKv(() => clock.ms)
  const here = kv.place()
  const write = async (key: string, text: string) => {
    // One write of a key a second.
    clock.ms += 1_000
    await here.put(key, text)
  }
  const { marker, put, remove } = published(write)
  const afterDelay =
    <Args extends readonly unknown[]>(change: (...args: Args) => unknown) =>
    async (...args: Args) => {
      await change(...args)
      // A store that is opened then finds it: past the delay, and what this place has kept.
      clock.ms += 90_000
    }
  let there = kv.place()
  const read = faultyKv(() => there)
  routeStoreSuite(
    it,
    {
      open: async () => {
        await marker()
        clock.ms += 90_000
        there = kv.place()
        return kvStore(read.binding)
      },
      put: afterDelay(put),
      remove: afterDelay(remove),
      faults: {
        ...read.faults,
        ...damagedEntries({ read: (key) => kv.settled(key), write: afterDelay(write) }),
      },
      reads: read.reads,
    },
    { lookupTimeoutMs, skip: readsEachTime("KV") },
  )
})

describe.skipIf(noRedis !== "")(`redisStore${noRedis}`, async () => {
  if (noRedis !== "") return
  const server = await startRedis()
  const { command, end } = await clients.redis(server.path)
  afterAll(async () => {
    end()
    await server.close()
  })
  const write = async (key: string, text: string) => command(["HSET", "ingress:routes", key, text])
  const { marker, put, remove } = published(write)
  await marker()
  const read = faultySource((words: string[]) => command(words))
  const damage = damagedEntries({
    read: async (key) => (await command(["HGET", "ingress:routes", key])) as string,
    write,
  })
  routeStoreSuite(
    it,
    { open: () => redisStore(read.call), put, remove, faults: { ...read.faults, ...damage }, reads: read.reads },
    { lookupTimeoutMs, skip: readsEachTime("Redis") },
  )
})

/** Rows of a registry, written behind its back. */
const rowsBy = (run: (text: string, values: string[]) => Promise<readonly Readonly<Record<string, unknown>>[]>) => {
  const write = (key: string, text: string, version = 1) =>
    run(
      `insert into project_ingress_routes (key, version, record) values ($1, cast($2 as integer), $3)
        on conflict (key) do update set version = excluded.version, record = excluded.record`,
      [key, `${version}`, text],
    )
  return {
    put: (key: RouteKey, record: RouteRecord) => {
      const { version, ...rest } = record
      return write(key, JSON.stringify(rest), version)
    },
    remove: (key: RouteKey) => run("delete from project_ingress_routes where key = $1", [key]),
    damage: damagedEntries({
      read: async (key) =>
        (await run("select record from project_ingress_routes where key = $1", [key]))[0]?.["record"] as string,
      write: (key, text) => write(key, text, 1_000_000),
    }),
  }
}

const inPostgres = (driver: Pick<PostgresRegistryOptions, "query" | "transaction" | "listen">): StoreFixture => {
  const { put, remove, damage } = rowsBy(
    async (text, values) => ((await driver.query(text, values)) as { rows: never[] }).rows,
  )
  const read = faultySource((text: string, values: string[]) => driver.query(text, values))
  return {
    open: () => postgresRegistry({ grammar, ...driver, query: read.call }),
    put,
    remove,
    faults: { ...read.faults, ...damage },
    reads: read.reads,
  }
}

describe.skipIf(noPostgres !== "")(`postgresRegistry by pg${noPostgres}`, async () => {
  if (noPostgres !== "") return
  const { driver, close } = await startPg()
  afterAll(close)
  await postgresRegistry({ grammar, ...driver }).migrate()
  routeStoreSuite(it, inPostgres(driver), { lookupTimeoutMs, skip: readsEachTime("Postgres") })
})

describe("postgresRegistry by PGlite", async () => {
  const { driver, close } = await startPglite()
  afterAll(close)
  await postgresRegistry({ grammar, ...driver }).migrate()
  routeStoreSuite(it, inPostgres(driver), { lookupTimeoutMs, skip: readsEachTime("Postgres") })
})

describe("D1", async () => {
  const { binding, close } = await startD1()
  afterAll(close)
  await d1Registry(binding, { grammar }).migrate()
  const inD1 = (open: (binding: D1Binding) => ReturnType<StoreFixture["open"]>): StoreFixture => {
    const { put, remove, damage } = rowsBy(async (text, values) => {
      const [result] = await binding.batch([binding.prepare(text.replaceAll(/\$(\d)/g, "?$1")).bind(...values)])
      return result!.results as never
    })
    const read = faultySource((statements: Parameters<D1Binding["batch"]>[0]) => binding.batch(statements))
    return {
      open: () => open({ prepare: binding.prepare, batch: read.call }),
      put,
      remove,
      faults: { ...read.faults, ...damage },
      reads: read.reads,
    }
  }
  describe("d1Registry", () => {
    routeStoreSuite(
      it,
      inD1((binding) => d1Registry(binding, { grammar })),
      { lookupTimeoutMs, skip: readsEachTime("D1") },
    )
  })
  describe("d1Routes", () => {
    routeStoreSuite(
      it,
      inD1((binding) => d1Routes(binding)),
      { lookupTimeoutMs, skip: readsEachTime("D1") },
    )
  })
})

/** Deviations of stores that keep nothing. */
function readsEachTime(source: string): Partial<Record<StoreLawName, string>> {
  return {
    "version.older": `it keeps nothing: what ${source} has counts, and the publisher never writes an older version`,
    "stale.version": `it keeps nothing: what ${source} gives counts; a layered store in front of it compares versions`,
  }
}
