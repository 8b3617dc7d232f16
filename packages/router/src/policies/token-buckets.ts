import { monotonicNow } from "@project-ingress/forward/internal"
import { makeClockTable } from "../stores/reading/clock-table.ts"

/** A token bucket for each of many: full at first, refilled steadily. */
export interface TokenBuckets {
  /** Takes a token. 0 if there was one, else in how many ms there is one. */
  readonly take: (of: { readonly key: string; readonly share: string }) => number
}

/** How many buckets are kept. Whose bucket is forgotten has a full one again. */
const MAX_BUCKETS = 20_000

/**
 * At most 20 000 buckets, divided among shares: many names of one share push out its own buckets, and never those of a smaller one. `now`: a clock
 * that never goes backwards, in ms.
 */
export const makeTokenBuckets = (burst: number, perSecond: number, now: () => number = monotonicNow): TokenBuckets => {
  const buckets = makeClockTable<{ left: number; at: number }>(MAX_BUCKETS)
  return {
    take: ({ key, share }) => {
      const at = now()
      let bucket = buckets.get(key)
      if (bucket === undefined) {
        bucket = { left: burst, at }
        buckets.set(key, bucket, { share })
      }
      const left = Math.min(burst, bucket.left + ((at - bucket.at) / 1_000) * perSecond)
      bucket.at = at
      if (left < 1) {
        bucket.left = left
        return ((1 - left) / perSecond) * 1_000
      }
      bucket.left = left - 1
      return 0
    },
  }
}
