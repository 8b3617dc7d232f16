import { makeSingleFlight } from "./single-flight.ts"
import type { SingleFlightOptions } from "./single-flight.ts"
import { makeDividedTable } from "./divided-table.ts"
import type { Shared } from "./divided-table.ts"
import type { Endpoint } from "../contract/machine-provider.ts"

/** Resolves an endpoint with its provider. The signal aborts when nobody waits for it any more. */
export type LoadEndpoint = (signal: AbortSignal) => Promise<Endpoint>

/** The endpoints known so far, and those being loaded. */
export interface EndpointCache {
  /** What is known and not expired. */
  get(of: Shared): Endpoint | undefined
  /** What was known until a while ago, for when nothing newer can be had. Its credentials have not ended. */
  stale(of: Shared): Endpoint | undefined
  /** Whether a request is loading it. */
  isLoading(of: Shared): boolean
  /** Loads it and stores it, or waits until another request has. Rejects as `load` does, or with the signal's reason. */
  load(of: Shared, load: LoadEndpoint, signal: AbortSignal): Promise<Endpoint>
  /** Stores an endpoint for as long as it says, and gives it back. */
  set(of: Shared, endpoint: Endpoint): Endpoint
  /** Removes an endpoint that failed, unless a newer one took its place. */
  delete(of: Shared, endpoint: Endpoint): void
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

  const set = (of: Shared, endpoint: Endpoint): Endpoint => {
    const entry = { endpoint, until: performance.now() + endpoint.ttlMs }
    if (isFresh(entry)) entries.set(of, entry)
    else entries.delete(of)
    return endpoint
  }

  return {
    set,
    get(of) {
      const found = entries.get(of)
      return found !== undefined && isFresh(found) ? found.endpoint : undefined
    },
    stale(of) {
      const found = entries.get(of)
      return found !== undefined && isFresh(found, MAX_STALE_MS) ? found.endpoint : undefined
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

interface Entry {
  readonly endpoint: Endpoint
  /** By `performance.now()`: how long it may be used is a duration, and a clock that is set must not change it. */
  readonly until: number
}

/** The end of credentials is a time of day, and compared with one. */
const isFresh = ({ endpoint, until }: Entry, graceMs = 0): boolean =>
  until + graceMs > performance.now() && (endpoint.expiresAt ?? Infinity) - EXPIRY_MARGIN_MS > Date.now()
