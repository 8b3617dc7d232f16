import { isWorkerd, monotonicNow, startDeadline } from "@project-ingress/forward/internal"
import { makeAuthority } from "./layered/authority.ts"
import { makeCacheLayer } from "./layered/cache-layer.ts"
import { changesInto } from "./layered/changes.ts"
import { stateOf } from "./layered/known-route.ts"
import type { RouteAges } from "./layered/known-route.ts"
import { followFeed } from "./layered/follow-feed.ts"
import { layeredSettings } from "./layered/layered-options.ts"
import type { LayeredStoreOptions } from "./layered/layered-options.ts"
import { makeReadLimits } from "./layered/read-limits.ts"
import { makeRouteLoader } from "./layered/route-loader.ts"
import { makeRouteMemory } from "./layered/route-memory.ts"
import { hitOf, search, searchStale } from "./layered/search.ts"
import { quietly } from "./quietly.ts"
import { makeSharedLoads } from "./reading/shared-loads.ts"
import type { RouteKey } from "./record.ts"
import type { RouteChange, RouteFeed } from "./route-feed.ts"
import type { FirstLookup, Lookup, LookupOptions, RouteStore, StoreStats } from "./route-store.ts"
import { LookupFailed, storeHealth } from "./store-health.ts"
import type { StoreHealth } from "./store-health.ts"

export type { LayeredStoreOptions } from "./layered/layered-options.ts"
export type { RateLimits } from "./layered/token-bucket.ts"
export type { CachedRoute, RouteCache, RouteCacheOptions } from "./route-cache.ts"
export type { FeedPage, FeedSnapshot, RouteChange, RouteFeed } from "./route-feed.ts"
export type { RouteSourceEvent } from "./store-event.ts"

/** A route store in layers. */
export interface LayeredStore extends RouteStore {
  getFirst(keys: readonly RouteKey[], options: LookupOptions): FirstLookup | Promise<FirstLookup>
  /**
   * Follows a registry's feed until the signal is aborted or the store is disposed of: each change is there at once, and all names of
   * the registry are known to exist, so that no flood keeps them from being read. Fulfils then, and never rejects: a feed that fails is
   * the event's layer `feed`. Not in a Worker, where work ends with its request.
   */
  readonly follow: (feed: RouteFeed, options?: { readonly signal?: AbortSignal }) => Promise<void>
  /**
   * Takes changes of a feed that you read yourself, in any order and any number of times: what is known of their keys is replaced, or
   * asked for with the next look-up.
   */
  readonly apply: (changes: readonly RouteChange[]) => void
  /** Ends `follow`, and disposes of the authority. */
  dispose(): Promise<void>
  stats(): StoreStats
}

/** How many names that nobody knows are looked for at a time, so that a cache that hangs does not gather them. */
const MAX_UNKNOWN_LOADS = 1_024

/**
 * Routes from memory, else from caches that routers share, else from the authority. A key that is in memory is found at once, with
 * the same record object each time.
 *
 * ```ts
 * const store = layeredStore({ authority: d1Registry(env.DB, { grammar }), caches: [cacheApi(caches.default)] })
 * ```
 *
 * @throws {TypeError} if an option is unknown, missing or of the wrong type
 */
