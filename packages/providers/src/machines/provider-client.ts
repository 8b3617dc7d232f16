import * as Effect from "effect/Effect"
import { validEndpoint } from "../contract/validate.ts"
import { machineKey } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { keyPrefix, makeEndpointCache } from "./endpoint-cache.ts"
import { isProviderError, ProviderUnavailable, machineRef } from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import { makeSingleFlight } from "./single-flight.ts"
import type { Endpoint, Machine, MachineStatus } from "../contract/machine-provider.ts"

/** What providers are asked: each question once for all who want its answer, and never for longer than it may take. */
export interface ProviderClient {
  /** Where the machine answers, when that is known and still good. */
  readonly cached: (to: Destination) => Endpoint | undefined
  /** Where the machine answers. */
  readonly resolve: (to: Destination) => Effect.Effect<Endpoint, ProviderError>
  /** The same for work that several requests wait for. Rejects with a `ProviderError`, or with the signal's reason. */
  readonly resolvePromise: (to: Destination, signal: AbortSignal) => Promise<Endpoint>
  /** What became of the machine; `undefined` when the provider cannot say. */
  readonly status: (to: Destination) => Effect.Effect<MachineStatus | undefined, ProviderError>
  /** Remembers an endpoint that the provider told of by itself. Throws as `resolved` rejects. */
  readonly store: (to: Destination, endpoint: Endpoint) => Endpoint
  /** Forgets an endpoint that failed, unless a newer one took its place. */
  readonly forget: (to: Destination, endpoint: Endpoint) => void
  /** Forgets all endpoints of a machine. */
  readonly forgetMachine: (type: string, externalId: string) => void
}

/** `timeoutMs`: how long a provider may take to answer one question. */
export const makeProviderClient = ({ timeoutMs }: { readonly timeoutMs: number }): ProviderClient => {
  const endpoints = makeEndpointCache()
  const statuses = makeSingleFlight<MachineStatus>({ abandon: true })

  // The time-out belongs to the question, not to the one who asked it first: others may be waiting for its answer.
  const resolved: ProviderClient["resolvePromise"] = ({ provider, machine, port, key }, signal) =>
    endpoints.ask(
      key,
      (signal) =>
        withTimeout(timeoutMs, signal, (signal) => provider.resolve(machine, { port, signal })).then((endpoint) =>
          validEndpoint(endpoint, machine),
        ),
      signal,
    )

  return {
    cached: ({ key }) => endpoints.known(key),
    resolvePromise: resolved,
    resolve: (to) => fromPromise("Machines.resolve", to, (signal) => resolved(to, signal)),
    status: (to) => {
      const { provider, machine } = to
      if (provider.status === undefined) return Effect.succeed(undefined)
      const ask = (signal: AbortSignal) =>
        withTimeout(timeoutMs, signal, (signal) => provider.status!(machine, { signal }))
      return fromPromise(
        "Machines.status",
        to,
        async (signal) => (await statuses.join(machineKey(to), ask, signal)).value,
      )
    },
    store: ({ machine, key }, endpoint) => endpoints.learn(key, validEndpoint(endpoint, machine)),
    forget: ({ key }, endpoint) => endpoints.forget(key, endpoint),
    forgetMachine: (type, externalId) => endpoints.forgetAll(keyPrefix(type, externalId)),
  }
}

/**
 * The one seam between the promises of adapters and the program. A span each, because it is here that a request waits; it
 * ends without the answer, which a tracer would be given whole, secrets and all.
 */
export const fromPromise = <A>(
  name: string,
  { machine }: Destination,
  ask: (signal: AbortSignal) => Promise<A>,
): Effect.Effect<A, ProviderError> =>
  Effect.suspend(() => {
    let answer: A
    return Effect.tryPromise({
      try: async (signal) => {
        answer = await ask(signal)
      },
      catch: (cause) => providerError(cause, machine),
    }).pipe(
      Effect.withSpan(name, { attributes: { ...machineRef(machine) } }),
      Effect.map(() => answer),
    )
  })

/** Whatever an adapter throws, as one of the errors of its contract. */
export const providerError = (cause: unknown, machine: Machine): ProviderError =>
  isProviderError(cause)
    ? cause
    : new ProviderUnavailable({
        ...machineRef(machine),
        reason: failureCode(cause) ?? (cause instanceof TimedOut ? "timeout" : "the adapter failed"),
        cause,
      })

/** The `code` of an error, or of what caused it, when it is a word: `ECONNREFUSED`. */
export const failureCode = (error: unknown): string | undefined => {
  for (let at = error, depth = 0; depth < 4 && typeof at === "object" && at !== null; depth++) {
    const { code, cause } = at as { readonly code?: unknown; readonly cause?: unknown }
    if (typeof code === "string" && /^[A-Za-z][A-Za-z0-9_]{1,60}$/.test(code)) return code
    at = cause
  }
  return undefined
}

export class TimedOut extends Error {}

/** Gives up after so many ms or with the signal, even on an adapter that looks at neither. */
export const withTimeout = <A>(ms: number, outer: AbortSignal, ask: (signal: AbortSignal) => Promise<A>): Promise<A> =>
  new Promise((resolve, reject) => {
    const inner = new AbortController()
    const stop = (reason: unknown): void => {
      end()
      inner.abort(reason)
      reject(reason)
    }
    const left = (): void => stop(outer.reason)
    const timer = setTimeout(() => stop(new TimedOut(`no answer within ${ms} ms`)), ms)
    const end = (): void => {
      clearTimeout(timer)
      outer.removeEventListener("abort", left)
    }
    outer.addEventListener("abort", left, { once: true })
    new Promise<A>((resolve) => resolve(ask(inner.signal))).finally(end).then(resolve, reject)
  })
