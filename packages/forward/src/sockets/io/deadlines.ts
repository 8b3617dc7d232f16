import { MAX_GRACE_MS } from "../../start-deadline.ts"

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
 * A deadline never fires early, and while the event loop is free at most one interval late. It fires only after what has arrived
 * was looked at: between the scan that finds it due and its call every socket is read once, because timers run before that.
 *
 * What came due in a stall (the process was suspended, or had no CPU) has as long again as the stall took, at most 1 s: a peer
 * that waits for us could do nothing meanwhile, and a handshake takes more than one turn. It is held back by one stall only, so
 * that deadlines also fire where every turn of the event loop is a stall.
 */
export class DeadlineScanner {
  /** How long this process stood still in all, in ms: what is measured beside deadlines can leave it out. */
  stalledMs = 0
  readonly #intervalMs: number
  readonly #entries = new Set<HasDeadline>()
  #interval: ReturnType<typeof setInterval> | undefined
  #lastScan = 0
  /** The last stall: what came due after its beginning, and by its end, does not fire before `#heldUntil`. */
  #stallBegan = 0
  #stallEnded = 0
  #heldUntil = 0

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

  /** Whether a deadline is over that may not have fired yet: after a stall its peer has had the time, too. */
  isOver({ deadlineAt }: HasDeadline): boolean {
    return deadlineAt !== 0 && deadlineAt <= performance.now()
  }

  #scan(): void {
    const now = performance.now()
    const elapsed = now - this.#lastScan
    if (elapsed > 2 * this.#intervalMs) {
      this.#stallBegan = this.#lastScan
      this.#stallEnded = now
      this.stalledMs += elapsed - this.#intervalMs
      this.#heldUntil = now + Math.min(elapsed, MAX_GRACE_MS)
    }
    this.#lastScan = now
    for (const entry of this.#entries) {
      if (!this.#isDue(entry, now)) continue
      setImmediate(() => this.#fire(now))
      return
    }
  }

  /** After the sockets were read: what is due still. */
  #fire(scannedAt: number): void {
    for (const entry of this.#entries) {
      if (!this.#isDue(entry, scannedAt)) continue
      entry.deadlineAt = 0
      entry.onDeadline()
    }
  }

  #isDue({ deadlineAt }: HasDeadline, now: number): boolean {
    if (deadlineAt === 0 || deadlineAt > now) return false
    return now >= this.#heldUntil || deadlineAt <= this.#stallBegan || deadlineAt > this.#stallEnded
  }
}
