import { monotonicNow } from "@project-ingress/forward/internal"

/** Whether something that fails is asked again. */
export interface Circuit {
  /** In how many ms it may be asked again; 0: now. Of a source that failed for a while, one caller at a time gets 0. */
  readonly waitMs: (key: string) => number
  readonly worked: () => void
  /** What was asked for when it failed. */
  readonly failed: (key: string) => void
}

/** How many different keys must fail in a row: one that always fails says nothing of the source, and waits alone. */
const KEYS = 3
/** How long nobody asks, in ms; twice as long each time. */
const FIRST_PAUSE_MS = 1_000
const LAST_PAUSE_MS = 8_000
/** How long one key that failed is not asked for, in ms. */
const KEY_PAUSE_MS = 1_000
/** How many keys that failed are kept. */
const MAX_KEYS = 1_000

/** `random`: from 0 to 1, so that many routers do not come back at once. */
export const makeCircuit = (random: () => number): Circuit => {
  const inARow = new Set<string>()
  const keysUntil = new Map<string, number>()
  let pauseMs = 0
  let openUntil: number | undefined
  let isTrying = false

  return {
    waitMs: (key) => {
      const now = monotonicNow()
      if (openUntil !== undefined) {
        if (openUntil > now) return openUntil - now
        // This caller tries; the others wait for what comes of it.
        openUntil = now + pauseMs
        isTrying = true
        return 0
      }
      const until = keysUntil.get(key)
      if (until === undefined) return 0
      if (until > now) return until - now
      keysUntil.delete(key)
      return 0
    },
    worked: () => {
      inARow.clear()
      pauseMs = 0
      openUntil = undefined
    },
    failed: (key) => {
      const now = monotonicNow()
      keysUntil.delete(key)
      if (keysUntil.size >= MAX_KEYS) keysUntil.delete(keysUntil.keys().next().value!)
      keysUntil.set(key, now + KEY_PAUSE_MS)
      if (inARow.size < KEYS) inARow.add(key)
      if (inARow.size < KEYS) return
      // One of those that were on their way when the others failed: no new attempt.
      if (openUntil !== undefined && !isTrying) return
      isTrying = false
      pauseMs = Math.min(LAST_PAUSE_MS, pauseMs === 0 ? FIRST_PAUSE_MS : pauseMs * 2)
      openUntil = now + pauseMs * (0.8 + random() * 0.4)
    },
  }
}
