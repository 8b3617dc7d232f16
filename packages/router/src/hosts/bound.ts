import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { repeatedReport } from "@project-ingress/forward/internal"
import type { BoundEvent } from "../router-options.ts"

/** How many of something each key may have at a time. A key that has none takes no memory. */
export class Bound {
  readonly max: number
  readonly #counts = new Map<string, number>()
  readonly #onRefused: (key: string) => void

  /** `report` is called at the first refusal of a key, and then at most once a second; a metric counts all. */
  constructor(bound: BoundEvent["bound"], of: BoundEvent["of"], max: number, report: (event: BoundEvent) => void) {
    this.max = max
    const repeated = repeatedReport<string>((key, refused) =>
      report({ type: "bound_reached", bound, of, key, limit: max, refused }),
    )
    const refusals = Metric.counter("ingress_refused_total", {
      description: "Connections, requests and WebSockets that were refused because of a bound",
      attributes: { bound, of },
      incremental: true,
    })
    this.#onRefused = (key) => {
      refusals.updateUnsafe(1, Context.empty())
      repeated(key, key)
    }
  }

  /** False if the key has as many as it may; `enforced` false: it is counted all the same, and gets one more. */
  take(key: string, enforced = true): boolean {
    const count = this.#counts.get(key) ?? 0
    if (enforced && count >= this.max) {
      this.#onRefused(key)
      return false
    }
    this.#counts.set(key, count + 1)
    return true
  }

  give(key: string): void {
    const count = this.#counts.get(key) ?? 0
    if (count > 1) this.#counts.set(key, count - 1)
    else this.#counts.delete(key)
  }
}
