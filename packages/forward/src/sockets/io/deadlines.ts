/** Something with one deadline at a time. */
export interface HasDeadline {
  /** On the scanner's clock, in ms; 0: none. */
  deadlineAt: number
  onDeadline(): void
}

/**
 * All deadlines of an engine: one interval that looks at everything open, instead of a timer for each request. To set a
 * deadline is one assignment. A deadline fires at most two intervals late and never early. The interval runs while there is
 * anything to look at and does not keep the process alive.
 *
 * The clock does not count time in which the process did not run: after a pause, as on a machine that is overloaded or was
 * asleep, what has arrived meanwhile is read before anything counts as idle.
 */
export class DeadlineScanner {
  /** The clock, in ms, as of the last scan. */
  now: number
  readonly #intervalMs: number
  readonly #entries = new Set<HasDeadline>()
  #interval: ReturnType<typeof setInterval> | undefined
  #lastScan = 0

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
    this.now = intervalMs
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
    return ms === 0 ? 0 : this.now + ms + this.#intervalMs
  }

  #scan(): void {
    const time = performance.now()
    this.now += Math.min(time - this.#lastScan, 2 * this.#intervalMs)
    this.#lastScan = time
    const { now } = this
    for (const entry of this.#entries) {
      if (entry.deadlineAt !== 0 && entry.deadlineAt <= now) {
        entry.deadlineAt = 0
        entry.onDeadline()
      }
    }
  }
}
