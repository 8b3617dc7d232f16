import { makeDividedTable, monotonicNow } from "@project-ingress/forward/internal"
import type { DividedKey } from "@project-ingress/forward/internal"
import { makeSingleFlight } from "./single-flight.ts"
import type { SingleFlightOptions } from "./single-flight.ts"
import type { Endpoint } from "../contract/machine-provider.ts"

/** Resolves an endpoint with its provider. The signal aborts when nobody waits for it any more. */
export type LoadEndpoint = (signal: AbortSignal) => Promise<Endpoint>

/** The endpoints known so far, and those being loaded. */
export interface EndpointCache {
  /** What is known and not expired. */
  get(of: DividedKey): Endpoint | undefined
  /** What was known until a while ago, for when nothing newer can be had. Its credentials have not ended. */
  stale(of: DividedKey): Endpoint | undefined
  /** Whether a request is loading it. */
  isLoading(of: DividedKey): boolean
  /** Loads it and stores it, or waits until another request has. Rejects as `load` does, or with the signal's reason. */
  load(of: DividedKey, load: LoadEndpoint, signal: AbortSignal): Promise<Endpoint>
  /** Stores an endpoint for as long as it says, and gives it back. */
  set(of: DividedKey, endpoint: Endpoint): Endpoint
  /** Removes an endpoint that failed, unless a newer one took its place. */
  delete(of: DividedKey, endpoint: Endpoint): void
  /** Removes every endpoint whose key begins so. */
  deleteAll(keyPrefix: string): void
}

/** How long an endpoint may be used beyond its time, in ms. */
const MAX_STALE_MS = 10 * 60_000
/** How long before their end credentials are renewed, in ms: clocks differ, and a request takes its time. */
const EXPIRY_MARGIN_MS = 30_000

export const makeEndpointCache = (options: Pick<SingleFlightOptions, "diesWithRequest"> = {}): EndpointCache => {
  const entries = makeDividedTable<Entry>()
  const loading = makeSingleFlight<Endpoint>({ ...options, abortWhenAbandoned: true })

  const set = (of: DividedKey, endpoint: Endpoint): Endpoint => {
    const { ttlMs, expiresAt = Infinity } = endpoint
    const leftMs = expiresAt - Date.now() - EXPIRY_MARGIN_MS
    // Not so, too, for what is no number.
    if (ttlMs > 0 && leftMs > 0) {
      const now = monotonicNow()
      entries.set(of, {
        endpoint,
        until: now + Math.min(ttlMs, leftMs),
        staleUntil: now + Math.min(ttlMs + MAX_STALE_MS, leftMs),
      })
    } else entries.delete(of)
    return endpoint
  }

  return {
    set,
    get(of) {
      const found = entries.get(of)
      return found !== undefined && found.until > monotonicNow() ? found.endpoint : undefined
    },
    stale(of) {
      const found = entries.get(of)
      return found !== undefined && found.staleUntil > monotonicNow() ? found.endpoint : undefined
    },
    isLoading: ({ key }) => loading.waiting(key) !== undefined,
    async load(of, load, signal) {
      const loadAndSet = (signal: AbortSignal) => load(signal).then((endpoint) => set(of, endpoint))
      const { value, led } = await loading.join(of.key, loadAndSet, signal)
      if (led || value.ttlMs > 0) return value
      // An endpoint for one request belongs to the one that loaded it.
      return set(of, await load(signal))
    },
    delete(of, endpoint) {
      if (entries.get(of)?.endpoint === endpoint) entries.delete(of)
    },
    deleteAll: entries.deleteAll,
  }
}

/**
 * Times by `monotonicNow`. The end of credentials is a time of day; read once, at the moment when whoever gave it meant the same
 * time, it becomes a duration as well, and a clock that is corrected later neither ends nor prolongs it.
 */
interface Entry {
  readonly endpoint: Endpoint
  readonly until: number
  readonly staleUntil: number
}
