import { accept, checkOptions } from "@project-ingress/forward/internal"
import { checkFeed } from "./guarded-feed.ts"
import { cachedRouteOf, cachedText, decodeEntry, versionOf } from "./published/entry.ts"
import { MARKER_KEY } from "./published/marker.ts"
import { PublishFailed, PublishRefused } from "./published/publish-errors.ts"
import type { PublishTarget, StoredEntry } from "./published/publish-target.ts"
import { publishedStore } from "./published/published-store.ts"
import type { PublishedStore } from "./published/published-store.ts"
import { makePublisher, publisherChecks } from "./published/publisher.ts"
import type { PublisherOptions } from "./published/publisher.ts"
import type { PublishResult, RoutePublisher } from "./published/route-publisher.ts"
import {
  CACHE_ENTRY,
  FORGET_TOMBSTONE,
  SAVE_FIRST_MARKER,
  SAVE_MARKER,
  WRITE_ENTRIES,
} from "./published/redis-scripts.ts"
import { withinTime } from "./published/within-time.ts"
import type { RouteCache } from "./route-cache.ts"
import type { RouteFeed } from "./route-feed.ts"
import { isRouteKey } from "./route-key.ts"

export type { PublishedStore, PublisherOptions, PublishResult, RoutePublisher }
export { PublishFailed, PublishRefused }

/**
 * Sends one command to Redis or Valkey and gives its reply: strings, integers, `null`, arrays of these. Rejects with an error reply.
 *
 * - `redis`: `(command) => client.sendCommand(command)`
 * - `ioredis`: `([name, ...rest]) => client.call(name, ...rest)`
 * - Upstash over HTTP: the command as the JSON body of a POST, and `result` of the response
 */
export type RedisCommand = (command: string[]) => PromiseLike<unknown>

/** How published routes are read. */
export interface RedisStoreOptions {
  /** The key of the hash that holds all routes. Default `ingress:routes`. */
  readonly key?: string
  /**
   * How old a publisher's last sign may be for a key that is absent to be a miss, in ms; beyond it is unknown, a 503. A publisher
   * gives one every 5 minutes. Default 15 minutes.
   */
  readonly maxMissAgeMs?: number
}

/** How routes are cached. */
export interface RedisCacheOptions {
  /** Stands before each key. Default `ingress:cache:`. */
  readonly prefix?: string
}

/** How routes are published to Redis. */
export interface RedisPublisherOptions extends PublisherOptions {
  /** The key of the hash that holds all routes. Default `ingress:routes`. */
  readonly key?: string
  /** How long it is remembered that a key was removed, in ms, from 60 000 up. Default 24 h. */
  readonly tombstoneMs?: number
}

const LAYER = "redis"
const DEFAULT_KEY = "ingress:routes"
/** A field of the hash: the token of a publisher that writes all routes. */
const BEGUN_FIELD = "~publishing"

/**
 * A store of the routes that `redisPublisher` has written. They are the fields of one hash: one reply tells whether a key is absent
 * or all of them are, because Redis was flushed or has evicted them. Then every look-up is unknown, a 503, until they are
 * published again.
 *
 * @throws {TypeError} if an option is unknown or of the wrong type
 */
export const redisStore = (command: RedisCommand, options: RedisStoreOptions = {}): PublishedStore => {
  checkCommand("redisStore", command)
  checkOptions("redisStore", options, { key: accept.string, maxMissAgeMs: accept.integer(0) })
  const { key = DEFAULT_KEY, maxMissAgeMs = 15 * 60_000 } = options
  return publishedStore({
    layer: LAYER,
    maxMissAgeMs,
    read: async (keys) => (keys.length === 0 ? [] : listOf(await command(["HMGET", key, ...keys])).map(textOf)),
  })
}

/**
 * A cache of single routes in Redis, for a layered store: what the authority said, kept for as long as the store wants. An entry
 * never replaces one of a higher version: a script in Redis compares. An entry that cannot be read is as if it were not there.
 *
 * @throws {TypeError} if an option is unknown or of the wrong type
 */
