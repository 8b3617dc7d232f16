import { machineKey } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { withTimeout } from "./provider-client.ts"
import type { AttemptRequest } from "./attempt-request.ts"

/** Tells providers that their machines are in use, for those that do not see it by the traffic. */
export interface KeepAlive {
  /**
   * The machine answered; it is in use until `over` settles, or for this moment. Waits for nothing: neither an answer nor a
   * request depends on how it goes.
   */
  readonly used: (
    to: Destination,
    over: Promise<unknown> | undefined,
    waitUntil: AttemptRequest<unknown>["waitUntil"],
  ) => void
}

/** How often, in ms: Daytona's own edge does it every 45 s, for machines that sleep after some minutes. */
const EVERY_MS = 45_000
/** A timer may be early by the clock that is asked, and would then miss its turn. */
const SLACK_MS = 500
/** How many machines are remembered; the one told of longest ago is forgotten first. */
const REMEMBERED = 10_000

export const makeKeepAlive = ({ timeoutMs }: { readonly timeoutMs: number }): KeepAlive => {
  /** When each machine was last told of, in ms since 1970. Plain data: requests share it. */
  const toldAt = new Map<string, number>()

  const tell = ({ provider, machine }: Destination, key: string): Promise<unknown> | undefined => {
    const now = Date.now()
    if (now - (toldAt.get(key) ?? -Infinity) < EVERY_MS) return undefined
    toldAt.delete(key)
    if (toldAt.size >= REMEMBERED) toldAt.delete(toldAt.keys().next().value!)
    toldAt.set(key, now)
    const ask = (signal: AbortSignal) => provider.keepAlive!(machine, { signal })
    return withTimeout(timeoutMs, new AbortController().signal, ask).catch(() => undefined)
  }

  return {
    used: (to, over, waitUntil) => {
      if (to.provider.keepAlive === undefined) return
      const key = machineKey(to)
      const telling = tell(to, key)
      if (telling !== undefined) waitUntil?.(telling)
      if (over === undefined) return
      // One for each answer that stays open, because on Workers a timer ends with the request that set it.
      const timer = setInterval(() => void tell(to, key), EVERY_MS + SLACK_MS)
      const stop = (): void => clearInterval(timer)
      over.then(stop, stop)
    },
  }
}
