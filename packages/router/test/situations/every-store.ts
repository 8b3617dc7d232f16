/** Every store of routes, filled with some of which one may be bad. */
import type { RouteKey, RouteRecord, RouteStore } from "../../src/router.ts"
import { kvPublisher, kvStore } from "../../src/stores/cloudflare-kv.ts"
import { d1Registry } from "../../src/stores/d1.ts"
import { d1Routes } from "../../src/stores/d1-routes.ts"
import { layeredStore } from "../../src/stores/layered.ts"
import { openPacked, packedStore, packRoutes } from "../../src/stores/packed.ts"
import { pagedStore, pagePublisher } from "../../src/stores/paged.ts"
import { polledSql } from "../../src/stores/polled-sql.ts"
import type { MappedRoute } from "../../src/stores/polled-sql.ts"
import { postgresRegistry } from "../../src/stores/postgres.ts"
import { redisPublisher, redisStore } from "../../src/stores/redis.ts"
import { tableStore } from "../../src/stores/table.ts"
import { hostnames } from "../fakes.ts"
import { FakeAuthority, FakeCache } from "../layered/fixtures.ts"
import { memoryPages } from "../paged/pages-in-memory.ts"
import { clients, startKv } from "../published/places.ts"
import { noRedis, startRedis } from "../published/redis-server.ts"
import { startD1 } from "../registry/d1-worker.ts"
import { startPg } from "../registry/engines.ts"
import { noPostgres } from "../registry/postgres-server.ts"
import { fakeFeed } from "../table/fake-feed.ts"

/** A route that somebody wrote, who may not have finished. */
export interface Written {
  readonly key: RouteKey
  readonly record: unknown
  /** As a place that keeps text has it. Default: the record as JSON. */
  readonly text?: string
}

/** A kind of store that is running. */
export interface StoreKind {
  /** A store of these routes, in place of those before. */
  readonly fill: (routes: readonly Written[]) => Promise<RouteStore>
  readonly close?: () => Promise<void>
}

/** A kind of store; `missing` ends the name of a group that cannot run here. */
export interface StoreKindOf {
  readonly name: string
  readonly missing?: string
  readonly start: () => Promise<StoreKind>
}

const textOf = ({ record, text = JSON.stringify(record) }: Written): string => text
const entriesOf = (routes: readonly Written[]) => routes.map(({ key, record }) => [key, record as RouteRecord] as const)

const feedOf = (routes: readonly Written[]) => {
  const feed = fakeFeed()
  feed.editSnapshot(() => entriesOf(routes))
  return feed
}

/** A store that starts with nothing else. */
const alone = (name: string, fill: StoreKind["fill"]): StoreKindOf => ({ name, start: async () => ({ fill }) })

export const storeKinds: readonly StoreKindOf[] = [
  alone("a table", async (routes) => {
    const store = tableStore(feedOf(routes))
    await store.waitUntilLoaded()
    return store
  }),
  alone("a packed image", async (routes) => packedStore(await openPacked(await packRoutes(entriesOf(routes))))),
  alone("pages", async (routes) => {
    const pages = memoryPages()
    await pagePublisher(pages, feedOf(routes)).sync()
    return pagedStore(pages)
  }),
  alone("layers over an authority", async (routes) => {
    const authority = new FakeAuthority()
    for (const [key, record] of entriesOf(routes)) authority.routes.set(key, record)
    return layeredStore({ authority })
  }),
  alone("layers over a cache whose authority is down", async (routes) => {
    const cache = new FakeCache()
    for (const route of routes) {
      cache.entries.set(route.key, `{"readAt":${Date.now()},"record":${textOf(route)}}`)
    }
    const authority = new FakeAuthority()
    authority.behaviour = "rejects"
    return layeredStore({ authority, caches: [cache] })
  }),
  alone("a table of SQL that is polled", async (routes) =>
    polledSql(async () => routes, {
      sql: "select * from routes",
      map: ({ key, record }) => ({ key, route: record }) as MappedRoute,
    }),
  ),
  {
    name: "Workers KV",
    start: async () => {
      const { binding, close } = await startKv()
      let spaces = 0
      const fill: StoreKind["fill"] = async (routes) => {
        const prefix = `${(spaces += 1)}/`
        await kvPublisher(binding, feedOf(routes), { prefix }).sync()
        return kvStore(binding, { prefix })
      }
      return { fill, close }
    },
  },
  {
    name: "Redis",
    missing: noRedis,
    start: async () => {
      const server = await startRedis()
      const { command, end } = await clients.ioredis(server.path)
      let spaces = 0
      const fill: StoreKind["fill"] = async (routes) => {
        const key = `${(spaces += 1)}`
        await redisPublisher(command, feedOf(routes), { key }).sync()
        return redisStore(command, { key })
      }
      const close = async () => {
        end()
        await server.close()
      }
      return { fill, close }
    },
  },
  {
    name: "Postgres",
    missing: noPostgres,
    start: async () => {
      const { driver, pool, empty, close } = await startPg()
      const registry = postgresRegistry({ grammar: hostnames, ...driver })
      await registry.migrate()
      const fill: StoreKind["fill"] = async (routes) => {
        await empty()
        for (const route of routes) {
          const insert = "insert into project_ingress_routes (key, version, record) values ($1, 1, $2)"
          await pool.query(insert, [route.key, textOf(route)])
        }
        return registry
      }
      return { fill, close }
    },
  },
  {
    name: "D1",
    start: async () => {
      const { binding, close } = await startD1()
      await d1Registry(binding, { grammar: hostnames }).migrate()
      const fill: StoreKind["fill"] = async (routes) => {
        const insert = binding.prepare("insert into project_ingress_routes (key, version, record) values (?, 1, ?)")
        await binding.batch([
          binding.prepare("delete from project_ingress_routes"),
          ...routes.map((route) => insert.bind(route.key, textOf(route))),
        ])
        return d1Routes(binding)
      }
      return { fill, close }
    },
  },
]
