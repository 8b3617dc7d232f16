import { makeBudget } from "@project-ingress/forward/internal"
import type { RouteKey } from "../record.ts"
import { makeNameFilter } from "./name-filter.ts"
import { makeTokenBucket } from "./token-bucket.ts"
import type { RateLimits } from "./token-bucket.ts"

/** How often the authority is read. */
export interface ReadLimits {
  /** Counts one read of a name that is known to exist, for its share; one that `canWait` leaves half of the rest to others. */
  readonly takeKnown: (share: string | undefined, canWait: boolean) => boolean
  /** Counts one read of a name of which nothing is known. */
  readonly takeUnknown: (key: RouteKey) => boolean
}

/** How many names that were put off are known when they are asked for again: half of it, at least. */
const PUT_OFF_NAMES = 131_072

/**
 * Names of which nothing is known have a bucket of their own, so that a flood of them takes nothing from the others. While it
 * lasts, half of that bucket is for names that were put off before: a visitor comes again, and a flood of different names does not.
 */
export const makeReadLimits = (known: RateLimits, unknown: RateLimits, random: () => number): ReadLimits => {
  const knownNames = makeTokenBucket(known)
  const unknownNames = makeTokenBucket(unknown)
  // At most half of all reads are one tenant's.
  const shares = makeBudget({ burst: Math.max(1, known.burst / 2), refillMs: 2_000 / known.perSecond })
  const putOff = makeNameFilter(PUT_OFF_NAMES, random)
  return {
    takeKnown: (share, canWait) =>
      (share === undefined || shares.take({ share, key: share })) && knownNames.take(canWait),
    takeUnknown: (key) => {
      const mayBeRead = unknownNames.take(!putOff.has(key))
      if (!mayBeRead) putOff.add(key)
      return mayBeRead
    },
  }
}
