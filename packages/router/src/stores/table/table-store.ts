import { accept, checkOptions, monotonicNow } from "@project-ingress/forward/internal"
import type { OnInvalid } from "../invalid-route.ts"
import { openPacked } from "../packed/open-packed.ts"
import { PackedRefused } from "../packed/refused.ts"
import { UNPACKED } from "../packed/unpacked-records.ts"
import { quietly } from "../quietly.ts"
import type { RouteKey } from "../record.ts"
import { checkFeed } from "../guarded-feed.ts"
import { within } from "../reading/within.ts"
import type { RouteFeed } from "../route-feed.ts"
import type { FirstLookup, Lookup, LookupOptions, RouteStore, StoreStats } from "../route-store.ts"
import { isObject } from "../shape.ts"
import { LookupFailed } from "../store-health.ts"
import type { RouteSourceEvent } from "../store-event.ts"
import { askAuthority } from "./ask-authority.ts"
import { feedReader, FRESH_MS } from "./feed-reader.ts"
import { RouteTable } from "./route-table.ts"
import { saver } from "./saver.ts"
import { sourceHealth } from "./source-health.ts"
import type { TableState } from "./table-state.ts"

/** What {@link tableStore} accepts. */
export interface TableStoreOptions {
  /**
   * Asked for single keys after a machine said that it is not the one meant: the registry itself. With `refresh` it must read its
   * primary, and no replica or cache: a route that it does not have is gone from the table until the feed has a later version of
   * it, because a machine that was given to another tenant must not be asked again. Default: the feed is read at once instead.
   */
  readonly authority?: RouteStore
  /** Where the routes are kept for the next start. Default: nowhere; a router that starts while its source is down knows nothing. */
  readonly state?: TableState
  /** For how long routes are served without hearing from the source, in ms. Then every look-up is unknown. Default 24 h. */
  readonly maxAgeMs?: number
  /**
   * For how long a name that the table does not have is a miss without hearing from the source, in ms: it may have been created since.
   * Then it is unknown. Default 1 min.
   */
  readonly maxMissAgeMs?: number
  /** How often all routes are read again, in ms, a tenth more or less. From 1 000 up, default 1 h. */
  readonly relistMs?: number
  /** How often changes are saved to `state` while they come all the time, in ms. From 1 000 up, default 1 min. */
  readonly saveMs?: number
  /** How many records that were looked up are kept as objects, as in `packedStore`. 0 to 1 048 576, default 16 384. */
  readonly unpacked?: number
  /** A number from 0 to 1, for jitter. Default `Math.random`. */
  readonly random?: () => number
  /** Called when routes were loaded, refused or not saved, and when the source begins to fail or works again. What it throws is ignored. */
  readonly onEvent?: (event: RouteSourceEvent) => void
  /**
   * Called for each record that no router of this version can use, which fails its own hostnames; and, with the field `key` or
   * `version`, for each route or change that is left out because nobody can tell of what it is.
   */
  readonly onInvalid?: OnInvalid
}

/** A route store that has all routes in memory. */
export interface TableStore extends RouteStore {
  get(key: RouteKey, options?: Partial<LookupOptions>): Lookup | Promise<Lookup>
  /**
   * As in every store, but for one thing: while the source is silent, the table is asked as a whole. An exact name that is not in it
   * does not hide the wildcard that is.
   */
  getFirst(keys: readonly RouteKey[], options?: Partial<LookupOptions>): FirstLookup | Promise<FirstLookup>
  stats(): StoreStats
  /**
   * Resolves when there are routes, and the source was heard or has failed: then a router may begin to listen. Rejects with the
   * signal's reason, and when the store is disposed of.
   */
  readonly waitUntilLoaded: (options?: { readonly signal?: AbortSignal }) => Promise<void>
  /**
   * Reads all routes now, in place of whatever is being read.
   *
   * - `force`: also where there are none, 15 % fewer or earlier versions. Default false.
   *
   * Rejects with a `PackedRefused` for routes that are not used, and with what the feed rejects with; the table goes on.
   */
  readonly reload: (options?: { readonly force?: boolean }) => Promise<void>
  dispose(): void
}

