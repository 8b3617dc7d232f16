/** Something with one deadline at a time. */
export interface Timed {
  /** On the wheel's clock, in ms; 0: none. */
  dueAt: number
  onDue(): void
}

/**
 * One coarse wheel for all deadlines of an engine: an interval that looks at everything open, instead of a timer for each
 * request. Setting a deadline is one assignment. A deadline fires at most `tickMs` late and never early. The interval runs
 * while anything is on the wheel and does not keep the process alive.
 */
export class DeadlineScanner {
  /** The clock, in ms, as of the last tick. */
  now: number
  readonly #tickMs: number
  readonly #entries = new Set<Timed>()
  #interval: ReturnType<typeof setInterval> | undefined

  constructor(tickMs: number) {
    this.#tickMs = tickMs
    this.now = performance.now()
  }

  add(entry: Timed): void {
    this.#entries.add(entry)
    if (this.#interval !== undefined) return
    this.now = performance.now()
    this.#interval = setInterval(() => this.#tick(), this.#tickMs)
    this.#interval.unref()
  }

  remove(entry: Timed): void {
    this.#entries.delete(entry)
    if (this.#entries.size > 0) return
    clearInterval(this.#interval)
    this.#interval = undefined
  }

  /** A deadline `ms` from now; 0 gives none. */
  in(ms: number): number {
    return ms === 0 ? 0 : this.now + ms + this.#tickMs
  }

  #tick(): void {
    const now = performance.now()
    this.now = now
    for (const entry of this.#entries) {
      if (entry.dueAt !== 0 && entry.dueAt <= now) {
        entry.dueAt = 0
        entry.onDue()
      }
    }
  }
}
