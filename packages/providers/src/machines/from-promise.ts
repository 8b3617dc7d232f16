import * as Effect from "effect/Effect"
import { failureCode } from "@project-ingress/forward/internal"
import { isProviderError, machineRef, ProviderUnavailable } from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import type { Machine } from "../contract/machine-provider.ts"
import type { Spans } from "./spans.ts"
import { TimedOut } from "./with-timeout.ts"

/** Where promises of adapters enter the program, and nowhere else. */
export type FromPromise = <A>(
  name: string,
  machine: Machine,
  run: (signal: AbortSignal) => Promise<A>,
) => Effect.Effect<A, ProviderError>

/** Each call is a span, because these are what a request waits for. The span does not see the result. */
export const makeFromPromise =
  (spans: Spans): FromPromise =>
  <A>(name: string, machine: Machine, run: (signal: AbortSignal) => Promise<A>) =>
    Effect.suspend(() => {
      let result: A
      const call = Effect.tryPromise({
        try: async (signal) => {
          result = await run(signal)
        },
        catch: (cause) => providerError(cause, machine),
      })
      return Effect.map(spans(name, machine, call), () => result)
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
