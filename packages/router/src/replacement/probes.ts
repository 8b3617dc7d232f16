import { defaultHeaderNames } from "@project-ingress/forward"
import { monotonicNow } from "@project-ingress/forward/internal"
import type { MachineFetcher } from "@project-ingress/providers"
import { pauseOrReject, whenAborted } from "./pause.ts"
import { probeMachine } from "./probe-machine.ts"
import type { ProbeResult } from "./probe-machine.ts"
import type { ReplacementOptions, ReplacementProgress } from "./replacement-options.ts"

/** The probes of one replacement. */
export class Probes {
  attempts = 0
  last: ProbeResult | undefined
  #inARow = 0
  readonly #startedAt = monotonicNow()
  readonly #fetcher: MachineFetcher
  readonly #options: ReplacementOptions

  constructor(fetcher: MachineFetcher, options: ReplacementOptions) {
    this.#fetcher = fetcher
    this.#options = options
  }

  /** Whether the machine became ready before its deadline. Rejects with the signal's reason. */
  async untilReady(signal: AbortSignal): Promise<boolean> {
    const { successes = 2, deadlineMs = 120_000 } = this.#options
    const over = AbortSignal.timeout(deadlineMs)
    const ended = AbortSignal.any([signal, over])
    try {
      await this.#untilInARow("probing", true, successes, ended)
      return true
    } catch (cause) {
      signal.throwIfAborted()
      if (over.aborted) return false
      throw cause
    }
  }

  /** Resolves when the machine fails and the old one is wanted back; never where it is not. Rejects with the signal's reason. */
  untilFailing(signal: AbortSignal): Promise<unknown> {
    const { rollBackAfter = 3 } = this.#options
    if (rollBackAfter === false) return whenAborted(signal)
    this.#inARow = 0
    return this.#untilInARow("draining", false, rollBackAfter, signal)
  }

  report(step: ReplacementProgress["step"]): void {
    const { last, attempts } = this
    const elapsedMs = Math.round(monotonicNow() - this.#startedAt)
    const progress = { step, attempts, inARow: this.#inARow, elapsedMs, ...(last === undefined ? {} : { last }) }
    try {
      this.#options.onProgress?.(progress)
    } catch {
      // A log that fails must not fail the replacement.
    }
  }

  async #untilInARow(
    step: ReplacementProgress["step"],
    wanted: boolean,
    count: number,
    signal: AbortSignal,
  ): Promise<void> {
    const {
      path = "/",
      expect = isUsual,
      headerNames = defaultHeaderNames,
      probeTimeoutMs = 10_000,
      intervalMs = 500,
    } = this.#options
    const settings = { path, expect, timeoutMs: probeTimeoutMs, errorField: headerNames.error }
    for (;;) {
      this.last = await probeMachine(this.#fetcher, settings, signal)
      this.attempts += 1
      this.#inARow = this.last.ready === wanted ? this.#inARow + 1 : 0
      this.report(step)
      if (this.#inARow >= count) return
      await pauseOrReject(intervalMs, signal)
    }
  }
}

const isUsual = ({ status }: Response): boolean => status >= 200 && status < 400
