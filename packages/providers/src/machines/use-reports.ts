import { makeDividedTable, monotonicNow } from "@project-ingress/forward/internal"
import type { DividedKey } from "@project-ingress/forward/internal"

/** Reports that something is in use, at most once in a while for each entry. */
export interface UseReports<A> {
  /**
   * It is in use now, and until `closed` settles: reported at once, unless it was a moment ago, and then again and again. Waits for
   * nothing.
   */
  readonly markUsed: (
    entry: DividedKey,
    subject: A,
    closed: Promise<unknown> | undefined,
    waitUntil: ((work: Promise<unknown>) => void) | undefined,
  ) => void
}

/** A timer may be early by the clock that is read, and would then miss its turn. */
const SLACK_MS = 500

/** `report` must not throw and must not reject; `isOpen` is true for something that was reported open before. */
export const makeUseReports = <A>(options: {
  /** How often one entry is reported, in ms, at most. */
  readonly intervalMs: number
  readonly report: (subject: A, isOpen: boolean) => Promise<unknown> | undefined
}): UseReports<A> => {
  const { intervalMs, report } = options
  /** When each entry was last reported, by `monotonicNow`. Plain data: requests share it. */
  const reportedAt = makeDividedTable<number>()

  const reportOnce = (entry: DividedKey, subject: A, isOpen: boolean): Promise<unknown> | undefined => {
    const now = monotonicNow()
    if (now - (reportedAt.get(entry) ?? -Infinity) < intervalMs) return undefined
    reportedAt.set(entry, now)
    return report(subject, isOpen)
  }

  return {
    markUsed: (entry, subject, closed, waitUntil) => {
      const reporting = reportOnce(entry, subject, false)
      if (reporting !== undefined) waitUntil?.(reporting)
      if (closed === undefined) return
      // One for each response that stays open, because on Workers a timer ends with the request that set it.
      const timer = setInterval(() => void reportOnce(entry, subject, true), intervalMs + SLACK_MS)
      const stop = (): void => clearInterval(timer)
      closed.then(stop, stop)
    },
  }
}
