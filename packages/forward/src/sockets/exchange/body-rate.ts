/**
 * Whether a request's body comes fast enough: on average over the time in which it was waited for. Time in which nobody here
 * read it does not count, because the app was slow or the host had not decided, nor does time in which the process stood still.
 */
export class BodyRate {
  /** Bytes a second. */
  readonly min: number
  /** True if the last deadline that was set is the one of this bound. */
  isNext = false
  readonly #graceMs: number
  #waitedMs = 0
  /** Negative while nobody waits. */
  #waitingSince = -1
  /** Of the scanner, when the first wait began. */
  #stalledMs = -1

  constructor(min: number, graceMs: number) {
    this.min = min
    this.#graceMs = graceMs
  }

  /** Nobody waits for more of the body until `left` is called. */
  pause(): void {
    if (this.#waitingSince < 0) return
    this.#waitedMs += performance.now() - this.#waitingSince
    this.#waitingSince = -1
  }

  /**
   * More of the body is waited for. How long it may take to come, in ms, after so many bytes; not above 0: it is too slow.
   * `stalledMs` is the scanner's.
   */
  left(bytes: number, stalledMs: number): number {
    const now = performance.now()
    if (this.#waitingSince < 0) this.#waitingSince = now
    if (this.#stalledMs < 0) this.#stalledMs = stalledMs
    const waited = this.#waitedMs + now - this.#waitingSince - (stalledMs - this.#stalledMs)
    return Math.max(this.#graceMs, (bytes / this.min) * 1_000) - waited
  }
}
