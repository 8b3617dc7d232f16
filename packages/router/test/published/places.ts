/** Every place where routes can be published. Each test has a prefix of its own there. */
import { Redis } from "ioredis"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { createClient } from "redis"
import type { RouteCache } from "../../src/stores/route-cache.ts"
import type { RouteFeed } from "../../src/stores/route-feed.ts"
import { kvCache, kvPublisher, kvStore } from "../../src/stores/cloudflare-kv.ts"
import type { KvBinding, PublishedStore, PublisherOptions, RoutePublisher } from "../../src/stores/cloudflare-kv.ts"
import { redisCache, redisPublisher, redisStore } from "../../src/stores/redis.ts"
import type { RedisCommand } from "../../src/stores/redis.ts"
import { noRedis, startRedis } from "./redis-server.ts"

/** A part of a place that one test has for itself. */
export interface Space {
  readonly store: (options?: { readonly maxMissAgeMs?: number }) => PublishedStore
  readonly publisher: (feed: RouteFeed, options?: PublisherOptions) => RoutePublisher
  readonly cache: () => RouteCache
  /** The text under a key, as others would see and change it. */
  readonly read: (key: string) => Promise<string | null>
  readonly put: (key: string, text: string) => Promise<unknown>
  /** The same for keys of the cache. */
  readonly putInCache: (key: string, text: string) => Promise<unknown>
}

export interface Place {
  readonly name: string
  /** Ends the name of a group that cannot run here. */
  readonly missing: string
  readonly start: () => Promise<{ readonly space: () => Space; readonly close: () => Promise<void> }>
}

/** A KV namespace in workerd. */
export const startKv = async (): Promise<{ readonly binding: KvBinding; readonly close: () => Promise<void> }> => {
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      modules: true,
      script: "export default { fetch: () => new Response() }",
      compatibilityDate: "2026-11-01",
      kvNamespaces: ["ROUTES"],
    }),
  )
  return { binding: (await worker.getKVNamespace("ROUTES")) as unknown as KvBinding, close: () => worker.dispose() }
}

/** The clients that most use, as the documentation of `RedisCommand` says. */
export const clients: Readonly<
  Record<"redis" | "ioredis", (path: string) => Promise<{ readonly command: RedisCommand; readonly end: () => void }>>
> = {
  redis: async (path) => {
    const client = createClient({ socket: { path, tls: false } })
    client.on("error", () => undefined)
    await client.connect()
    return { command: (command) => client.sendCommand(command), end: () => client.destroy() }
  },
  ioredis: async (path) => {
    const client = new Redis(path)
    client.on("error", () => undefined)
    return { command: ([name, ...rest]) => client.call(name!, ...rest), end: () => client.disconnect() }
  },
}

let spaces = 0

export const places: readonly Place[] = [
  {
    name: "Workers KV",
    missing: "",
    start: async () => {
      const { binding, close } = await startKv()
      const space = (): Space => {
        const prefix = `${(spaces += 1)}/`
        const cachePrefix = `cache/${prefix}`
        return {
          store: (options) => kvStore(binding, { prefix, ...options }),
          publisher: (feed, options) => kvPublisher(binding, feed, { prefix, ...options }),
          cache: () => kvCache(binding, { prefix: cachePrefix }),
          read: async (key) => binding.get(prefix + key, { type: "text", cacheTtl: 30 }),
          put: async (key, text) => binding.put(prefix + key, text, { metadata: {} }),
          putInCache: async (key, text) => binding.put(cachePrefix + key, text, { metadata: {} }),
        }
      }
      return { space, close }
    },
  },
  ...(["redis", "ioredis"] as const).map((client): Place => ({
    name: `Redis by ${client}`,
    missing: noRedis,
    start: async () => {
      const server = await startRedis()
      const { command, end } = await clients[client](server.path)
      const space = (): Space => {
        const key = `${(spaces += 1)}`
        const prefix = `cache:${key}:`
        return {
          store: (options) => redisStore(command, { key, ...options }),
          publisher: (feed, options) => redisPublisher(command, feed, { key, ...options }),
          cache: () => redisCache(command, { prefix }),
          read: async (field) => (await command(["HGET", key, field])) as string | null,
          put: async (field, text) => command(["HSET", key, field, text]),
          putInCache: async (field, text) => command(["SET", prefix + field, text]),
        }
      }
      const close = async () => {
        end()
        await server.close()
      }
      return { space, close }
    },
  })),
]
