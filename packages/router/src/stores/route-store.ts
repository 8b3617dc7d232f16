import type { RouteKey, RouteRecord } from "./record.ts"

export type { RouteKey, RouteRecord }

/**
 * What a store knows of a key.
 *
 * - `hit`: the record. It is decoded before use, once per object: a record that was given is never changed, a new one is given
 *   instead. One that is not valid fails only its own hostname.
 * - `miss`: authoritative, there is no such route: 404.
 * - `unknown`: nobody can tell now: 503. A store that is down or not loaded yet must never make a project disappear.
 */
export type Lookup = LookupSource &
  (
    | { readonly status: "hit"; readonly record: RouteRecord }
    | { readonly status: "miss" }
    | {
        readonly status: "unknown"
        /** For logs, never for a client. */
        readonly cause?: unknown
        /** When asking again makes sense, in ms. */
        readonly retryAfterMs?: number
      }
  )

/** Where the result of a look-up came from. For explanations and metrics. */
export interface LookupSource {
  /** The layer that gave it: `memory`, `kv`, `postgres`. */
  readonly layer?: string
  /** How long ago that layer learned it from the authority, in ms. */
  readonly ageMs?: number
  /** True when it is past its time and was given because nothing newer can be had now. */
  readonly stale?: boolean
}

/** How to look. */
export interface LookupOptions {
  /** True after a machine said that it is not the one meant: ask the authority, past every cache. Default false. */
  readonly refresh?: boolean
  /** Aborted when the client has left or the look-up took too long. */
  readonly signal: AbortSignal
  /** Keeps work alive that goes on after the look-up, where the runtime needs it (Workers). */
  readonly waitUntil?: (work: Promise<unknown>) => void
}

/**
 * What a router reads routes from. Implemented by store authors: only `get` is required.
 *
 * A `get` that throws, rejects or takes longer than 5 s counts as `unknown`. Return a plain value rather than a promise
 * where the result is known at once.
 */
export interface RouteStore {
  get(key: RouteKey, options: LookupOptions): Lookup | PromiseLike<Lookup>
  /**
   * Several keys in one round trip. Equal to asking `get` for each in turn until one is no `miss`: the first `hit` counts,
   * and an `unknown` ends the search. `key` says which one that was; absent on a miss.
   */
  getFirst?(keys: readonly RouteKey[], options: LookupOptions): FirstLookup | PromiseLike<FirstLookup>
  /** What the store holds now. Cheap: it is called for every metrics scrape. */
  stats?(): StoreStats
  /** Ends timers and connections. Nothing is looked up afterwards. */
  dispose?(): void | PromiseLike<void>
}

/** The result of looking for the first of several keys. */
export type FirstLookup = Lookup & { readonly key?: RouteKey }

/** What a store holds, by layer, in the order in which they are asked. */
export interface StoreStats {
  readonly layers: readonly LayerStats[]
}

/** What one layer of a store holds. */
export interface LayerStats {
  readonly layer: string
  /** Records in it, negative entries not counted. */
  readonly routes?: number
  /** How long ago it last heard from the layer behind it, in ms. */
  readonly ageMs?: number
}
