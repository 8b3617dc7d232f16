import { makeDividedTable } from "./divided-table.ts"
import type { Shared } from "./divided-table.ts"

/** How much work elsewhere the failures of one machine may cause: calls of its vendor, look-ups past every cache. */
export interface FailureBudget {
  /** Whether it may cause one more, which is then counted. */
  readonly take: (of: Shared) => boolean
}

/** How many at once. A machine that moves needs one or two. */
const BURST = 10
/** How long until one more is allowed, in ms. */
const REFILL_MS = 1_000

/**
 * Whoever is root in a machine decides how its requests fail, and a visitor how many there are. Without a bound, an address
 * where every request fails would cost a vendor some calls for each.
 */
export const makeFailureBudget = (): FailureBudget => {
  const buckets = makeDividedTable<{ readonly left: number; readonly at: number }>()
  return {
    take(of) {
      const now = performance.now()
      const bucket = buckets.get(of)
      const left = bucket === undefined ? BURST : Math.min(BURST, bucket.left + (now - bucket.at) / REFILL_MS)
      if (left < 1) return false
      buckets.set(of, { left: left - 1, at: now })
      return true
    },
  }
}
