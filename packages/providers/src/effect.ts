/** Reaching machines, for programs written with Effect: the very program behind `machineFetcher`, as a service. */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import { makeMachines } from "./reach.ts"
import type { MachinesOptions, Machines as Service } from "./reach.ts"

export type { Knock, MachinesOptions, Received, Sendable } from "./reach.ts"

/** How machines are reached. */
export class Machines extends Context.Service<Machines, Service>()("@project-ingress/providers/Machines") {}

/** One cache of endpoints for all who share the layer. */
export const layer = (options: MachinesOptions): Layer.Layer<Machines> =>
  Layer.sync(Machines, () => makeMachines(options))
