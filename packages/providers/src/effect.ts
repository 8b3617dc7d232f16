/** Sends requests to machines, for programs written with Effect: the same program as `machineFetcher`, as a service. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { makeMachines } from "./machines/machines.ts"
import type { Machines as Service } from "./machines/machines.ts"
import { checkMachinesOptions } from "./machines/machines-options.ts"
import type { MachinesOptions } from "./machines/machines-options.ts"
import { effectSpans } from "./machines/spans.ts"

export type { AttemptRequest, AttemptResponse, ReachedResponse } from "./machines/attempt-request.ts"
export type { MachinesEvent, ProofEvent, ProviderEvent, WakeEvent } from "./machines/background-events.ts"
export type { EndpointSnapshot, FailureSnapshot, MachineSnapshot } from "./machines/machine-snapshot.ts"
export type { MachinesOptions } from "./machines/machines-options.ts"
export type { ReadinessProbe } from "./machines/readiness-probe.ts"

/** The service that sends requests to machines. */
export class Machines extends Context.Service<Machines, Service>()("@project-ingress/providers/Machines") {}

/**
 * Machines with one cache of endpoints for all users of the layer. Follows the changes that providers report as long as the
 * layer lives. Each call to a provider is a span of the tracer.
 *
 * @throws {TypeError} naming the option that is unknown or invalid, as `makeMachines` does
 */
export const layer = (options: MachinesOptions): Layer.Layer<Machines> => {
  checkMachinesOptions("layer", options)
  return Layer.effect(
    Machines,
    Effect.gen(function* () {
      const machines = makeMachines(options, effectSpans)
      yield* Effect.forkScoped(machines.watch)
      return machines
    }),
  )
}
