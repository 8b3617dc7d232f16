import { accept, checkOptions } from "@project-ingress/forward/internal"
import { checkFeed } from "./guarded-feed.ts"
import { cachedRouteOf, cachedText } from "./published/entry.ts"
import { MARKER_KEY } from "./published/marker.ts"
import { PublishFailed, PublishRefused } from "./published/publish-errors.ts"
import type { PublishTarget, StoredEntry } from "./published/publish-target.ts"
import { publishedStore } from "./published/published-store.ts"
import type { PublishedStore } from "./published/published-store.ts"
import { makePublisher, publisherChecks } from "./published/publisher.ts"
import type { PublisherOptions } from "./published/publisher.ts"
import type { PublishResult, RoutePublisher } from "./published/route-publisher.ts"
import { withinTime } from "./published/within-time.ts"
import type { RouteCache } from "./route-cache.ts"
import type { RouteFeed } from "./route-feed.ts"
import { isRouteKey } from "./route-key.ts"
import { isCount, isObject } from "./shape.ts"

export type { PublishedStore, PublisherOptions, PublishResult, RoutePublisher }
export { PublishFailed, PublishRefused }

/** What is used of a Workers KV namespace: a binding of a Worker, or anything that does the same over the REST API. */
export interface KvBinding extends KvReader {
  put(
    key: string,
    value: string,
    options: { readonly expirationTtl?: number; readonly metadata: unknown },
  ): PromiseLike<unknown>
  list(options: { readonly prefix: string; readonly cursor?: string }): PromiseLike<KvList>
}

/** What a reader uses of it. Times in seconds. */
export interface KvReader {
  get(key: string, options: { readonly type: "text"; readonly cacheTtl: number }): PromiseLike<string | null>
  get(
    keys: string[],
    options: { readonly type: "text"; readonly cacheTtl: number },
  ): PromiseLike<ReadonlyMap<string, string | null>>
}

/** A page of keys. */
export interface KvList {
  readonly keys: readonly { readonly name: string; readonly metadata?: unknown }[]
  readonly list_complete: boolean
  readonly cursor?: string
}

/** What everything here accepts. */
export interface KvOptions {
  /** Stands before each key. Routes that are published and a cache must not have the same one. */
  readonly prefix?: string
}

/** How KV is read. */
export interface KvReadOptions extends KvOptions {
  /** How long each data centre keeps what it has read, absent keys as well, in ms, from 30 000 up. Default 30 000. */
  readonly cacheTtlMs?: number
}

/** How published routes are read. */
export interface KvStoreOptions extends KvReadOptions {
  /**
   * How old a publisher's last sign may be for a key that is absent to be a miss, in ms; beyond it is unknown, a 503. A publisher
   * gives one every 5 minutes. Default 15 minutes.
   */
  readonly maxMissAgeMs?: number
}

/** How routes are published to KV. */
export interface KvPublisherOptions extends KvOptions, PublisherOptions {
  /** How long it is remembered that a key was removed, in ms, from 60 000 up. Default 24 h. */
  readonly tombstoneMs?: number
  /** How many writes are in flight at a time, 1 to 50. Default 6: as many connections as a Worker has. */
  readonly concurrency?: number
}

const LAYER = "kv"
/** KV takes no shorter time, in seconds. */
const [LEAST_CACHE_TTL, LEAST_EXPIRATION] = [30, 60]
/** More writes of one key get a 429. A little more than a second: it is KV's clock that counts. */
const KEY_INTERVAL_MS = 1_100

const prefixCheck = (value: unknown): string | undefined =>
  typeof value === "string" && value.length <= 128 ? undefined : "a string of at most 128 characters"
const readChecks = { prefix: prefixCheck, cacheTtlMs: accept.integer(LEAST_CACHE_TTL * 1_000) }

/**
 * A store of the routes that `kvPublisher` has written: for Workers in every place, without a database behind them.
 *
 * KV is eventual: a change is seen after 60 s or more, and so is a new key where somebody has asked for it before. A key that is
 * absent is a miss once all routes were published and the publisher has given a sign lately, else unknown. `refresh` cannot
 * get past KV's own cache.
 *
 * ```ts
 * const router = createRouter({ grammar, store: kvStore(env.ROUTES), providers, signingKey })
 * ```
 *
 * @throws {TypeError} if an option is unknown or of the wrong type
 */
export const kvStore = (binding: KvReader, options: KvStoreOptions = {}): PublishedStore => {
  checkBinding("kvStore", binding, ["get"])
  checkOptions("kvStore", options, { ...readChecks, maxMissAgeMs: accept.integer(0) })
  const { prefix = "", cacheTtlMs, maxMissAgeMs = 15 * 60_000 } = options
  const how = readOptions(cacheTtlMs)
  return publishedStore({
    layer: LAYER,
    maxMissAgeMs,
    read: async ([first, ...others]) => {
      if (first === undefined) return []
      if (others.length === 0) return [await binding.get(prefix + first, how)]
      const keys = [first, ...others].map((key) => prefix + key)
      const texts = await binding.get(keys, how)
      return keys.map((key) => texts.get(key))
    },
  })
}

