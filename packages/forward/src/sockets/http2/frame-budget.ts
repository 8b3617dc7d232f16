/** In how long a budget that is spent is full again, in ms. */
const REFILL_MS = 30_000

/** What a client may do for nothing on one connection: so much at once, and then at a rate. What it completes gives it more. */
export class FrameBudget {
  readonly #max: number
  #left: number
  #at: number

  constructor(max: number) {
    this.#max = max
    this.#left = max
    this.#at = performance.now()
  }

  /** False when it is spent. */
  spend(): boolean {
    const now = performance.now()
    this.#left = Math.min(this.#max, this.#left + ((now - this.#at) / REFILL_MS) * this.#max)
    this.#at = now
    if (this.#left < 1) return false
    this.#left--
    return true
  }

  earn(): void {
    this.#left = Math.min(this.#max, this.#left + 1)
  }
}
