import { monotonicNow } from "@project-ingress/forward/internal"
import { decodeRecord } from "../decode-record.ts"
import { projectShare } from "../project-share.ts"
import type { RouteKey, RouteRecord } from "../record.ts"
import type { FirstLookup, LookupOptions } from "../route-store.ts"
import { LookupFailed } from "../store-health.ts"
import type { Reading, Authority } from "./authority.ts"
import type { CacheLayer } from "./cache-layer.ts"
import type { KnownRoute, KnownRoutes, RouteAges } from "./known-route.ts"
import type { ReadLimits } from "./read-limits.ts"
import type { RouteMemory } from "./route-memory.ts"
import { hitOf, search, searchStale } from "./search.ts"
import { ageOf, writeThrough } from "./write-through.ts"

/** Loads routes into the memory. */
export interface RouteLoader {
  /** Asks the caches and then the authority for what is not known of some keys, in turn. Never rejects. */
  readonly load: (keys: readonly RouteKey[], options: LoadOptions) => Promise<FirstLookup>
}

/** How to load. */
export interface LoadOptions {
  readonly waitUntil: LookupOptions["waitUntil"] | undefined
  /** True: past all caches. */
  readonly refresh?: boolean
  /** True: something that is known is in use meanwhile, and anything older than its time is asked for. */
  readonly isBackground?: boolean
}

/** What a loader works with. */
export interface RouteLoaderParts {
  readonly memory: RouteMemory
  readonly caches: readonly CacheLayer[]
  readonly authority: Authority
  /** Whether the authority takes several keys in one call. */
  readonly takesMany: boolean
  readonly limits: ReadLimits
  readonly ages: RouteAges
  readonly random: () => number
}

/** After an attempt that came to nothing, how long what is known is used without another one, in ms. */
const PAUSE_MS = 1_000
/** How much older than `revalidateMs` a route may become while the authority works and may not be read more often: times as old. */
const LIMITED_AGES = 10

type Failure = Extract<Reading, { readonly status: "unknown" }> & { readonly maxAgeMs: number }

