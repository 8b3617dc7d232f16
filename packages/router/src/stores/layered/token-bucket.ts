import { monotonicNow } from "@project-ingress/forward/internal"

/** How often something may happen. */
export interface RateLimits {
  /** How many a second in the long run, more than 0. */
  readonly perSecond: number
  /** How many at once after a while without any, from 1 up. */
  readonly burst: number
}

/** A token bucket of two priorities: what can wait leaves half of it to what cannot. */
export interface TokenBucket {
  /** Takes one, if it may be taken. `canWait`: only while more than half of the bucket is left. */
  readonly take: (canWait: boolean) => boolean
}

export const makeTokenBucket = ({ perSecond, burst }: RateLimits): TokenBucket => {
  let left = burst
  let at: number | undefined
  return {
    take: (canWait) => {
      const now = monotonicNow()
      left = Math.min(burst, left + ((now - (at ?? now)) * perSecond) / 1_000)
      at = now
      if (left < 1 || (canWait && left - 1 < burst / 2 && burst > 1)) return false
      left -= 1
      return true
    },
  }
}
