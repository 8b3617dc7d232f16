import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import type { RouteKey } from "./record.ts"
import type { CachedRoute, RouteCache } from "./route-cache.ts"
import { isObject } from "./shape.ts"

export type { CachedRoute, RouteCache, RouteCacheOptions } from "./route-cache.ts"

/** What is used of a cache of the Cache API: `caches.default`, or one of `caches.open(name)`. */
export interface CacheBinding {
  match(url: string): Promise<Response | undefined>
  put(url: string, response: Response): Promise<void>
}

/** What {@link cacheApi} accepts. */
export interface CacheApiOptions {
  /** The layer's name in look-ups and metrics. Default `cache-api`. */
  readonly layer?: string
  /**
   * What the URLs of entries begin with, an `https:` URL that ends with `/`. Nothing is sent there, and nothing else may be cached
   * below it: a hostname on which no Worker or app of yours responds. Default `https://routes.project-ingress.invalid/v1/`.
   */
  readonly urlPrefix?: string
}

/**
 * A cache for `layeredStore` in Workers: of one place of Cloudflare's network, shared by the isolates there. Not there on
 * `workers.dev` and in previews, where it keeps nothing; a write of an older version than what it has is left out.
 *
 * ```ts
 * const store = layeredStore({ authority, caches: [cacheApi(caches.default)] })
 * ```
 *
 * @throws {TypeError} if the cache is invalid, or an option is unknown or of the wrong type
 */
export const cacheApi = (cache: CacheBinding, options: CacheApiOptions = {}): RouteCache => {
  if (!isCache(cache)) throw new TypeError("cacheApi: cache must be a cache, such as caches.default")
  checkOptions("cacheApi", options, { layer: accept.string, urlPrefix: isPrefix })
  const { layer = "cache-api", urlPrefix = "https://routes.project-ingress.invalid/v1/" } = options
  const urlOf = (key: RouteKey): string => urlPrefix + encodeURIComponent(key)

  const read = async (key: RouteKey): Promise<CachedRoute | undefined> => {
    const response = await cache.match(urlOf(key))
    if (response === undefined) return undefined
    // Checked by whoever reads it; an entry of another key is not used.
    const entry: unknown = await response.json()
    if (!isObject(entry) || entry["key"] !== key) throw new TypeError("an entry of another key")
    return entry as unknown as CachedRoute
  }

  return {
    layer,
    read,
    write: async (key, entry, { ttlMs }) => {
      // A damaged one is replaced.
      const there = await read(key).catch(() => undefined)
      if (there !== undefined && isNewer(there, entry)) return
      const headers = {
        "content-type": "application/json",
        "cache-control": `public, max-age=${Math.ceil(ttlMs / 1_000)}`,
      }
      await cache.put(urlOf(key), new Response(JSON.stringify({ ...entry, key }), { headers }))
    },
  }
}

/** By version; where one has none, because the key led nowhere, by the time at which the authority said it. */
const isNewer = (there: CachedRoute, entry: CachedRoute): boolean => {
  const [known, next] = [there.record?.version, entry.record?.version]
  return known === undefined || next === undefined || known === next ? there.readAt > entry.readAt : known > next
}

const isCache = (value: unknown): value is CacheBinding =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as CacheBinding).match === "function" &&
  typeof (value as CacheBinding).put === "function"

const isPrefix: OptionCheck = (value) =>
  typeof value === "string" && /^https:\/\/[^?#\s]+\/$/.test(value) && URL.canParse(value)
    ? undefined
    : "an https: URL that ends with /"
