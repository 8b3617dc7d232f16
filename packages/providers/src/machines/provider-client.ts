import * as Effect from "effect/Effect"
import { makeDividedTable, monotonicNow } from "@project-ingress/forward/internal"
import type { DividedKey } from "@project-ingress/forward/internal"
import { validEndpoint } from "../contract/validate.ts"
import { makeFailureBudget } from "./failure-budget.ts"
import { endpointKeyPrefix, machineEntry } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { makeEndpointCache } from "./endpoint-cache.ts"
import type { ProviderError } from "../contract/errors.ts"
import { providerError } from "./from-promise.ts"
import type { FromPromise } from "./from-promise.ts"
import { endpointSnapshot, failureSnapshots, statusOf } from "./machine-snapshot.ts"
import type { MachineSnapshot } from "./machine-snapshot.ts"
import { makeRecentFailures } from "./recent-failures.ts"
import { makeSingleFlight } from "./single-flight.ts"
import type { Endpoint, MachineStatus } from "../contract/machine-provider.ts"
import { isRefusal, makeVendorLimits } from "./vendor-limits.ts"
import { withTimeout } from "./with-timeout.ts"

/** De-duplicated, time-limited calls to providers, and what came of them. */
export interface ProviderClient {
  /** The machine's endpoint, if it is known and not expired. */
  readonly cached: (to: Destination) => Endpoint | undefined
  /**
   * The machine's endpoint: the one that is cached at the call, or what its provider resolves. A recent failure counts without
   * another call. While the vendor refuses calls, an endpoint counts beyond its time.
   */
  readonly endpoint: (to: Destination) => Effect.Effect<Endpoint, ProviderError>
  /**
   * What its provider resolves now, for work that several requests share and that waits between its calls. Rejects with what
   * the adapter rejects with, or the signal's reason.
   */
  readonly resolvePromise: (to: Destination, signal: AbortSignal) => Promise<Endpoint>
  /**
   * What the machine is doing, or was when its failures could still cause a call; `undefined` if the provider has no `status`.
   */
  readonly status: (to: Destination) => Effect.Effect<MachineStatus | undefined, ProviderError>
  /** Stores an endpoint that the provider gave without being asked. Throws `MachineRecordInvalid` if it is invalid. */
  readonly store: (to: Destination, endpoint: Endpoint) => Endpoint
  /**
   * Forgets an endpoint that failed, unless a newer one took its place, or the machine's failures have caused too many calls by
   * now: it then stays for as long as it may be used.
   */
  readonly forget: (to: Destination, endpoint: Endpoint) => void
  /** The machine's endpoint after one failed: a newer one, what its provider resolves now, or the same if `forget` keeps it. */
  readonly refreshed: (to: Destination, failed: Endpoint) => Effect.Effect<Endpoint, ProviderError>
  /** Forgets all endpoints of a machine, and its failures. */
  readonly forgetMachine: (type: string, externalId: string) => void
  /** Starts the machine, within `ms`. Rejects as `resolvePromise` does. */
  readonly start: (to: Destination, ms: number, signal: AbortSignal) => Promise<Endpoint | void>
  /** Why the machine could not be started a moment ago. */
  readonly startFailure: (to: Destination) => ProviderError | undefined
  /** What is known of the machine, without a call. */
  readonly known: (to: Destination) => Omit<MachineSnapshot, "isWaking">
  /** Keeps why the machine could not be started, for the requests of the next moment. */
  readonly startFailed: (to: Destination, error: ProviderError) => void
}