export const layeredStore = (options: LayeredStoreOptions): LayeredStore => {
  const settings = layeredSettings(options)
  const { authority: source, knownReads, unknownReads, maxAgeMs, waitMs, onEvent, random } = settings
  const ages: RouteAges = settings
  const report = quietly(onEvent)
  const healthOf = (layer: string): StoreHealth =>
    storeHealth(({ state, reason }) =>
      report({ type: "route_source", layer, state, ...(reason === undefined ? {} : { reason }) }),
    )
  const memory = makeRouteMemory(settings, random)
  const caches = settings.caches.map((cache) =>
    makeCacheLayer(cache, { timeoutMs: settings.cacheTimeoutMs, health: healthOf(cache.layer), random }),
  )
  const authority = makeAuthority(source, {
    timeoutMs: settings.authorityTimeoutMs,
    health: healthOf("authority"),
    random,
  })
  const limits = makeReadLimits(knownReads, unknownReads, random)
  const takesMany = source.getFirst !== undefined
  const { load } = makeRouteLoader({ memory, caches, authority, takesMany, limits, ages, random })
  const loads = makeSharedLoads<FirstLookup>()

  const isKnown = (key: RouteKey): boolean => memory.get(key)?.record !== undefined || memory.isRemembered(key)

  const refreshInBackground = (keys: readonly RouteKey[], { waitUntil }: LookupOptions): void => {
    if (!mayContinue(waitUntil)) return
    const name = `soft ${keys.join(" ")}`
    if (!loads.isLoading(name)) void loads.join(name, () => load(keys, { isBackground: true, waitUntil }), waitUntil)
  }

  const getFirst: LayeredStore["getFirst"] = (keys, options) => {
    const { refresh = false, waitUntil } = options
    const now = monotonicNow()
    const stale = (maxAgeMs: number) => searchStale(keys, memory.get, { now, maxAgeMs })
    if (!refresh) {
      const found = search(keys, memory.get, { ages, now, accepts: "soft" })
      if (found.status === "miss") return miss
      if (found.status === "hit") {
        const isPaused = keys.some((key) => (memory.get(key)?.failure?.until ?? now) > now)
        if (found.isAged && !isPaused) refreshInBackground(keys.slice(0, keys.indexOf(found.key) + 1), options)
        return { ...hitOf(found.key, found.known, now), layer: MEMORY }
      }
      const { failure } = memory.get(keys[found.at]!) ?? {}
      const used = failure !== undefined && failure.until > now ? stale(failure.maxAgeMs) : undefined
      if (used !== undefined) return { ...used, layer: MEMORY }
      if (loads.size() >= MAX_UNKNOWN_LOADS && !keys.some(isKnown)) return crowded
    }
    const name = `${refresh ? "refresh" : "load"} ${keys.join(" ")}`
    const loaded = loads.join(name, () => load(keys, { refresh, waitUntil }), waitUntil)
    const used = stale(maxAgeMs)
    return used === undefined ? loaded : soonest(loaded, waitMs, { ...used, layer: MEMORY })
  }

  const apply = changesInto(memory, ages)
  const ended = new AbortController()

  return {
    getFirst,
    get: (key, options): Lookup | Promise<Lookup> => {
      if (options.refresh !== true) {
        const known = memory.get(key)
        const now = monotonicNow()
        if (known?.record !== undefined && stateOf(known, ages, now) === "fresh") {
          return { status: "hit", record: known.record, layer: MEMORY, ageMs: now - known.heardAt }
        }
      }
      return getFirst([key], options)
    },
    apply,
    follow: (feed, { signal } = {}) =>
      followFeed(feed, signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]), {
        memory,
        apply,
        health: healthOf("feed"),
        random,
      }),
    stats: () => {
      const now = monotonicNow()
      const sources = caches.map(({ layer, readAt }) => ({ layer, at: readAt() }))
      const last = [...sources.map(({ at }) => at), authority.readAt()].filter((at) => at !== undefined)
      const age = (at: number | undefined) => (at === undefined ? {} : { ageMs: now - at })
      return {
        layers: [
          { layer: MEMORY, routes: memory.routes(), ...age(last.length === 0 ? undefined : Math.max(...last)) },
          ...sources.map(({ layer, at }) => ({ layer, ...age(at) })),
          ...(source.stats?.().layers ?? [{ layer: "authority", ...age(authority.readAt()) }]),
        ],
      }
    },
    dispose: async () => {
      ended.abort()
      await source.dispose?.()
    },
  }
}

const MEMORY = "memory"
const miss: FirstLookup = { status: "miss", layer: MEMORY }
const crowded: FirstLookup = {
  status: "unknown",
  cause: new LookupFailed("too many unknown routes are asked for at once"),
  retryAfterMs: 1_000,
  layer: MEMORY,
}

/** Whether work goes on after the look-up: on Workers it ends with the response. */
const mayContinue = (waitUntil: LookupOptions["waitUntil"]): boolean => waitUntil !== undefined || !isWorkerd()

/** The result, unless it takes longer than `ms`. */
const soonest = (result: Promise<FirstLookup>, ms: number, otherwise: FirstLookup): Promise<FirstLookup> =>
  new Promise((resolve) => {
    const settled = startDeadline(ms, () => resolve(otherwise))
    void result.then((value) => {
      settled()
      resolve(value)
    })
  })
