/** Something with one deadline at a time. */
export interface HasDeadline {
  /** By `performance.now()`, in ms, as `in` of the scanner gives it; 0: none. */
  deadlineAt: number
  onDeadline(): void
}

/**
 * All deadlines of an engine: one interval that looks at everything open, instead of a timer for each request. To set a
 * deadline is one assignment. The interval runs while there is anything to look at and does not keep the process alive.
 *
 * A deadline never fires early, and fires with the first scan after it: at most one interval late while the event loop is free.
 * After a pause, as on a machine that is overloaded or was asleep, what came due during the pause waits for one more scan: bytes
 * that arrived meanwhile are read before that, and whoever sent them was not idle.
 */
export class DeadlineScanner {
  /** How long this process stood still in all, in ms: what is measured beside deadlines can leave it out. */
  stalledMs = 0
  readonly #intervalMs: number
  readonly #entries = new Set<HasDeadline>()
  #interval: ReturnType<typeof setInterval> | undefined
  #lastScan = 0

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  add(entry: HasDeadline): void {
    this.#entries.add(entry)
    if (this.#interval !== undefined) return
    this.#lastScan = performance.now()
    this.#interval = setInterval(() => this.#scan(), this.#intervalMs)
    this.#interval.unref()
  }

  remove(entry: HasDeadline): void {
    this.#entries.delete(entry)
    if (this.#entries.size > 0) return
    clearInterval(this.#interval)
    this.#interval = undefined
  }

  /** A deadline `ms` from now; 0 gives none. */
  in(ms: number): number {
    return ms === 0 ? 0 : performance.now() + ms
  }

  #scan(): void {
    const now = performance.now()
    const paused = now - this.#lastScan > 2 * this.#intervalMs
    const due = paused ? this.#lastScan : now
    if (paused) this.stalledMs += now - this.#lastScan - this.#intervalMs
    this.#lastScan = now
    for (const entry of this.#entries) {
      if (entry.deadlineAt !== 0 && entry.deadlineAt <= due) {
        entry.deadlineAt = 0
        entry.onDeadline()
      }
    }
  }
}
