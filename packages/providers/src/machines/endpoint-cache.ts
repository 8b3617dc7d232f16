import { makeSingleFlight } from "./single-flight.ts"
import type { Endpoint, Machine } from "../contract/machine-provider.ts"

/** Asks the provider. The signal ends when nobody waits any more. */
export type Load = (signal: AbortSignal) => Promise<Endpoint>

/** The endpoints known so far, and the questions under way. */
export interface EndpointCache {
  /** What is known and still good. */
  known(key: string): Endpoint | undefined
  /** Asks, or waits for the same question of another request. Rejects as `load` does. */
  ask(key: string, load: Load, signal: AbortSignal): Promise<Endpoint>
  /** Remembers what was told without a question. */
  learn(key: string, endpoint: Endpoint): Endpoint
  /** Forgets an endpoint that failed, unless a newer one took its place. */
  forget(key: string, endpoint: Endpoint): void
  /** Forgets whatever has a key that begins so: `keyPrefix`. */
  forgetAll(prefix: string): void
}

/** How many endpoints are remembered; the oldest is forgotten first. */
const REMEMBERED = 10_000
/** Credentials are renewed before they end, in ms: clocks differ, and a request takes its time. */
const EXPIRY_MARGIN_MS = 30_000

export const makeEndpointCache = (): EndpointCache => {
  const known = new Map<string, { readonly endpoint: Endpoint; readonly until: number }>()
  const flights = makeSingleFlight<Endpoint>({ abandon: true })

  const remember = (key: string, endpoint: Endpoint): Endpoint => {
    const now = Date.now()
    const until = Math.min(now + endpoint.ttlMs, (endpoint.expiresAt ?? Infinity) - EXPIRY_MARGIN_MS)
    known.delete(key)
    if (!(until > now)) return endpoint
    if (known.size >= REMEMBERED) known.delete(known.keys().next().value!)
    known.set(key, { endpoint, until })
    return endpoint
  }

  return {
    known(key) {
      const found = known.get(key)
      if (found === undefined) return undefined
      if (found.until > Date.now()) return found.endpoint
      known.delete(key)
      return undefined
    },
    async ask(key, load, signal) {
      const asked = await flights.join(
        key,
        (signal) => load(signal).then((endpoint) => remember(key, endpoint)),
        signal,
      )
      if (asked.led || asked.value.ttlMs > 0) return asked.value
      // An endpoint for one use belongs to the one who asked.
      return remember(key, await load(signal))
    },
    learn: remember,
    forget(key, endpoint) {
      if (known.get(key)?.endpoint === endpoint) known.delete(key)
    },
    forgetAll(prefix) {
      for (const key of known.keys()) if (key.startsWith(prefix)) known.delete(key)
    },
  }
}

const fingerprints = new WeakMap<object, string>()

/** Two records have one key only if an adapter cannot tell them apart. */
export const endpointKey = (machine: Machine, port: number): string => {
  let metadata = fingerprints.get(machine.metadata)
  if (metadata === undefined) {
    metadata = JSON.stringify(machine.metadata)
    fingerprints.set(machine.metadata, metadata)
  }
  return JSON.stringify([machine.type, machine.externalId, port, machine.id, metadata])
}

/** What the keys of a machine begin with, whatever its port and metadata. */
export const keyPrefix = (type: string, externalId: string): string =>
  `${JSON.stringify([type, externalId]).slice(0, -1)},`
