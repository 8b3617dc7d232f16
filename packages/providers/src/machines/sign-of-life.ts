import { makeDividedTable, monotonicNow } from "@project-ingress/forward/internal"
import type { HopHeaderNames } from "@project-ingress/forward"
import * as Effect from "effect/Effect"
import type { Endpoint } from "../contract/machine-provider.ts"
import { machineEntry } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { pause } from "./pause.ts"
import type { ProviderClient } from "./provider-client.ts"
import { isReady } from "./readiness-probe.ts"
import type { ReadinessProbe } from "./readiness-probe.ts"
import { withTimeout } from "./with-timeout.ts"

/** What shows that machines run, whatever their apps and their vendors' APIs do. */
export interface SignsOfLife {
  /** The machine has responded. */
  readonly seen: (to: Destination) => void
  /** Whether it has a moment ago. */
  readonly isRecent: (to: Destination) => boolean
  /**
   * Resolves when so many ms have passed and nothing has shown that the machine runs. Once something has, it never does: a request
   * may then wait for its app as long as it takes. `sentTo`: the endpoint that the request was last sent to, if it was.
   */
  readonly missing: (
    to: Destination,
    ms: number,
    sentTo: () => Endpoint | undefined,
    signal: AbortSignal,
  ) => Promise<void>
}

/** How long a response shows that the machine runs, in ms. */
const RECENT_MS = 2_000
/** How long a probe waits before the next one, in ms. */
const PROBE_PAUSE_MS = 100

export const makeSignsOfLife = (
  client: Pick<ProviderClient, "status">,
  options: { readonly readinessProbe: ReadinessProbe; readonly headerNames: HopHeaderNames },
): SignsOfLife => {
  const seenAt = makeDividedTable<number>()
  const isRecent = (to: Destination): boolean =>
    monotonicNow() - (seenAt.get(machineEntry(to)) ?? -Infinity) < RECENT_MS

  /** Whether the machine's proxy responds there; of an app's own address, whether the provider does not say that it is down. */
  const isThere = async (to: Destination, endpoint: Endpoint, ms: number, signal: AbortSignal): Promise<boolean> => {
    try {
      return await withTimeout(ms, signal, async (ended) => {
        if (endpoint.machineProxy !== false) {
          return isReady(options.readinessProbe, to, endpoint, options.headerNames)
        }
        const status = await Effect.runPromise(client.status(to), { signal: ended })
        return status === undefined || status.state === "running" || status.state === "unknown"
      })
    } catch {
      // An app without a machine proxy may be slow, and its vendor's API, too.
      return endpoint.machineProxy === false
    }
  }

  return {
    seen: (to) => seenAt.set(machineEntry(to), monotonicNow()),
    isRecent,
    missing: async (to, ms, sentTo, signal) => {
      const deadline = monotonicNow() + ms
      // Nearly every request has its response by then.
      await pause(ms / 4, signal)
      while (!signal.aborted) {
        const leftMs = deadline - monotonicNow()
        if (leftMs <= 0) return
        const endpoint = sentTo()
        if (isRecent(to) || (endpoint !== undefined && (await isThere(to, endpoint, leftMs, signal)))) break
        await pause(Math.min(PROBE_PAUSE_MS, Math.max(deadline - monotonicNow(), 1)), signal)
      }
      return new Promise(() => {})
    },
  }
}
