import { makeDividedTable, monotonicNow } from "@project-ingress/forward/internal"
import type { DividedKey } from "@project-ingress/forward/internal"
import type { AttemptRequest } from "./attempt-request.ts"
import type { BackgroundEvents } from "./background-events.ts"
import { machineEntry } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { providerError } from "./from-promise.ts"
import { withTimeout } from "./with-timeout.ts"

/** Tells providers that their machines are in use, for those that do not see it by the traffic. */
export interface KeepAlive {
  /**
   * The machine responded: it is in use until `closed` settles, or for this moment. Waits for nothing: neither a response nor
   * a request depends on the result, and a failure is an event.
   */
  readonly markUsed: (
    to: Destination,
    closed: Promise<unknown> | undefined,
    waitUntil: AttemptRequest<unknown>["waitUntil"],
  ) => void
}

/** How often, in ms: Daytona's own edge does it every 45 s, for machines that sleep after some minutes. */
const INTERVAL_MS = 45_000
/** A timer may be early by the clock that is read, and would then miss its turn. */
const SLACK_MS = 500

export const makeKeepAlive = (options: {
  /** How long one call may take, in ms. */
  readonly timeoutMs: number
  readonly events: BackgroundEvents
}): KeepAlive => {
  const { timeoutMs, events } = options
  /** When each machine was last reported, by `monotonicNow`. Plain data: requests share it. */
  const reportedAt = makeDividedTable<number>()

  const report = ({ provider, machine, share }: Destination, entry: DividedKey): Promise<void> | undefined => {
    const now = monotonicNow()
    if (now - (reportedAt.get(entry) ?? -Infinity) < INTERVAL_MS) return undefined
    reportedAt.set(entry, now)
    const work = { provider: machine.type, machine: machine.externalId, operation: "keepAlive" } as const
    return withTimeout(timeoutMs, new AbortController().signal, (signal) =>
      provider.keepAlive!(machine, { signal }),
    ).then(
      () => events.succeeded(work, share),
      (cause: unknown) => events.failed(work, providerError(cause, machine), share),
    )
  }

  return {
    markUsed: (to, closed, waitUntil) => {
      if (to.provider.keepAlive === undefined) return
      const entry = machineEntry(to)
      const reporting = report(to, entry)
      if (reporting !== undefined) waitUntil?.(reporting)
      if (closed === undefined) return
      // One for each response that stays open, because on Workers a timer ends with the request that set it.
      const timer = setInterval(() => void report(to, entry), INTERVAL_MS + SLACK_MS)
      const stop = (): void => clearInterval(timer)
      closed.then(stop, stop)
    },
  }
}