const LAYER = "table"
/** How long the state may take to load, in ms. Then the source is read without it. */
const STATE_TIMEOUT_MS = 60_000

/**
 * Keeps all routes of a feed in memory, for routers on Node: a look-up takes a microsecond, a change is seen as soon as the feed
 * gives it, and the routes are served for a day when the source is down. Reads the feed from now on, until it is disposed of.
 *
 * ```ts
 * const store = tableStore(registry, { authority: registry, state: fileState("/var/lib/router/routes.packed") })
 * await store.waitUntilLoaded()
 * const router = createRouter({ grammar, store, providers, signingKey })
 * ```
 *
 * @throws {TypeError} if an option is unknown or of the wrong type
 */
export const tableStore = (feed: RouteFeed, options: TableStoreOptions = {}): TableStore => {
  checkFeed("tableStore", feed)
  checkOptions("tableStore", options, {
    authority: (value) => (hasMethod(value, "get") ? undefined : "a route store"),
    state: (value) => (hasMethod(value, "load") ? undefined : "a TableState"),
    maxAgeMs: accept.number(0),
    maxMissAgeMs: accept.number(0),
    relistMs: accept.number(1_000, 2 ** 31 - 1),
    saveMs: accept.number(1_000, 2 ** 31 - 1),
    unpacked: accept.integer(0, 1_048_576),
    random: accept.function,
    onEvent: accept.function,
    onInvalid: accept.function,
  })
  const { authority, state, maxAgeMs = 86_400_000, maxMissAgeMs = 60_000, relistMs = 3_600_000 } = options
  const { saveMs = 60_000, unpacked = UNPACKED, random = Math.random, onEvent, onInvalid } = options
  const report = quietly(onEvent)

  let table: RouteTable | undefined
  /** When the table was last known to be what the source has. */
  let asOf = 0
  /** The source was not heard since the table was restored, or since it failed. */
  let isBehind = true
  const ageMs = (): number => monotonicNow() - asOf
  const disposed = new AbortController()
  const { promise: loaded, resolve: setLoaded } = Promise.withResolvers<void>()

  const health = sourceHealth(
    (status, reason) => {
      if (status === "failing" || status === "stale") isBehind = true
      if (status !== "failing" && table !== undefined) setLoaded()
      report({
        type: "route_source",
        layer: LAYER,
        state: status,
        ...(reason !== undefined && { reason }),
        ...(table !== undefined && { routes: table.routes, ageMs: ageMs() }),
      })
    },
    () => table !== undefined,
  )
  const install = (next: RouteTable): void => {
    table = next
  }
  const images = saver({
    state,
    saveMs,
    health,
    unpacked,
    table: () => table,
    asOf: () => Date.now() - ageMs(),
    isReloading: () => reader.isReloading(),
    install,
  })
  const reader = feedReader({
    feed,
    health,
    onInvalid,
    random,
    relistMs,
    unpacked,
    table: () => table,
    install,
    heard: () => {
      asOf = monotonicNow()
      isBehind = false
      setLoaded()
      images.heard()
    },
    changed: images.changed,
  })

  const restore = async (from: TableState): Promise<void> => {
    try {
      const image = await within(
        STATE_TIMEOUT_MS,
        async () => {
          const bytes = await from.load()
          return bytes === undefined ? undefined : openPacked(bytes)
        },
        disposed.signal,
      )
      // What was loaded meanwhile is newer.
      if (image === undefined || table !== undefined) return
      table = new RouteTable(image, image.cursor ?? "", unpacked)
      // By two wall clocks, this one and the builder's: there is no other way. One that is ahead makes nothing of the future.
      asOf = monotonicNow() - Math.max(0, Date.now() - image.builtAt)
    } catch (cause) {
      if (disposed.signal.aborted) return
      if (cause instanceof PackedRefused) health.refused(cause, "state")
      else health.stateFailed(cause)
    }
  }
  const begin = async (): Promise<void> => {
    if (state !== undefined) await restore(state)
    if (!disposed.signal.aborted) reader.start()
  }
  void begin()

  /** The first of some keys in the table. */
  const look = (keys: readonly RouteKey[]): FirstLookup => {
    const current = table
    if (current === undefined) return { status: "unknown", cause: notLoaded, retryAfterMs: RETRY_MS, layer: LAYER }
    const age = ageMs()
    const isStale = isBehind || age > FRESH_MS
    if (age > maxAgeMs) return unknown(`not heard from the source for ${maxAgeMs} ms`, age)
    for (const key of keys) {
      const record = current.find(key)
      if (record === undefined) continue
      if (isStale) return { status: "hit", key, record, layer: LAYER, ageMs: age, stale: true }
      return { status: "hit", key, record, layer: LAYER, ageMs: age }
    }
    if (age > maxMissAgeMs) return unknown(`no such route ${Math.round(age)} ms ago, and not heard since`, age)
    return isStale
      ? { status: "miss", layer: LAYER, ageMs: age, stale: true }
      : { status: "miss", layer: LAYER, ageMs: age }
  }
  const refreshed = async (keys: readonly RouteKey[], given: Partial<LookupOptions>): Promise<FirstLookup> => {
    const { signal = new AbortController().signal } = given
    if (authority === undefined || table === undefined)
      await within(CATCH_UP_MS, reader.catchUp, signal).catch(() => undefined)
    else if (await askAuthority(authority, () => table!, keys, given)) images.changed()
    return look(keys)
  }

  return {
    get: (key, given) => {
      if (given?.refresh === true) return refreshed([key], given)
      return look([key])
    },
    getFirst: (keys, given) => (given?.refresh === true ? refreshed(keys, given) : look(keys)),
    stats: () => ({
      layers: [table === undefined ? { layer: LAYER } : { layer: LAYER, routes: table.routes, ageMs: ageMs() }],
    }),
    waitUntilLoaded: async (given = {}) => {
      checkOptions("waitUntilLoaded", given, { signal: accept.object })
      const signals = given.signal === undefined ? [disposed.signal] : [disposed.signal, given.signal]
      await orAborted(loaded, signals)
    },
    reload: async (given = {}) => {
      checkOptions("reload", given, { force: accept.boolean })
      disposed.signal.throwIfAborted()
      await reader.reload(given.force ?? false)
    },
    dispose: () => {
      disposed.abort(new Error("the store was disposed of"))
      reader.dispose()
      images.dispose()
    },
  }
}

const notLoaded = new LookupFailed("the routes are not loaded yet")
/** How long a look-up waits for the feed, in ms: less than it has. */
const CATCH_UP_MS = 2_000
/** When a look-up that is unknown may be asked again, in ms. */
const RETRY_MS = 1_000

const unknown = (reason: string, ageMs: number): Lookup => ({
  status: "unknown",
  cause: new LookupFailed(reason),
  retryAfterMs: RETRY_MS,
  layer: LAYER,
  ageMs,
  stale: true,
})

const hasMethod = (value: unknown, name: string): boolean => isObject(value) && typeof value[name] === "function"

/** What a promise resolves to, unless one of the signals is aborted first. */
const orAborted = async <A>(promise: Promise<A>, signals: readonly AbortSignal[]): Promise<A> => {
  const aborted = Promise.withResolvers<never>()
  const onAbort = ({ target }: Event): void => aborted.reject((target as AbortSignal).reason)
  for (const signal of signals) {
    signal.throwIfAborted()
    signal.addEventListener("abort", onAbort)
  }
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    for (const signal of signals) signal.removeEventListener("abort", onAbort)
  }
}
