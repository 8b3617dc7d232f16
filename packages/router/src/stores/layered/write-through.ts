import { monotonicNow } from "@project-ingress/forward/internal"
import type { RouteKey } from "../record.ts"
import type { RouteCacheOptions } from "../route-cache.ts"
import type { CacheLayer } from "./cache-layer.ts"
import type { KnownRoute, RouteAges } from "./known-route.ts"

/** Writes what is known into caches, in the background: what counts is only that a later look-up finds it there. */
export const writeThrough = (
  caches: readonly CacheLayer[],
  key: RouteKey,
  { record, heardAt }: KnownRoute,
  { ages, waitUntil }: Pick<RouteCacheOptions, "waitUntil"> & { readonly ages: RouteAges },
): void => {
  if (caches.length === 0) return
  const readAt = Math.round(Date.now() - (monotonicNow() - heardAt))
  const entry = record === undefined ? { key, readAt } : { key, readAt, record }
  const options = { ttlMs: ages.maxAgeMs, ...(waitUntil === undefined ? {} : { waitUntil }) }
  const written = Promise.all(caches.map((cache) => cache.write(key, entry, options)))
  waitUntil?.(written)
}

/** How far the clocks of two machines may be apart, in ms. */
const MAX_SKEW_MS = 5_000

/**
 * How old an entry of a cache is, by this machine's clock. One of the future was written by a clock that is wrong, or this one
 * is: nobody knows its age, so it is asked for before it is used.
 */
export const ageOf = (readAt: number, ages: RouteAges): number => {
  const ageMs = Date.now() - readAt
  if (ageMs >= 0) return ageMs
  return ageMs >= -MAX_SKEW_MS ? 0 : ages.revalidateMs
}
