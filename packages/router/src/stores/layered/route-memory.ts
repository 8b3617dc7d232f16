import type { RouteKey, RouteRecord } from "../record.ts"
import { makeClockTable } from "../reading/clock-table.ts"
import { MAX_KEY_LENGTH } from "../route-key.ts"
import { supersedes } from "./known-route.ts"
import type { KnownRoute } from "./known-route.ts"
import { makeNameFilter } from "./name-filter.ts"
import { weigh } from "./weigh.ts"

/** What this process knows. Bounded. */
export interface RouteMemory {
  /** What was heard last, however long ago. */
  readonly get: (key: RouteKey) => KnownRoute | undefined
  /** Takes what was heard, unless something newer is known. Gives what counts now. */
  readonly learn: (key: RouteKey, heard: KnownRoute) => KnownRoute
  /** What is known of a key is asked for before it is used again; an older entry of a cache does not take its place. */
  readonly expire: (key: RouteKey) => void
  /** Forgets which keys led nowhere. */
  readonly forgetMisses: () => void
  /** Whether a key led somewhere lately, even if what was known of it is forgotten. By mistake of one in a thousand others. */
  readonly isRemembered: (key: RouteKey) => boolean
  readonly remember: (key: RouteKey) => void
  /** How many records there are. */
  readonly routes: () => number
}

/** How much is kept. */
export interface RouteMemoryLimits {
  readonly routes: number
  readonly misses: number
  readonly names: number
}

/** Keys that lead nowhere have a table of their own: those of a flood of unknown names push out each other only. */
export const makeRouteMemory = (limits: RouteMemoryLimits, random: () => number): RouteMemory => {
  const routes = makeClockTable<KnownRoute>(limits.routes)
  const misses = makeClockTable<KnownRoute>(limits.misses)
  const names = makeNameFilter(limits.names, random)
  const get: RouteMemory["get"] = (key) => routes.get(key) ?? misses.get(key)

  return {
    get,
    learn: (key, heard) => {
      const known = get(key)
      if (known !== undefined && !supersedes(heard, known)) return known
      if (key.length > MAX_KEY_LENGTH) return heard
      const { record, share } = heard
      if (record === undefined) {
        routes.delete(key)
        misses.set(key, heard, { share })
        return heard
      }
      misses.delete(key)
      // The same object as long as nothing changes: the router decodes each one once. Not by the version alone, which an author's
      // store may leave as it is.
      const isSame = known?.record !== undefined && heard.version !== undefined && isEqual(known.record, record)
      const kept = isSame ? { ...heard, record: known.record } : heard
      routes.set(key, kept, { share, weight: weigh(kept.record, limits.routes) })
      names.add(key)
      return kept
    },
    expire: (key) => {
      const known = get(key)
      if (known !== undefined) known.isExpired = true
    },
    forgetMisses: misses.clear,
    isRemembered: names.has,
    remember: names.add,
    routes: routes.size,
  }
}

/** Of records in the same order of fields, as one source gives them. */
const isEqual = (one: RouteRecord, other: RouteRecord): boolean =>
  one === other || (one.version === other.version && JSON.stringify(one) === JSON.stringify(other))