export const makeRouteLoader = (parts: RouteLoaderParts): RouteLoader => {
  const { memory, caches, authority, takesMany, limits, ages, random } = parts
  /** A fifth less at most, so that what was loaded together is not asked for together. */
  const jittered = (ms: number): number => ms * (1 - random() / 5)

  const load: RouteLoader["load"] = async (keys, { refresh = false, isBackground = false, waitUntil }) => {
    // What was loaded here is used even if the memory keeps nothing of it.
    const seen = new Map<RouteKey, KnownRoute>()
    /** Keys that the authority was read for here. Not those of which more is known than it said. */
    const answered = new Set<RouteKey>()
    const known: KnownRoutes = (key) => seen.get(key) ?? memory.get(key)
    const learn = (key: RouteKey, heard: KnownRoute): KnownRoute => {
      const counts = memory.learn(key, heard)
      seen.set(key, counts)
      return counts
    }
    const learnResult = (key: RouteKey, heard: KnownRoute): KnownRoute => {
      const counts = learn(key, heard)
      if (counts.heardAt === heard.heardAt && counts.version === heard.version) answered.add(key)
      return counts
    }
    const context = waitUntil === undefined ? {} : { waitUntil }

    /** What is known now, as a result; or the keys to ask for. */
    const settled = (accepts: "fresh" | "soft"): FirstLookup | readonly RouteKey[] => {
      const now = monotonicNow()
      const found = search(keys, known, { ages, now, accepts, answered })
      if (found.status === "hit") return hitOf(found.key, found.known, now)
      if (found.status === "miss") return { status: "miss", layer: known(keys[0]!)?.layer ?? "memory" }
      return keys.slice(found.at).filter((key) => search([key], known, { ages, now, accepts }).status !== "miss")
    }

    const readCache = async (at: number, asked: readonly RouteKey[]): Promise<void> => {
      const cache = caches[at]!
      const read = async (key: RouteKey): Promise<void> => {
        const entry = await cache.read(key, context)
        if (entry === undefined) return
        const ageMs = ageOf(entry.readAt, ages)
        if (ageMs >= ages.maxAgeMs) return
        const heardAt = monotonicNow() - ageMs
        const route =
          entry.record === undefined
            ? missOf(key, cache.layer, heardAt, ages.missMs)
            : routeOf(key, entry.record, cache.layer, heardAt)
        const counts = learn(key, { ...route, cachedAt: heardAt })
        if (counts.heardAt === heardAt && counts.record !== undefined) {
          writeThrough(caches.slice(0, at), key, counts, { ages, ...context })
        }
      }
      await Promise.all(asked.map(read))
    }

    const missOf = (key: RouteKey, layer: string, heardAt: number, missMs: number): KnownRoute => ({
      layer,
      heardAt,
      freshUntil: heardAt + jittered(missMs),
      missMs,
      share: known(key)?.share ?? "",
    })

    const routeOf = (key: RouteKey, given: RouteRecord, layer: string, heardAt: number): KnownRoute => {
      const { record } = decodeRecord(given)
      const freshUntil = heardAt + jittered(ages.softMs)
      // Kept as it is for the router to refuse: only its own hostname fails.
      if (record === undefined) return { record: given, layer, heardAt, freshUntil, share: key }
      return { record, version: record.version, layer, heardAt, freshUntil, share: projectShare(record, key) }
    }

    const learnHit = (key: RouteKey, heard: KnownRoute): void => {
      const before = known(key)
      const counts = learnResult(key, heard)
      if (counts.version === undefined || counts.heardAt !== heard.heardAt) return
      const isSame = before?.record === counts.record
      counts.cachedAt = isSame ? before?.cachedAt : undefined
      if (counts.cachedAt !== undefined && heard.heardAt - counts.cachedAt < ages.revalidateMs / 2) return
      counts.cachedAt = heard.heardAt
      writeThrough(caches, key, counts, { ages, ...context })
    }

    /** `of`: what a later key of the same search led to. */
    const learnMiss = (key: RouteKey, layer: string, heardAt: number, of?: KnownRoute): void => {
      const before = known(key)
      const wasRoute = before?.record !== undefined || (before === undefined && memory.isRemembered(key))
      if (of !== undefined) {
        learnResult(key, { layer, heardAt, freshUntil: heardAt + jittered(ages.softMs), share: of.share })
      } else {
        const missMs = Math.min(ages.maxMissMs, before?.missMs === undefined ? ages.missMs : before.missMs * 2)
        learnResult(key, missOf(key, layer, heardAt, missMs))
      }
      // Only what may be in a cache: a flood of unknown names writes nothing.
      if (wasRoute) writeThrough(caches, key, known(key)!, { ages, ...context })
    }

    /** Counts a read of the authority. False: not now. */
    const mayRead = (asked: readonly RouteKey[]): boolean => {
      const first = asked[0]!
      const heard = known(first)
      const route = asked.map(known).find((each) => each?.record !== undefined)
      if (heard?.record !== undefined || memory.isRemembered(first)) return limits.takeKnown(route?.share, isBackground)
      // A name that nobody has asked for yet, though it may be one of a wildcard that is known: visitors can make as many as they like.
      const isBelow = heard !== undefined && (route !== undefined || asked.some(memory.isRemembered))
      return isBelow ? limits.takeBelow(route?.share, isBackground) : limits.takeUnknown(first)
    }

    const askAuthority = async (asked: readonly RouteKey[]): Promise<Failure | undefined> => {
      const missed: { readonly key: RouteKey; readonly heardAt: number; readonly layer: string }[] = []
      let failure: Failure | undefined
      let found: KnownRoute | undefined
      for (const group of takesMany ? [asked] : asked.map((key) => [key])) {
        // Before anything is counted: what is not asked takes nothing from what is.
        const waitMs = authority.waitMs(group)
        if (waitMs > 0) {
          failure = {
            status: "unknown",
            cause: paused,
            retryAfterMs: Math.max(PAUSE_MS, waitMs),
            maxAgeMs: ages.maxAgeMs,
          }
          break
        }
        if (!mayRead(group)) {
          const maxAgeMs = Math.min(ages.maxAgeMs, ages.revalidateMs * LIMITED_AGES)
          failure = { status: "unknown", cause: limited, retryAfterMs: PAUSE_MS, maxAgeMs }
          break
        }
        const heardAt = monotonicNow()
        const reading = await authority.ask(group, { refresh, ...context })
        if (reading.status === "unknown") {
          failure = { ...reading, maxAgeMs: ages.maxAgeMs }
          break
        }
        const { layer } = reading
        const end = reading.status === "hit" ? group.indexOf(reading.key) : group.length
        for (const key of group.slice(0, end)) missed.push({ key, heardAt, layer })
        if (reading.status === "miss") continue
        found = routeOf(reading.key, reading.record, layer, heardAt)
        learnHit(reading.key, found)
        break
      }
      for (const { key, heardAt, layer } of missed) learnMiss(key, layer, heardAt, found)
      return failure
    }

    const accepts = isBackground ? "fresh" : "soft"
    for (const at of refresh ? [] : caches.keys()) {
      const asked = settled(accepts)
      if (!isKeys(asked)) return asked
      await readCache(at, asked)
    }
    const asked = refresh ? keys : settled(accepts)
    if (!isKeys(asked)) return asked
    const failure = await askAuthority(asked)
    const result = failure === undefined ? settled("soft") : asked
    if (!isKeys(result)) return result
    // The authority cannot be read; or it gave less than is known already, as a replica does that is behind.
    const maxAgeMs = failure?.maxAgeMs ?? ages.maxAgeMs
    const now = monotonicNow()
    for (const key of asked) {
      const route = memory.get(key)
      if (route !== undefined) route.failure = { until: now + PAUSE_MS, maxAgeMs }
    }
    const { cause, retryAfterMs } = failure ?? { cause: behind, retryAfterMs: PAUSE_MS }
    const unknown: FirstLookup = { status: "unknown", key: asked[0]!, cause, retryAfterMs, layer: "authority" }
    return searchStale(keys, known, { now, maxAgeMs }) ?? unknown
  }

  return { load }
}

const isKeys = (settled: FirstLookup | readonly RouteKey[]): settled is readonly RouteKey[] => Array.isArray(settled)

const limited = new LookupFailed("more routes are asked for than may be read from the authority")
const paused = new LookupFailed("the authority failed a moment ago")
const behind = new LookupFailed("the authority is behind what it said before")
