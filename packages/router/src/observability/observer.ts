import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { makeObservation } from "./observe.ts"
import type { Observation } from "./observe.ts"
import { checkObserveOptions } from "./observe-options.ts"
import type { ObserveOptions } from "./observe-options.ts"

/** What watches a router, in a program that runs on Effect. */
export class Observer extends Context.Service<Observer, Observation>()("@project-ingress/router/Observer") {}

/**
 * `observe` as a layer: its metrics are in the registry, its spans are the tracer's and its lines the loggers' of the program that
 * builds it. Without a tracer of one's own no trace is recorded.
 *
 * @throws {TypeError} naming the option that is unknown or invalid
 */
export const layer = (options: Omit<ObserveOptions, "export"> = {}): Layer.Layer<Observer> => {
  checkObserveOptions("layer", options, false)
  return Layer.effect(
    Observer,
    Effect.map(Effect.context(), (context) => makeObservation(options, context, true)),
  )
}
