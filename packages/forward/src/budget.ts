import { makeDividedTable } from "./divided-table.ts"
import type { DividedKey } from "./divided-table.ts"
import { monotonicNow } from "./monotonic-clock.ts"

/** How often something may happen, for each of many: a token bucket for each. */
export interface Budget {
  /** Counts one, if it may happen; says whether. `now`: by `monotonicNow`, which is the default. */
  readonly take: (of: DividedKey, now?: number) => boolean
  /** How many may happen now, as a whole number. Counts nothing. */
  readonly left: (of: DividedKey) => number
}

/** How much is allowed. */
export interface BudgetLimits {
  /** How many at once. */
  readonly burst: number
  /** How long until one more is allowed, in ms. */
  readonly refillMs: number
}

/** A budget for each key, kept in a divided table: whose bucket it forgets has a full one again. */
export const makeBudget = ({ burst, refillMs }: BudgetLimits): Budget => {
  const buckets = makeDividedTable<{ readonly left: number; readonly at: number }>()
  const leftAt = (of: DividedKey, now: number): number => {
    const bucket = buckets.get(of)
    return bucket === undefined ? burst : Math.min(burst, bucket.left + (now - bucket.at) / refillMs)
  }
  return {
    take: (of, now = monotonicNow()) => {
      const left = leftAt(of, now)
      if (left < 1) return false
      buckets.set(of, { left: left - 1, at: now })
      return true
    },
    left: (of) => Math.floor(leftAt(of, monotonicNow())),
  }
}
