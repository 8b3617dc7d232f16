import { makeSingleFlight } from "./single-flight.ts"
import type { SingleFlightOptions } from "./single-flight.ts"
import type { Endpoint } from "../contract/machine-provider.ts"

/** Resolves an endpoint with its provider. The signal aborts when nobody waits for it any more. */
export type LoadEndpoint = (signal: AbortSignal) => Promise<Endpoint>

/** The endpoints known so far, and those being loaded. */
export interface EndpointCache {
  /** What is known and not expired. */
  get(key: string): Endpoint | undefined
  /** Loads it and stores it, or waits until another request has. Rejects as `load` does, or with the signal's reason. */
  load(key: string, load: LoadEndpoint, signal: AbortSignal): Promise<Endpoint>
  /** Stores an endpoint for as long as it says, and gives it back. */
  set(key: string, endpoint: Endpoint): Endpoint
  /** Removes an endpoint that failed, unless a newer one took its place. */
  delete(key: string, endpoint: Endpoint): void
  /** Removes every endpoint whose key begins so. */
  deleteAll(keyPrefix: string): void
}

/** How many endpoints are kept; the oldest is removed first. */
const MAX_ENTRIES = 10_000
/** How long before their end credentials are renewed, in ms: clocks differ, and a request takes its time. */
const EXPIRY_MARGIN_MS = 30_000

export const makeEndpointCache = (options: Pick<SingleFlightOptions, "diesWithRequest"> = {}): EndpointCache => {
  const entries = new Map<string, { readonly endpoint: Endpoint; readonly until: number }>()
  const loading = makeSingleFlight<Endpoint>({ ...options, abortWhenAbandoned: true })

  const set = (key: string, endpoint: Endpoint): Endpoint => {
    const now = Date.now()
    const until = Math.min(now + endpoint.ttlMs, (endpoint.expiresAt ?? Infinity) - EXPIRY_MARGIN_MS)
    entries.delete(key)
    if (!(until > now)) return endpoint
    if (entries.size >= MAX_ENTRIES) entries.delete(entries.keys().next().value!)
    entries.set(key, { endpoint, until })
    return endpoint
  }

  return {
    set,
    get(key) {
      const found = entries.get(key)
      if (found === undefined) return undefined
      if (found.until > Date.now()) return found.endpoint
      entries.delete(key)
      return undefined
    },
    async load(key, load, signal) {
      const loadAndSet = (signal: AbortSignal) => load(signal).then((endpoint) => set(key, endpoint))
      const { value, led } = await loading.join(key, loadAndSet, signal)
      if (led || value.ttlMs > 0) return value
      // An endpoint for one request belongs to the one that loaded it.
      return set(key, await load(signal))
    },
    delete(key, endpoint) {
      if (entries.get(key)?.endpoint === endpoint) entries.delete(key)
    },
    deleteAll(keyPrefix) {
      for (const key of entries.keys()) if (key.startsWith(keyPrefix)) entries.delete(key)
    },
  }
}