/** `timeoutMs`: how long one call may take. `callsPerMinute`: of each provider. */
export const makeProviderClient = (options: {
  readonly fromPromise: FromPromise
  readonly timeoutMs: number
  readonly callsPerMinute: number
}): ProviderClient => {
  const { fromPromise, timeoutMs } = options
  const limits = makeVendorLimits(options)
  const endpoints = makeEndpointCache()
  const failures = makeRecentFailures()
  const budget = makeFailureBudget()
  const lastStatuses = makeDividedTable<{ readonly status: MachineStatus; readonly at: number }>()
  const statuses = makeSingleFlight<MachineStatus>({ abortWhenAbandoned: true })

  /** One call, if its vendor may be called. */
  const limited = async <A>(
    to: Destination,
    ms: number,
    signal: AbortSignal,
    run: (signal: AbortSignal) => Promise<A>,
    onFailure?: (error: ProviderError) => void,
  ): Promise<A> => {
    const refused = limits.take(to)
    if (refused !== undefined) throw refused
    try {
      const value = await withTimeout(ms, signal, run)
      limits.settled(to, undefined)
      return value
    } catch (cause) {
      // Who stopped waiting learned nothing of the provider.
      if (!signal.aborted) {
        const error = providerError(cause, to.machine)
        limits.settled(to, error)
        onFailure?.(error)
      }
      throw cause
    }
  }

  /** One call whose failure is kept. The time-out is its own and not that of the request that made it: others may be waiting. */
  const call = async <A>(
    to: Destination,
    entry: DividedKey,
    signal: AbortSignal,
    run: (signal: AbortSignal) => Promise<A>,
  ): Promise<A> => {
    const value = await limited(to, timeoutMs, signal, run, (error) => failures.set(entry, error))
    failures.delete(entry)
    return value
  }

  const resolvePromise: ProviderClient["resolvePromise"] = (to, signal) => {
    const { provider, machine, port } = to
    const load = (signal: AbortSignal): Promise<Endpoint> =>
      call(to, resolveEntry(to), signal, async (signal) =>
        validEndpoint(await provider.resolve(machine, { port, signal }), machine),
      )
    return endpoints.load(to, load, signal)
  }

  const endpoint: ProviderClient["endpoint"] = (to) => {
    const known = endpoints.get(to)
    if (known !== undefined) return Effect.succeed(known)
    const failed = failures.get(resolveEntry(to))
    const resolved: Effect.Effect<Endpoint, ProviderError> =
      failed === undefined
        ? fromPromise("Machines.resolve", to.machine, (signal) => resolvePromise(to, signal))
        : Effect.fail(failed)
    return Effect.catch(resolved, (error) => {
      // The vendor refuses us, which says nothing of the machine.
      const stale = isRefusal(error) ? endpoints.stale(to) : undefined
      return stale === undefined ? Effect.fail(error) : Effect.succeed(stale)
    })
  }

  return {
    cached: (to) => endpoints.get(to),
    resolvePromise,
    endpoint,
    refreshed: (to, failed) =>
      Effect.suspend(() => {
        const known = endpoints.get(to)
        const replaced = known === undefined ? endpoints.isLoading(to) : known !== failed
        if (!replaced && !budget.take(machineEntry(to))) return Effect.succeed(failed)
        endpoints.delete(to, failed)
        return endpoint(to)
      }),
    status: (to) =>
      Effect.suspend((): Effect.Effect<MachineStatus | undefined, ProviderError> => {
        const { provider, machine } = to
        if (provider.status === undefined) return Effect.succeed(undefined)
        const entry = machineEntry(to, " status")
        const failed = failures.get(entry)
        if (failed !== undefined) return Effect.fail(failed)
        if (statuses.waiting(entry.key) === undefined && !budget.take(machineEntry(to))) {
          return Effect.succeed(lastStatuses.get(entry)?.status)
        }
        const load = (signal: AbortSignal) => call(to, entry, signal, (signal) => provider.status!(machine, { signal }))
        return fromPromise("Machines.status", machine, (signal) =>
          statuses.join(entry.key, load, signal).then(({ value }) => {
            lastStatuses.set(entry, { status: value, at: monotonicNow() })
            return value
          }),
        )
      }),
    store: (to, endpoint) => {
      const stored = endpoints.set(to, validEndpoint(endpoint, to.machine))
      failures.delete(resolveEntry(to))
      return stored
    },
    forget: (to, endpoint) => {
      if (endpoints.get(to) === endpoint && budget.take(machineEntry(to))) endpoints.delete(to, endpoint)
    },
    forgetMachine: (type, externalId) => {
      const keyPrefix = endpointKeyPrefix(type, externalId)
      endpoints.deleteAll(keyPrefix)
      failures.deleteAll(keyPrefix)
      lastStatuses.deleteAll(keyPrefix)
    },
    start: (to, ms, signal) =>
      limited(to, ms, signal, (signal) => Promise.resolve(to.provider.start!(to.machine, { signal }))),
    known: (to) => {
      const known = endpoints.get(to)
      const endpoint = known ?? endpoints.stale(to)
      const circuit = limits.circuit(to)
      const last = lastStatuses.get(machineEntry(to, " status"))
      return {
        ...(endpoint === undefined ? {} : { endpoint: endpointSnapshot(endpoint, known === undefined) }),
        ...(last === undefined
          ? {}
          : { status: { ...statusOf(last.status), ageMs: Math.round(monotonicNow() - last.at) } }),
        ...(circuit === undefined ? {} : { circuit }),
        failures: [
          ...failureSnapshots("resolve", failures.get(resolveEntry(to))),
          ...failureSnapshots("status", failures.get(machineEntry(to, " status"))),
          ...failureSnapshots("start", failures.get(machineEntry(to, " start"))),
        ],
        budgets: { failureCalls: budget.left(machineEntry(to)), vendorCalls: limits.callsLeft(to) },
      }
    },
    startFailure: (to) => failures.get(machineEntry(to, " start")),
    startFailed: (to, error) => failures.set(machineEntry(to, " start"), error),
  }
}

const resolveEntry = ({ share, key }: Destination): DividedKey => ({ share, key: `${key} resolve` })
