/** The pauses between attempts that fail, in ms. */
export interface BackOff {
  readonly firstMs: number
  readonly longestMs: number
}

/**
 * How long to wait before the next attempt, in ms: twice as long after each failure, and between half of that and all of it, so that
 * what failed together does not come back together. `failures`: how many there were before this one. `random`: from 0 to 1.
 */
export const backOffMs = (
  failures: number,
  { firstMs, longestMs }: BackOff,
  random: () => number = Math.random,
): number => Math.min(longestMs, firstMs * 2 ** failures) * (0.5 + random() / 2)
