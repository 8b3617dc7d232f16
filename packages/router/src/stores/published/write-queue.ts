import { monotonicNow } from "@project-ingress/forward/internal"
import { backOffMs } from "../reading/back-off.ts"
import type { BackOff } from "../reading/back-off.ts"
import { pause } from "../reading/pause.ts"
import type { RouteKey } from "../record.ts"
import type { EntryToWrite } from "./entry.ts"
import { withinTime } from "./within-time.ts"

/** How entries are written. */
export interface WriteQueueSettings {
  /**
   * Writes some entries of different keys, none in place of one of a higher version where the place can compare. Rejects if one was
   * not written; then all of them are written again.
   */
  readonly write: (entries: readonly EntryToWrite[]) => Promise<void>
  /** How many entries go into one call of `write`. */
  readonly batch: number
  /** How many calls of `write` are in flight at a time. */
  readonly concurrency: number
  /** The least time between two writes of one key, in ms. */
  readonly keyIntervalMs: number
}

/** How often an entry is written at most, in one round. */
const MAX_ATTEMPTS = 5
/** After so many failures with no success in between, the place cannot be written to: the round is over. */
const MAX_FAILURES_IN_ROW = 20
/** The pauses after failures. */
const BACK_OFF: BackOff = { firstMs: 500, longestMs: 10_000 }

/**
 * Writes entries, of each key the one that was given last, and never one key twice within `keyIntervalMs`. A write that fails is
 * tried again with a longer pause each time.
 */
export interface WriteQueue {
  /** Writes entries of different keys. Rejects with the signal's reason only. */
  readonly writeAll: (entries: Iterable<EntryToWrite>, signal?: AbortSignal) => Promise<Written>
}

/** What came of writing entries. */
export interface Written {
  readonly written: number
  /** The keys that were not written, and why the last of them was not. */
  readonly failed: readonly RouteKey[]
  readonly cause?: unknown
}

interface Waiting {
  readonly entry: EntryToWrite
  readonly attempts: number
  /** Not before, by `monotonicNow`. */
  readonly dueAt: number
}

export const writeQueue = ({ write, batch, concurrency, keyIntervalMs }: WriteQueueSettings): WriteQueue => {
  /** Keys of the last `keyIntervalMs`, in the order of their writes. */
  const writtenAt = new Map<string, number>()
  const remember = (key: string, now: number): void => {
    if (keyIntervalMs === 0) return
    writtenAt.delete(key)
    writtenAt.set(key, now)
    for (const [oldest, at] of writtenAt) {
      if (now - at < keyIntervalMs) break
      writtenAt.delete(oldest)
    }
  }
  const dueAt = (key: string): number => {
    const last = writtenAt.get(key)
    return last === undefined ? -Infinity : last + keyIntervalMs
  }

  return {
    writeAll: async (entries, signal) => {
      const waiting: Waiting[] = Array.from(entries, (entry) => ({ entry, attempts: 0, dueAt: dueAt(entry.key) }))
      let next = 0
      let written = 0
      const failed: RouteKey[] = []
      let failuresInRow = 0
      let cause: unknown

      const takeBatch = (): readonly Waiting[] => {
        const taken = waiting.slice(next, next + batch)
        next += taken.length
        return taken
      }
      const work = async (): Promise<void> => {
        for (;;) {
          if (failuresInRow >= MAX_FAILURES_IN_ROW) return
          const taken = takeBatch()
          if (taken.length === 0) return
          // The whole batch waits for its last one.
          await pause(Math.max(...taken.map((each) => each.dueAt)) - monotonicNow(), signal)
          signal?.throwIfAborted()
          try {
            await withinTime(write(taken.map(({ entry }) => entry)))
            failuresInRow = 0
            written += taken.length
            for (const { entry } of taken) remember(entry.key, monotonicNow())
          } catch (failure) {
            cause = failure
            failuresInRow += 1
            const now = monotonicNow()
            for (const { entry, attempts } of taken) {
              remember(entry.key, now)
              const again = { entry, attempts: attempts + 1, dueAt: now + pauseAfter(attempts, keyIntervalMs) }
              if (again.attempts < MAX_ATTEMPTS) waiting.push(again)
              else failed.push(entry.key)
            }
          }
        }
      }
      await Promise.all(Array.from({ length: concurrency }, work))
      failed.push(...waiting.slice(next).map(({ entry }) => entry.key))
      return failed.length === 0 ? { written, failed } : { written, failed, cause }
    },
  }
}

/** At least so long: one key is not written more often. */
export const pauseAfter = (failures: number, leastMs: number): number =>
  Math.max(leastMs, backOffMs(failures, BACK_OFF))
