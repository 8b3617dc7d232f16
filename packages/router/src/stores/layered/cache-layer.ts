import { monotonicNow } from "@project-ingress/forward/internal"
import { decodeRecord } from "../decode-record.ts"
import type { RouteKey } from "../record.ts"
import type { CachedRoute, RouteCache, RouteCacheOptions } from "../route-cache.ts"
import { isObject } from "../shape.ts"
import { KeyFailed } from "../store-health.ts"
import type { StoreHealth } from "../store-health.ts"
import { makeCircuit } from "../reading/circuit.ts"
import { within } from "../reading/within.ts"

/** A cache that routers share. Whatever it does, it never fails a look-up. */
export interface CacheLayer {
  readonly layer: string
  /** An entry that may be used, by its format; `undefined`: without one. */
  readonly read: (key: RouteKey, options: Pick<RouteCacheOptions, "waitUntil">) => Promise<CachedRoute | undefined>
  /** Ends when it is written, or could not be. */
  readonly write: (
    key: RouteKey,
    entry: CachedRoute,
    options: Pick<RouteCacheOptions, "waitUntil"> & { readonly ttlMs: number },
  ) => Promise<void>
  /** When it last gave an entry, by `monotonicNow`; `undefined`: never. */
  readonly readAt: () => number | undefined
}

/** How caches are called. */
export interface CacheLayerOptions {
  /** How long a read may take, and a write ten times as long, in ms. */
  readonly timeoutMs: number
  readonly health: StoreHealth
  readonly random: () => number
}

export const makeCacheLayer = (cache: RouteCache, options: CacheLayerOptions): CacheLayer => {
  const { timeoutMs, health, random } = options
  const { layer } = cache
  // Of their own: a cache that takes no more writes may be read as before.
  const reading = makeCircuit(random)
  const writing = makeCircuit(random)
  let readAt: number | undefined

  return {
    layer,
    readAt: () => readAt,
    read: async (key, { waitUntil }) => {
      if (reading.waitMs(key) > 0) return undefined
      reading.begin()
      try {
        const entry = await within(timeoutMs, (signal) => cache.read(key, withContext(signal, waitUntil)))
        reading.worked()
        const cached = entry === undefined || entry === null ? undefined : validEntry(entry, key)
        health.worked()
        if (cached !== undefined) readAt = monotonicNow()
        return cached
      } catch (cause) {
        // What is damaged is that of one key: it says nothing of the others.
        if (!(cause instanceof KeyFailed)) reading.failed(key)
        health.failed(cause)
        return undefined
      }
    },
    write: async (key, entry, { ttlMs, waitUntil }) => {
      if (writing.waitMs(key) > 0) return
      writing.begin()
      try {
        await within(timeoutMs * 10, (signal) => cache.write(key, entry, { ttlMs, ...withContext(signal, waitUntil) }))
        writing.worked()
      } catch (cause) {
        writing.failed(key)
        health.failed(cause)
      }
    },
  }
}

/** Keys of an entry: one with others is of a later format. */
const FIELDS = new Set(["key", "readAt", "record"])

/** Checks what anybody may have written. A record that is not valid, or of another format, is not used. */
const validEntry = (entry: unknown, key: RouteKey): CachedRoute => {
  if (!isObject(entry) || Object.keys(entry).some((name) => !FIELDS.has(name))) {
    throw new KeyFailed("an entry of another format")
  }
  const { readAt, record } = entry
  if (entry["key"] !== undefined && entry["key"] !== key) throw new KeyFailed("an entry of another key")
  if (typeof readAt !== "number" || !Number.isFinite(readAt)) throw new KeyFailed("an entry without a time")
  if (record === undefined) return { readAt }
  const decoded = decodeRecord(record)
  if (decoded.record === undefined) throw new KeyFailed("an entry whose record is not valid")
  return { readAt, record: decoded.record }
}

const withContext = (signal: AbortSignal, waitUntil: RouteCacheOptions["waitUntil"]): RouteCacheOptions =>
  waitUntil === undefined ? { signal } : { signal, waitUntil }