/**
 * A cache of single routes in KV, for a layered store: what the authority said, kept for as long as the store wants, at least a
 * minute. An entry that cannot be read is as if it were not there. KV cannot compare versions: readers do.
 *
 * @throws {TypeError} if an option is unknown or of the wrong type
 */
export const kvCache = (binding: Omit<KvBinding, "list">, options: KvReadOptions = {}): RouteCache => {
  checkBinding("kvCache", binding, ["get", "put"])
  checkOptions("kvCache", options, readChecks)
  const { prefix = "cache/", cacheTtlMs } = options
  const how = readOptions(cacheTtlMs)
  return {
    layer: LAYER,
    read: async (key) => {
      const text = await binding.get(prefix + key, how)
      return typeof text === "string" ? cachedRouteOf(text) : undefined
    },
    write: async (key, entry, { ttlMs }) => {
      await binding.put(prefix + key, cachedText(entry), { expirationTtl: secondsOf(ttlMs), metadata: {} })
    },
  }
}

/**
 * Publishes the routes of a feed to KV, for `kvStore`: from a Worker's schedule (`sync`) or a process (`run`). One write of a key a
 * second: a key that changes more often gets the last of its versions. One publisher for a namespace and prefix: KV cannot compare
 * versions, so of two that write one key at once the earlier may win until routes are compared again.
 *
 * ```ts
 * export default {
 *   scheduled: async (event, env) => void (await kvPublisher(env.ROUTES, d1Registry(env.DB, { grammar })).sync()),
 * }
 * ```
 *
 * @throws {TypeError} if an option is unknown or of the wrong type
 */
export const kvPublisher = (binding: KvBinding, feed: RouteFeed, options: KvPublisherOptions = {}): RoutePublisher => {
  checkBinding("kvPublisher", binding, ["get", "put", "list"])
  checkFeed("kvPublisher", feed)
  checkOptions("kvPublisher", options, {
    ...publisherChecks,
    prefix: prefixCheck,
    tombstoneMs: accept.integer(LEAST_EXPIRATION * 1_000),
    concurrency: accept.integer(1, 50),
  })
  const { prefix = "", tombstoneMs = 86_400_000, concurrency = 6 } = options
  const stored = async function* (): AsyncGenerator<StoredEntry> {
    let cursor: string | undefined
    for (;;) {
      const page = await withinTime(binding.list({ prefix, ...(cursor === undefined ? {} : { cursor }) }))
      for (const { name, metadata } of page.keys) {
        const key = name.slice(prefix.length)
        // Others may have keys there, too.
        if (isRouteKey(key)) yield { key, ...metadataOf(metadata) }
      }
      if (page.list_complete || page.cursor === undefined) return
      ;({ cursor } = page)
    }
  }
  const target: PublishTarget = {
    layer: LAYER,
    batch: 1,
    concurrency,
    keyIntervalMs: KEY_INTERVAL_MS,
    isConsistent: false,
    write: async (entries) => {
      for (const { key, version, isRemoved, text } of entries) {
        await binding.put(prefix + key, text, {
          // Without the value, `list` gives it: a comparison reads no values.
          metadata: isRemoved ? { version, removed: true } : { version },
          ...(isRemoved ? { expirationTtl: secondsOf(tombstoneMs) } : {}),
        })
      }
    },
    stored,
    readMarker: async () => binding.get(prefix + MARKER_KEY, readOptions()),
    begin: async () => undefined,
    save: async (marker) => {
      await binding.put(prefix + MARKER_KEY, marker, { metadata: {} })
      return true
    },
  }
  return makePublisher(target, feed, options)
}

const checkBinding = (owner: string, binding: unknown, methods: readonly string[]): void => {
  const given = binding as Readonly<Record<string, unknown>> | null | undefined
  if (methods.every((method) => typeof given?.[method] === "function")) return
  throw new TypeError(`${owner}: the binding must be a KV namespace`)
}

const readOptions = (cacheTtlMs = LEAST_CACHE_TTL * 1_000) =>
  ({ type: "text", cacheTtl: Math.ceil(cacheTtlMs / 1_000) }) as const

const secondsOf = (ms: number): number => Math.max(LEAST_EXPIRATION, Math.ceil(ms / 1_000))

/** What a publisher has written there; what others have written has no version. */
const metadataOf = (metadata: unknown): { readonly version: number; readonly isRemoved: boolean } => {
  const { version, removed } = isObject(metadata) ? metadata : {}
  return { version: isCount(version) ? version : 0, isRemoved: removed === true }
}
