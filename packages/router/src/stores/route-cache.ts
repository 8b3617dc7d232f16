import type { RouteKey, RouteRecord } from "./record.ts"

/**
 * A cache of single routes that several routers share: Workers KV, the Cache API, Redis. Implemented by authors of caches; a layered
 * store asks it after its memory and before the authority, and writes into it what the authority said.
 *
 * A `read` or `write` that throws, rejects or takes too long counts as a cache without the entry.
 */
export interface RouteCache {
  /** Names the layer in look-ups, explanations and metrics: `kv`. */
  readonly layer: string
  /** The entry as it was written; `undefined` without one. What it holds is checked by whoever reads it. */
  read(key: RouteKey, options: RouteCacheOptions): Promise<CachedRoute | undefined>
  /**
   * Keeps an entry for `ttlMs` at least, where the cache can. The entry must not replace one of a higher version, where the
   * cache can compare; where it cannot, readers do.
   */
  write(key: RouteKey, entry: CachedRoute, options: RouteCacheOptions & { readonly ttlMs: number }): Promise<void>
}

/** What a call of a cache may use. */
export interface RouteCacheOptions {
  readonly signal: AbortSignal
  readonly waitUntil?: (work: Promise<unknown>) => void
}

/** What the authority said of a key, and when. JSON. */
export interface CachedRoute {
  /** The key that it was written for. A reader uses no entry of another key: a cache may mix them up. */
  readonly key?: RouteKey
  /** When the authority said it, in ms since 1970. */
  readonly readAt: number
  /** Absent: an authoritative miss. */
  readonly record?: RouteRecord
}
