import { monotonicNow } from "@project-ingress/forward/internal"
import { backOffMs } from "./back-off.ts"
import type { BackOff } from "./back-off.ts"

/** Whether something that fails is asked again. */
export interface Circuit {
  /** In how many ms it may be asked again; 0: now. */
  readonly waitMs: (key: string) => number
  /** It is asked now. Where it failed for a while, others wait for what comes of it. */
  readonly begin: () => void
  readonly worked: () => void
  /** What was asked for when it failed. `of`: what counts as one and the same in other keys, too; default the key. */
  readonly failed: (key: string, of?: string) => void
  /** It works, and one key fails: that is not asked for now. */
  readonly keyFailed: (key: string) => void
}

/** How many different keys must fail in a row: one that always fails says nothing of the source, and waits alone. */
const KEYS = 3
/** How long nobody asks. */
const BACK_OFF: BackOff = { firstMs: 1_000, longestMs: 10_000 }
/** How long one key that failed is not asked for, in ms. */
const KEY_PAUSE_MS = 1_000
/** How many keys that failed are kept. */
const MAX_KEYS = 1_000

/** `random`: from 0 to 1, so that many routers do not come back at once. */
export const makeCircuit = (random: () => number): Circuit => {
  const inARow = new Set<string>()
  const keysUntil = new Map<string, number>()
  let pauses = 0
  let pauseMs = 0
  let openUntil: number | undefined
  let isTrying = false

  const pauseKey = (key: string, now: number): void => {
    keysUntil.delete(key)
    if (keysUntil.size >= MAX_KEYS) keysUntil.delete(keysUntil.keys().next().value!)
    keysUntil.set(key, now + KEY_PAUSE_MS)
  }
  const worked = (): void => {
    inARow.clear()
    pauses = 0
    openUntil = undefined
  }

  return {
    waitMs: (key) => {
      const now = monotonicNow()
      return Math.max(0, (openUntil ?? keysUntil.get(key) ?? now) - now)
    },
    begin: () => {
      if (openUntil === undefined) return
      openUntil = monotonicNow() + pauseMs
      isTrying = true
    },
    worked,
    keyFailed: (key) => {
      worked()
      pauseKey(key, monotonicNow())
    },
    failed: (key, of = key) => {
      const now = monotonicNow()
      pauseKey(key, now)
      if (inARow.size < KEYS) inARow.add(of)
      if (inARow.size < KEYS) return
      // One of those that were on their way when the others failed: no new attempt.
      if (openUntil !== undefined && !isTrying) return
      isTrying = false
      pauseMs = backOffMs(pauses++, BACK_OFF, random)
      openUntil = now + pauseMs
    },
  }
}