export const redisCache = (command: RedisCommand, options: RedisCacheOptions = {}): RouteCache => {
  checkCommand("redisCache", command)
  checkOptions("redisCache", options, { prefix: accept.string })
  const { prefix = "ingress:cache:" } = options
  return {
    layer: LAYER,
    read: async (key) => {
      const text = textOf(await command(["GET", prefix + key]))
      return text === null ? undefined : cachedRouteOf(text)
    },
    write: async (key, entry, { ttlMs }) => {
      const version = entry.record === undefined ? 0 : versionOf(entry.record)
      const values = [cachedText(entry), `${version}`, `${entry.readAt}`, `${Math.max(1, Math.ceil(ttlMs))}`]
      await command(["EVAL", CACHE_ENTRY, "1", prefix + key, ...values])
    },
  }
}

/**
 * Publishes the routes of a feed to Redis or Valkey, for `redisStore`, from a process (`run`) or a schedule (`sync`). An entry never
 * replaces one of a higher version, whoever writes it: a script in Redis compares, so there may be several publishers.
 *
 * @throws {TypeError} if an option is unknown or of the wrong type
 */
export const redisPublisher = (
  command: RedisCommand,
  feed: RouteFeed,
  options: RedisPublisherOptions = {},
): RoutePublisher => {
  checkCommand("redisPublisher", command)
  checkFeed("redisPublisher", feed)
  checkOptions("redisPublisher", options, {
    ...publisherChecks,
    key: accept.string,
    tombstoneMs: accept.integer(60_000),
  })
  const { key: hash = DEFAULT_KEY, tombstoneMs = 86_400_000 } = options
  const runScript = (script: string, ...values: readonly string[]): PromiseLike<unknown> =>
    command(["EVAL", script, "1", hash, ...values])

  const stored = async function* (): AsyncGenerator<StoredEntry> {
    let cursor = "0"
    do {
      const [next, fields] = listOf(await withinTime(command(["HSCAN", hash, cursor, "COUNT", "500"])))
      const found = listOf(fields)
      for (let at = 0; at + 1 < found.length; at += 2) {
        const [key, text] = [textOf(found[at]) ?? "", textOf(found[at + 1]) ?? ""]
        if (!isRouteKey(key)) continue
        const entry = decodeEntry(text)
        // One that cannot be read is replaced by any.
        if (typeof entry === "string") yield { key, version: 0, isRemoved: false }
        else if (entry.record !== undefined || Date.now() - entry.readAt < tombstoneMs)
          yield { key, version: entry.version, isRemoved: entry.record === undefined }
        else await withinTime(runScript(FORGET_TOMBSTONE, key, text))
      }
      cursor = String(next)
    } while (cursor !== "0")
  }

  const target: PublishTarget = {
    layer: LAYER,
    batch: 100,
    concurrency: 4,
    keyIntervalMs: 0,
    isConsistent: true,
    write: async (entries) => {
      const values = entries.flatMap(({ key, version, isForced, text }) => [
        key,
        `${version}`,
        isForced ? "1" : "0",
        text,
      ])
      await runScript(WRITE_ENTRIES, ...values)
    },
    stored,
    readMarker: async () => textOf(await command(["HGET", hash, MARKER_KEY])),
    begin: async (token) => void (await command(["HSET", hash, BEGUN_FIELD, token])),
    save: async (marker, expected) => {
      const isSaved = await ("begunBy" in expected
        ? runScript(SAVE_FIRST_MARKER, MARKER_KEY, marker, BEGUN_FIELD, expected.begunBy)
        : runScript(SAVE_MARKER, MARKER_KEY, marker, expected.previous))
      return Number(isSaved) === 1
    },
  }
  return makePublisher(target, feed, options)
}

const checkCommand = (owner: string, command: unknown): void => {
  if (typeof command !== "function") throw new TypeError(`${owner}: command must be a function`)
}

const listOf = (reply: unknown): readonly unknown[] => {
  if (Array.isArray(reply)) return reply
  throw new TypeError("redis: the command function must return the reply of Redis: here, an array")
}

const textOf = (reply: unknown): string | null => {
  if (typeof reply === "string" || reply === null) return reply
  throw new TypeError("redis: the command function must return the reply of Redis: here, a string or null")
}
