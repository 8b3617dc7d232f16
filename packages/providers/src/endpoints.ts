import type { Endpoint, Machine } from "./machine-provider.ts"

/** Asks the provider. The signal ends when nobody waits any more. */
export type Load = (signal: AbortSignal) => Promise<Endpoint>

/**
 * The endpoints known so far, and the questions under way. Plain data and plain promises, because requests share it: on
 * Workers a fibre of one request cannot wake another's.
 */
export interface Endpoints {
  /** What is known and still good. */
  known(key: string): Endpoint | undefined
  /** Asks, or waits for the same question of another request. Rejects as `load` does. */
  ask(key: string, load: Load, signal: AbortSignal): Promise<Endpoint>
  /** Forgets an endpoint that failed, unless a newer one took its place. */
  forget(key: string, endpoint: Endpoint): void
}

interface Flight {
  readonly answer: Promise<Endpoint>
  readonly abort: () => void
  followers: number
}

/** How many endpoints are remembered; the oldest is forgotten first. */
const REMEMBERED = 10_000
/** Credentials are renewed before they end, in ms: clocks differ, and a request takes its time. */
const EXPIRY_MARGIN_MS = 30_000
/**
 * How long to wait for another request's question, in ms, before asking oneself. On Workers that request may have ended,
 * and its I/O with it, so that no answer ever comes.
 */
const FOLLOW_MS = 250

export const makeEndpoints = (): Endpoints => {
  const known = new Map<string, { readonly endpoint: Endpoint; readonly until: number }>()
  const flights = new Map<string, Flight>()

  const remember = (key: string, endpoint: Endpoint): void => {
    const now = Date.now()
    const until = Math.min(now + endpoint.cacheForMs, (endpoint.expiresAt ?? Infinity) - EXPIRY_MARGIN_MS)
    known.delete(key)
    if (!(until > now)) return
    if (known.size >= REMEMBERED) known.delete(known.keys().next().value!)
    known.set(key, { endpoint, until })
  }

  const lead = (key: string, load: Load, signal: AbortSignal): Promise<Endpoint> => {
    const controller = new AbortController()
    const flight: Flight = {
      // A function that throws and one that rejects are the same to those who wait.
      answer: new Promise<Endpoint>((resolve) => resolve(load(controller.signal))).finally(() => {
        signal.removeEventListener("abort", leave)
        if (flights.get(key) === flight) flights.delete(key)
      }),
      abort: () => controller.abort(signal.reason),
      followers: 0,
    }
    // The one who asked left: go on for those who wait, and stop when there is nobody.
    const leave = (): void => {
      if (flight.followers > 0) return
      if (flights.get(key) === flight) flights.delete(key)
      flight.abort()
    }
    signal.addEventListener("abort", leave, { once: true })
    flights.set(key, flight)
    return flight.answer.then((endpoint) => {
      remember(key, endpoint)
      return endpoint
    })
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
      signal.throwIfAborted()
      const flight = flights.get(key)
      if (flight === undefined) return lead(key, load, signal)
      flight.followers++
      const endpoint = await within(FOLLOW_MS, flight.answer, signal).finally(() => flight.followers--)
      // An endpoint for one use belongs to the one who asked.
      if (endpoint !== undefined && endpoint.cacheForMs > 0) return endpoint
      // Whoever gives up first asks anew and becomes the one that the others wait for.
      const next = flights.get(key)
      if (endpoint === undefined && next !== undefined && next !== flight) {
        next.followers++
        const second = await within(FOLLOW_MS, next.answer, signal).finally(() => next.followers--)
        if (second !== undefined && second.cacheForMs > 0) return second
      }
      return lead(key, load, signal)
    },
    forget(key, endpoint) {
      if (known.get(key)?.endpoint === endpoint) known.delete(key)
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

/** The value, or `undefined` when it takes longer. Rejects as the promise does, or when the signal ends first. */
const within = <A>(ms: number, promise: Promise<A>, signal: AbortSignal): Promise<A | undefined> =>
  new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", left)
    }
    const left = (): void => {
      end()
      reject(signal.reason as Error)
    }
    const timer = setTimeout(() => {
      end()
      resolve(undefined)
    }, ms)
    signal.addEventListener("abort", left, { once: true })
    promise.then(resolve, reject).finally(end)
  })
