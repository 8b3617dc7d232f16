import type { AttemptRequest } from "./attempt-request.ts"
import type { BackgroundEvents } from "./background-events.ts"
import { machineEntry } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { providerError } from "./from-promise.ts"
import { makeUseReports } from "./use-reports.ts"
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

export const makeKeepAlive = (options: {
  /** How long one call may take, in ms. */
  readonly timeoutMs: number
  readonly events: BackgroundEvents
}): KeepAlive => {
  const { timeoutMs, events } = options
  const report = ({ provider, machine, share }: Destination): Promise<void> => {
    const work = { provider: machine.type, machine: machine.externalId, operation: "keepAlive" } as const
    return withTimeout(timeoutMs, new AbortController().signal, (signal) =>
      provider.keepAlive!(machine, { signal }),
    ).then(
      () => events.succeeded(work, share),
      (cause: unknown) => events.failed(work, providerError(cause, machine), share),
    )
  }
  const reports = makeUseReports({ intervalMs: INTERVAL_MS, report })

  return {
    markUsed: (to, closed, waitUntil) => {
      if (to.provider.keepAlive !== undefined) reports.markUsed(machineEntry(to), to, closed, waitUntil)
    },
  }
}
