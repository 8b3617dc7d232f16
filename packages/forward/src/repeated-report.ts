import { monotonicNow } from "./monotonic-clock.ts"

/** How often at most the same is reported again, in ms. */
const INTERVAL_MS = 1_000
/** How many different ones are kept at a time; others are not reported meanwhile. */
const MAX_KEYS = 1_000

/**
 * Reports what may happen often: each key the first time at once, then once a second with how often it happened since, so that a
 * flood of refusals is a line a second.
 */
export const repeatedReport = <A>(report: (subject: A, count: number) => void): ((key: string, subject: A) => void) => {
  /** What was reported, and how often it happened since. */
  const since = new Map<string, { readonly subject: A; count: number }>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let dueAt = 0

  const flush = (): void => {
    timer = undefined
    for (const [key, { subject, count }] of since) {
      if (count === 0) {
        since.delete(key)
        continue
      }
      since.set(key, { subject, count: 0 })
      report(subject, count)
    }
    if (since.size > 0) wait()
  }
  const wait = (): void => {
    if (timer !== undefined) return
    dueAt = monotonicNow() + INTERVAL_MS
    timer = setTimeout(flush, INTERVAL_MS)
    timer.unref?.()
  }

  return (key, subject) => {
    // In a Worker a timer ends with the request that set it.
    if (timer !== undefined && monotonicNow() > dueAt + INTERVAL_MS) flush()
    const known = since.get(key)
    if (known !== undefined) {
      known.count++
      return
    }
    if (since.size >= MAX_KEYS) return
    since.set(key, { subject, count: 0 })
    wait()
    report(subject, 1)
  }
}
