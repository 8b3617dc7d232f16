import { makeDividedTable } from "./divided-table.ts"
import type { Shared } from "./divided-table.ts"

/** How often something may happen, for each of many: a token bucket for each. */
export interface Budget {
  /** Counts one, if it may happen; says whether. */
  readonly take: (of: Shared) => boolean
}

/** How much is allowed. */
export interface BudgetLimits {
  /** How many at once. */
  readonly burst: number
  /** How long until one more is allowed, in ms. */
  readonly refillMs: number
}

export const makeBudget = ({ burst, refillMs }: BudgetLimits): Budget => {
  const buckets = makeDividedTable<{ readonly left: number; readonly at: number }>()
  return {
    take: (of) => {
      const now = performance.now()
      const bucket = buckets.get(of)
      const left = bucket === undefined ? burst : Math.min(burst, bucket.left + (now - bucket.at) / refillMs)
      if (left < 1) return false
      buckets.set(of, { left: left - 1, at: now })
      return true
    },
  }
}

/**
 * How much work elsewhere the failures of one machine may cause: calls of its vendor, look-ups past every cache. Whoever is root
 * in a machine decides how its requests fail, and a visitor how many there are. A machine that moves needs one or two.
 */
export const makeFailureBudget = (): Budget => makeBudget({ burst: 10, refillMs: 1_000 })
