import { accept, checkOptions } from "@project-ingress/forward/internal"
import { backOffMs } from "../reading/back-off.ts"
import type { BackOff } from "../reading/back-off.ts"
import { pause } from "../reading/pause.ts"
import type { RouteSourceEvent } from "../store-event.ts"
import { reasonOf } from "../store-health.ts"
import { PublishFailed, PublishRefused } from "./publish-errors.ts"
import type { PublishResult, RoutePublisher } from "./route-publisher.ts"

/** What a publisher does in a round. */
export interface RoundsSettings {
  readonly layer: string
  /** Never throws. */
  readonly onEvent: (event: RouteSourceEvent) => void
  readonly all: (force: boolean, signal: AbortSignal) => Promise<PublishResult>
  readonly changes: (waitMs: number, signal: AbortSignal) => Promise<PublishResult>
}

/** How long `run` waits for a change, in ms. */
const RUN_WAIT_MS = 30_000
/** The pauses of `run` after failures. */
const BACK_OFF: BackOff = { firstMs: 1_000, longestMs: 60_000 }

/** Reports that routes were refused. */
export const reportRefusal = (layer: string, onEvent: RoundsSettings["onEvent"], { message }: PublishRefused): void =>
  onEvent({ type: "route_source", layer, state: "refused", reason: message })

/** A publisher of these rounds: one at a time, and each failure reported once. */
export const publisherOf = ({ layer, onEvent, all, changes }: RoundsSettings): RoutePublisher => {
  let isBusy = false
  let isFailing = false

  /** One round at a time: two would write one name at once. */
  const alone = async <A>(signal: AbortSignal, round: () => Promise<A>): Promise<A> => {
    signal.throwIfAborted()
    if (isBusy) throw new PublishFailed(layer, "another round of this publisher is running")
    isBusy = true
    try {
      const result = await round()
      if (isFailing) onEvent({ type: "route_source", layer, state: "recovered" })
      isFailing = false
      return result
    } catch (cause) {
      if (cause instanceof PublishRefused) reportRefusal(layer, onEvent, cause)
      else if (!isFailing && !signal.aborted) {
        isFailing = true
        const reason = cause instanceof PublishFailed ? cause.message : reasonOf(cause)
        onEvent({ type: "route_source", layer, state: "failing", reason })
      }
      throw cause
    } finally {
      isBusy = false
    }
  }
  const sync: RoutePublisher["sync"] = async (given = {}) => {
    checkOptions("sync", given, { waitMs: accept.integer(0, 60_000), signal: accept.object })
    const { waitMs = 0, signal = new AbortController().signal } = given
    return alone(signal, () => changes(waitMs, signal))
  }

  return {
    sync,
    publishAll: async (given = {}) => {
      checkOptions("publishAll", given, { force: accept.boolean, signal: accept.object })
      const { force = false, signal = new AbortController().signal } = given
      return alone(signal, () => all(force, signal))
    },
    run: async (given) => {
      checkOptions("run", given, { signal: accept.object }, { required: ["signal"] })
      const { signal } = given
      let failures = 0
      while (!signal.aborted) {
        try {
          await sync({ waitMs: RUN_WAIT_MS, signal })
          failures = 0
        } catch {
          // Reported by `alone`.
          await pause(backOffMs(failures++, BACK_OFF), signal)
        }
      }
    },
  }
}
