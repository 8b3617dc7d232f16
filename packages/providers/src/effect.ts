/** Reaching machines, for programs written with Effect: the very program behind `machineFetcher`, as a service. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { makeMachines } from "./machines/machines.ts"
import type { MachinesOptions, Machines as Service } from "./machines/machines.ts"

export type { MachinesOptions } from "./machines/machines.ts"
export type { AttemptResponse, AttemptRequest } from "./machines/attempt-request.ts"
export type { ReadinessProbe } from "./machines/waker.ts"

/** How machines are reached. */
export class Machines extends Context.Service<Machines, Service>()("@project-ingress/providers/Machines") {}

/** One cache of endpoints for all who share the layer. It follows what providers tell of changes as long as it is there. */
export const layer = (options: MachinesOptions): Layer.Layer<Machines> =>
  Layer.effect(
    Machines,
    Effect.gen(function* () {
      const machines = makeMachines(options)
      yield* Effect.forkScoped(machines.watch)
      return machines
    }),
  )
