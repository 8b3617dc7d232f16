/**
 * The time for durations, in ms since any moment: it never goes backwards, and correcting the wall clock does not move it. Only
 * differences mean something; what has not happened yet is `undefined` and never 0, because the time itself begins near 0.
 */
export const monotonicNow = (): number => (isWallClock() ? fromWallClock() : performance.now())

/**
 * The most that can pass between two readings of a clock that shows nothing but the wall clock's time, in ms. It is above what
 * is usually kept for a duration, so that nothing outlives its time because a runtime slept between two requests.
 */
const MAX_STEP_MS = 10 * 60_000

/** A monotonic clock made of one that can be set: its previous reading shows whether it was. */
export const makeMonotonicClock = (wallNow: () => number): (() => number) => {
  let previous: number | undefined
  let elapsed = 0
  return () => {
    const now = wallNow()
    const step = now - (previous ?? now)
    previous = now
    // Set back: nothing passed, as far as anybody can tell. Set forward: it may as well have slept.
    if (step > 0) elapsed += Math.min(step, MAX_STEP_MS)
    return elapsed
  }
}

const fromWallClock = makeMonotonicClock(() => Date.now())

/** In Workers `performance.now()` is `Date.now()`: its origin is that of the wall clock. Others begin with the process. */
const isWallClock = (): boolean => performance.timeOrigin === 0
