import * as Effect from "effect/Effect"
import { validEndpoint } from "../contract/validate.ts"
import { endpointKeyPrefix, machineKey } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { makeEndpointCache } from "./endpoint-cache.ts"
import type { ProviderError } from "../contract/errors.ts"
import { fromPromise } from "./from-promise.ts"
import { makeSingleFlight } from "./single-flight.ts"
import type { Endpoint, MachineStatus } from "../contract/machine-provider.ts"
import { withTimeout } from "./with-timeout.ts"

/** De-duplicated, time-limited calls to providers, and what they resolved. */
export interface ProviderClient {
  /** The machine's endpoint, if it is known and not expired. */
  readonly cached: (to: Destination) => Endpoint | undefined
  /** The machine's endpoint: the one that is cached at the call, or what its provider resolves. */
  readonly endpoint: (to: Destination) => Effect.Effect<Endpoint, ProviderError>
  /** What its provider resolves, for work that several requests share. Rejects with what the adapter rejects with, or the signal's reason. */
  readonly resolvePromise: (to: Destination, signal: AbortSignal) => Promise<Endpoint>
  /** What the machine is doing; `undefined` if the provider has no `status`. */
  readonly status: (to: Destination) => Effect.Effect<MachineStatus | undefined, ProviderError>
  /** Stores an endpoint that the provider gave without being asked. Throws `MachineRecordInvalid` if it is invalid. */
  readonly store: (to: Destination, endpoint: Endpoint) => Endpoint
  /** Forgets an endpoint that failed, unless a newer one took its place. */
  readonly forget: (to: Destination, endpoint: Endpoint) => void
  /** Forgets all endpoints of a machine. */
  readonly forgetMachine: (type: string, externalId: string) => void
}

/** `timeoutMs`: how long one call may take. */
export const makeProviderClient = ({ timeoutMs }: { readonly timeoutMs: number }): ProviderClient => {
  const endpoints = makeEndpointCache()
  const statuses = makeSingleFlight<MachineStatus>({ abortWhenAbandoned: true })

  // The time-out belongs to the call and not to the request that made it first: others may be waiting for its result.
  const resolvePromise: ProviderClient["resolvePromise"] = ({ provider, machine, port, key }, signal) => {
    const load = async (signal: AbortSignal): Promise<Endpoint> => {
      const endpoint = await withTimeout(timeoutMs, signal, (signal) => provider.resolve(machine, { port, signal }))
      return validEndpoint(endpoint, machine)
    }
    return endpoints.load(key, load, signal)
  }

  return {
    cached: ({ key }) => endpoints.get(key),
    resolvePromise,
    endpoint: (to) => {
      const known = endpoints.get(to.key)
      return known === undefined
        ? fromPromise("Machines.resolve", to.machine, (signal) => resolvePromise(to, signal))
        : Effect.succeed(known)
    },
    status: (to) => {
      const { provider, machine } = to
      if (provider.status === undefined) return Effect.succeed(undefined)
      const load = (signal: AbortSignal) =>
        withTimeout(timeoutMs, signal, (signal) => provider.status!(machine, { signal }))
      return fromPromise("Machines.status", machine, (signal) =>
        statuses.join(machineKey(to), load, signal).then(({ value }) => value),
      )
    },
    store: ({ machine, key }, endpoint) => endpoints.set(key, validEndpoint(endpoint, machine)),
    forget: ({ key }, endpoint) => endpoints.delete(key, endpoint),
    forgetMachine: (type, externalId) => endpoints.deleteAll(endpointKeyPrefix(type, externalId)),
  }
}
