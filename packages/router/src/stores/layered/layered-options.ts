import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import type { RouteCache } from "../route-cache.ts"
import type { RouteStore } from "../route-store.ts"
import type { RouteSourceEvent } from "../store-event.ts"
import type { RateLimits } from "./token-bucket.ts"

/** What `layeredStore` accepts. Durations are in ms. */
export interface LayeredStoreOptions {
  /** The store that knows: a registry, or a store of your own. It is read within the limits below. */
  readonly authority: RouteStore
  /** Caches that routers share, the nearest first. Default: none. */
  readonly caches?: readonly RouteCache[]
  /** Older routes are used, and read again in the background. Default 5 000. */
  readonly softMs?: number
  /**
   * Older routes are read again before they are used: while the authority can be read, a route that was withdrawn, removed or transferred
   * is served no longer than this. From `softMs` up; 0: each look-up reads the authority. Default 30 000.
   */
  readonly revalidateMs?: number
  /** Older routes are not used, even if the authority cannot be read. From `revalidateMs` up. Default 24 hours. */
  readonly maxAgeMs?: number
  /** How long a key that leads nowhere is not asked for again; twice as long each time. 0: it is asked for with each look-up. Default 2 000. */
  readonly missMs?: number
  /** The longest such time. From `missMs` up. Default 30 000. */
  readonly maxMissMs?: number
  /** How long a route that is older than `revalidateMs` waits for the authority before it is served stale. Default 1 000. */
  readonly waitMs?: number
  /** How long one read of the authority may take. At most 4 000: a look-up takes 5 s. Default 2 000. */
  readonly authorityTimeoutMs?: number
  /** How long one read of one cache may take, and a write ten times as long. Default 200. */
  readonly cacheTimeoutMs?: number
  /**
   * Reads of the authority for names that are known to exist. One owner gets at most half of them. Names without a record of their
   * own, such as those below a wildcard, get at most half together, and one owner's a quarter. Default 1 000 a second, 2 000 at once.
   */
  readonly knownReads?: RateLimits
  /** Reads of the authority for all other names. Default 500 a second, 2 000 at once. */
  readonly unknownReads?: RateLimits
  /**
   * How many routes are kept in memory, of about 2 kB; a larger one counts as several. When it is full, no owner loses one to
   * an owner with more. Default 16 384.
   */
  readonly routes?: number
  /** How many keys that lead nowhere are kept. Default 16 384. */
  readonly misses?: number
  /** How many names are remembered to exist, in 4 bytes each, when their routes are no longer kept: half of it at least. Default 131 072. */
  readonly names?: number
  /** Called when the authority or a cache begins to fail, and when it works again. What it throws is ignored. */
  readonly onEvent?: (event: RouteSourceEvent) => void
  /** A number from 0 up to 1, for jitter. Default `Math.random`. */
  readonly random?: () => number
}

/** Options as they are used: with defaults, and checked. */
export type LayeredSettings = Required<Omit<LayeredStoreOptions, "onEvent">> & Pick<LayeredStoreOptions, "onEvent">

/** @throws {TypeError} for an option that is unknown, missing, of the wrong type, or shorter than the one that it must exceed */
export const layeredSettings = (options: LayeredStoreOptions): LayeredSettings => {
  check(options)
  const settings: LayeredSettings = {
    caches: [],
    softMs: 5_000,
    revalidateMs: 30_000,
    maxAgeMs: 86_400_000,
    missMs: 2_000,
    maxMissMs: 30_000,
    waitMs: 1_000,
    authorityTimeoutMs: 2_000,
    cacheTimeoutMs: 200,
    knownReads: { perSecond: 1_000, burst: 2_000 },
    unknownReads: { perSecond: 500, burst: 2_000 },
    routes: 16_384,
    misses: 16_384,
    names: 131_072,
    random: Math.random,
    ...given(options),
  }
  for (const [less, more] of ORDER) {
    if (settings[more] >= settings[less]) continue
    throw new TypeError(`layeredStore: ${more} must be at least ${less}, ${settings[less]}, got ${settings[more]}`)
  }
  return settings
}

const ORDER = [
  ["softMs", "revalidateMs"],
  ["revalidateMs", "maxAgeMs"],
  ["missMs", "maxMissMs"],
] as const

/** Without those that are `undefined`, which are not given. */
const given = (options: LayeredStoreOptions): LayeredStoreOptions =>
  Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as LayeredStoreOptions

const isStore: OptionCheck = (value) =>
  typeof value === "object" && value !== null && typeof (value as RouteStore).get === "function"
    ? undefined
    : "a route store"
const isCache: OptionCheck = (value) => {
  const cache = (typeof value === "object" && value !== null ? value : {}) as Partial<RouteCache>
  return typeof cache.layer === "string" && typeof cache.read === "function" && typeof cache.write === "function"
    ? undefined
    : "a route cache"
}
const areReads: OptionCheck = (value) => {
  const { perSecond, burst } = (typeof value === "object" && value !== null ? value : {}) as Partial<RateLimits>
  const fits = accept.number(0.001)(perSecond) === undefined && accept.integer(1)(burst) === undefined
  return fits ? undefined : "{ perSecond, burst }, a number above 0 and an integer from 1 up"
}

const check = (options: unknown): void =>
  checkOptions(
    "layeredStore",
    options,
    {
      authority: isStore,
      caches: accept.array(isCache),
      softMs: accept.number(0),
      revalidateMs: accept.number(0),
      maxAgeMs: accept.number(0),
      missMs: accept.number(0),
      maxMissMs: accept.number(0),
      waitMs: accept.number(0, 4_000),
      authorityTimeoutMs: accept.number(1, 4_000),
      cacheTimeoutMs: accept.number(1, 1_000),
      knownReads: areReads,
      unknownReads: areReads,
      routes: accept.integer(1),
      misses: accept.integer(1),
      names: accept.integer(1),
      onEvent: accept.function,
      random: accept.function,
    },
    { required: ["authority"] },
  )
