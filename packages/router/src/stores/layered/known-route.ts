import type { RouteKey, RouteRecord } from "../record.ts"

/** What was heard of a key. Times by `monotonicNow`. */
export interface KnownRoute {
  /** The record, as an object that is never changed; absent: the key led nowhere. */
  readonly record?: RouteRecord
  /** Absent with the record, and for one that is not valid. */
  readonly version?: number
  /** The layer that it came from. */
  readonly layer: string
  /** When the authority was asked for it, by whoever asked. */
  readonly heardAt: number
  /** Until when it is used without asking for a newer one. */
  readonly freshUntil: number
  /**
   * For a key that led nowhere: how long that counts, in ms. Absent where a later key of the same search led somewhere: then it is
   * part of what is known of that one, and as old as that may become.
   */
  readonly missMs?: number
  /** Whose share of the memory it takes. */
  readonly share: string
  /** When the caches in front of the authority got it last; absent: not yet. */
  cachedAt?: number | undefined
  /** Asked for before it is used again, however young it is. */
  isExpired?: boolean
  /** No newer one could be had: until when none is asked for, and how old this one may become meanwhile, in ms. */
  failure?: { readonly until: number; readonly maxAgeMs: number }
}

/** How old what is known may become, in ms. */
export interface RouteAges {
  /** Older: asked for in the background. */
  readonly softMs: number
  /** Older: asked for before it is used. */
  readonly revalidateMs: number
  /** Older: not used. */
  readonly maxAgeMs: number
  /** The same for what led nowhere, at first and at most. Older: asked for before it is used. */
  readonly missMs: number
  readonly maxMissMs: number
}

/** What is known of a key; `undefined`: nothing. */
export type KnownRoutes = (key: RouteKey) => KnownRoute | undefined

/**
 * Whether something that is heard of a key takes the place of what is known. Versions decide, whatever the order in which they
 * come; where one has none, because the key led nowhere, whoever asked the authority later.
 */
export const supersedes = (next: KnownRoute, known: KnownRoute): boolean =>
  next.version === undefined || known.version === undefined || next.version === known.version
    ? next.heardAt >= known.heardAt
    : next.version > known.version

/** Whether it may be used: at once, at once but a newer one is to be asked for, or only if no newer one can be had. */
export const stateOf = (known: KnownRoute, ages: RouteAges, now: number): "fresh" | "soft" | "overdue" => {
  if (known.isExpired === true) return "overdue"
  if (now < known.freshUntil) return "fresh"
  return known.missMs === undefined && now - known.heardAt < ages.revalidateMs ? "soft" : "overdue"
}
