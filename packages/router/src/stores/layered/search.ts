import type { RouteKey } from "../record.ts"
import type { FirstLookup } from "../route-store.ts"
import { stateOf } from "./known-route.ts"
import type { KnownRoute, KnownRoutes, RouteAges } from "./known-route.ts"

/** What is known of several keys in turn: the first that leads somewhere counts. */
export type Found =
  | { readonly status: "hit"; readonly key: RouteKey; readonly known: KnownRoute; readonly isAged: boolean }
  | { readonly status: "miss" }
  /** Of the key at that place nothing is known that may be used now. */
  | { readonly status: "undecided"; readonly at: number }

/** What may be used of what is known. */
export interface SearchOptions {
  readonly ages: RouteAges
  readonly now: number
  readonly accepts: "fresh" | "soft"
  /** Keys that the authority has just been read for: what it said counts, however short the ages are. */
  readonly answered?: ReadonlySet<RouteKey>
}

/** Looks at keys in turn. `isAged`: something on the way is used, and a newer one is to be asked for; never so for `fresh`. */
export const search = (
  keys: readonly RouteKey[],
  known: KnownRoutes,
  { ages, now, accepts, answered }: SearchOptions,
): Found => {
  let isAged = false
  for (const [at, key] of keys.entries()) {
    const found = known(key)
    const state = found === undefined ? "overdue" : answered?.has(key) ? "fresh" : stateOf(found, ages, now)
    if (found === undefined || state === "overdue" || (state === "soft" && accepts === "fresh")) {
      return { status: "undecided", at }
    }
    isAged ||= state === "soft"
    if (found.record !== undefined) return { status: "hit", key, known: found, isAged }
  }
  return { status: "miss" }
}

/**
 * What is used when nothing newer can be had: a record that is not older than `maxAgeMs`, reached over keys that led nowhere
 * within that time. Never a miss.
 */
export const searchStale = (
  keys: readonly RouteKey[],
  known: KnownRoutes,
  { now, maxAgeMs }: { readonly now: number; readonly maxAgeMs: number },
): FirstLookup | undefined => {
  for (const key of keys) {
    const found = known(key)
    if (found === undefined || now - found.heardAt >= maxAgeMs) return undefined
    if (found.record !== undefined) return { ...hitOf(key, found, now), stale: true }
  }
  return undefined
}

/** A record that is known, as the result of a look-up. */
export const hitOf = (
  key: RouteKey,
  { record, heardAt, layer }: KnownRoute,
  now: number,
): FirstLookup & { readonly status: "hit" } => ({
  status: "hit",
  key,
  // Whoever calls this has seen it.
  record: record!,
  layer,
  ageMs: now - heardAt,
})
