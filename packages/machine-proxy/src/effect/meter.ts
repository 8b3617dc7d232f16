import { effectInstruments, engineMeter } from "@project-ingress/forward/internal"
import type { EngineEvent } from "@project-ingress/forward/sockets"
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { codes, tagLabel } from "./metric-labels.ts"

/** Counts what one proxy does. */
export interface Meter {
  /** For `onEvent`. */
  readonly record: (event: EngineEvent) => void
  /** For `onUpgrade`. */
  readonly upgraded: () => void
  /** Adds the gauges to the registry, until `stop`. `connections` is called when they are read. */
  readonly watch: (connections: () => number) => { readonly stop: () => void }
}

/** The metrics of one proxy, in the registry of `context` and with its attributes. */
export const makeMeter = (context: Context.Context<never>): Meter => {
  const { counter, gauge, histogram } = Metric
  const meter = engineMeter(effectInstruments({ counter, gauge, histogram }, context), { codes, codeOf: tagLabel })
  const openConnections = Metric.gauge("ingress_open_connections", {
    description: "Open connections from clients, WebSockets included",
  })
  const openWebSockets = Metric.gauge("ingress_open_websockets", { description: "Open WebSockets" })

  let webSockets = 0
  return {
    record: (event) => {
      meter(event)
      if (event.type === "request" && event.status === 101) webSockets--
    },
    upgraded: () => {
      webSockets++
    },
    // The gauges are computed when they are read, so that a connection costs nothing.
    watch: (connections) => {
      const gauges = [
        [openConnections, connections],
        [openWebSockets, () => webSockets],
      ] as const
      const registrations = gauges.map(([gauge, value]) =>
        Metric.registerUnsafe(gauge, context, {
          get: () => ({ value: value() }),
          update: () => undefined,
          modify: () => undefined,
        }),
      )
      return { stop: () => registrations.forEach(({ remove }) => remove()) }
    },
  }
}
