import { makeBudget } from "@project-ingress/forward/internal"
import type { Budget } from "@project-ingress/forward/internal"
import type { RouteKey } from "../record.ts"
import { makeNameFilter } from "./name-filter.ts"
import { makeTokenBucket } from "./token-bucket.ts"
import type { RateLimits } from "./token-bucket.ts"

/** How often the authority is read. */
export interface ReadLimits {
  /** Counts one read of a name that is known to exist, for its share; one that `canWait` leaves half of the rest to others. */
  readonly takeKnown: (share: string | undefined, canWait: boolean) => boolean
  /** The same for a name that is known to lead nowhere but by a later key, as below a wildcard. */
  readonly takeBelow: (share: string | undefined, canWait: boolean) => boolean
  /** Counts one read of a name of which nothing is known. */
  readonly takeUnknown: (key: RouteKey) => boolean
}

/** How many names that were put off are known when they are asked for again: half of it, at least. */
const PUT_OFF_NAMES = 131_072

/**
 * Names below wildcards have half of what names with a record of their own have, whoever owns them: visitors make as many as they
 * like, and ask for them again and again. Names of which nothing is known have a bucket of their own, so that a flood of them takes
 * nothing from the others. While a flood lasts, half of that bucket is for names that were put off before: a visitor comes again,
 * and a name of a flood does not.
 */
export const makeReadLimits = (known: RateLimits, unknown: RateLimits, random: () => number): ReadLimits => {
  const knownNames = makeTokenBucket(known)
  const unknownNames = makeTokenBucket(unknown)
  // At most half of all reads are one tenant's.
  const shares = sharesOf(part(known, 2))
  const belowNames = makeTokenBucket(part(known, 2))
  const belowShares = sharesOf(part(known, 4))
  const putOff = makeNameFilter(PUT_OFF_NAMES, random)
  const takeKnown: ReadLimits["takeKnown"] = (share, canWait) =>
    (share === undefined || shares.take({ share, key: share })) && knownNames.take(canWait)
  return {
    takeKnown,
    takeBelow: (share, canWait) =>
      (share === undefined || belowShares.take({ share, key: share })) &&
      belowNames.take(canWait) &&
      takeKnown(share, canWait),
    takeUnknown: (key) => {
      const mayBeRead = unknownNames.take(!putOff.has(key))
      if (!mayBeRead) putOff.add(key)
      return mayBeRead
    },
  }
}

const part = ({ perSecond, burst }: RateLimits, of: number): RateLimits => ({
  perSecond: perSecond / of,
  burst: Math.max(1, burst / of),
})

const sharesOf = ({ perSecond, burst }: RateLimits): Budget => makeBudget({ burst, refillMs: 1_000 / perSecond })
