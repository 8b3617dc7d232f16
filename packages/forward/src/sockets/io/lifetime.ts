/**
 * What a host decides about, from its beginning to its end, as a connection by TCP or a flow of datagrams: calls those that wait for
 * the end. A subclass calls `endLife`.
 */
export class Lifetime {
  isOver = false
  /** True while the host decides: an end meanwhile is of interest to whoever works for that decision. */
  isAsking = false
  readonly #onLeft: (() => void)[] = []
  readonly #onOver: (() => void)[] = []
  #left: AbortController | undefined

  get signal(): AbortSignal {
    if (this.#left === undefined) {
      const left = new AbortController()
      this.#left = left
      this.onAbort(() => left.abort())
    }
    return this.#left.signal
  }

  onAbort(listener: () => void): void {
    if (this.isOver && this.isAsking) listener()
    else this.#onLeft.push(listener)
  }

  over(): Promise<void> {
    return new Promise((resolve) => this.onOver(resolve))
  }

  onOver(listener: () => void): void {
    if (this.isOver) listener()
    else this.#onOver.push(listener)
  }

  /** It is over. `guard` calls each listener, and reports what it throws. */
  protected endLife(guard: (listener: () => void) => void): void {
    this.isOver = true
    // Once it is decided there is nothing to stop.
    const left = this.isAsking ? this.#onLeft.splice(0) : []
    for (const listener of [...left, ...this.#onOver.splice(0)]) guard(listener)
  }
}
