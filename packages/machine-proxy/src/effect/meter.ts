import type { EngineEvent } from "@project-ingress/forward/sockets"
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { codeLabel, methodLabel, statusLabel, tagLabel } from "./metric-labels.ts"

/** Counts what one proxy does. */
export interface Meter {
  /** For `onEvent`. */
  readonly record: (event: EngineEvent) => void
  /** For `onUpgrade`. */
  readonly upgraded: () => void
  /** Adds the gauges to the registry, until `stop`. `connections` is called when they are read. */
  readonly watch: (connections: () => number) => { readonly stop: () => void }
}

const byteCounter = (name: string, description: string): Metric.Counter<number> =>
  Metric.counter(name, { description, incremental: true, attributes: { unit: "By" } })

/**
 * The metrics of one proxy, in the registry of `context` and with its attributes. A time series is created once per set
 * of labels and updated directly, because `Metric.withAttributes` would merge attributes for each request.
 */
export const makeMeter = (context: Context.Context<never>): Meter => {
  const labelled = (name: string, description: string) => {
    const known = new Map<string, Metric.Counter<number>>()
    return (labels: Readonly<Record<string, string>>, count = 1): void => {
      const key = Object.values(labels).join(" ")
      let counter = known.get(key)
      if (counter === undefined) {
        counter = Metric.counter(name, { description, attributes: labels, incremental: true })
        known.set(key, counter)
      }
      counter.updateUnsafe(count, context)
    }
  }

  const requests = labelled("ingress_requests_total", "Finished requests")
  const errors = labelled("ingress_errors_total", "Error responses that the proxy generated, by stable code")
  const internalErrors = labelled(
    "ingress_internal_errors_total",
    "Internal errors of the proxy, and causes of its error responses, by stable code",
  )
  const incomplete = Metric.counter("ingress_incomplete_total", {
    description: "Responses that ended early",
    incremental: true,
  })
  const received = byteCounter("ingress_received_bytes_total", "Bytes of request bodies and WebSockets, from clients")
  const sent = byteCounter("ingress_sent_bytes_total", "Bytes of response bodies and WebSockets, to clients")
  const duration = Metric.histogram("ingress_request_duration_seconds", {
    description: "From the first byte of a request to the last byte of its response, without WebSockets",
    attributes: { unit: "s" },
    boundaries: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  })
  const openConnections = Metric.gauge("ingress_open_connections", {
    description: "Open connections from clients, WebSockets included",
  })
  const openWebSockets = Metric.gauge("ingress_open_websockets", { description: "Open WebSockets" })

  let webSockets = 0
  return {
    record: (event) => {
      if (event.type === "error") {
        internalErrors({ code: tagLabel(event.tag) }, event.count)
        return
      }
      requests({ method: methodLabel(event.method), status: statusLabel(event.status) })
      if (event.code !== undefined) errors({ code: codeLabel(event.code) })
      if (!event.complete) incomplete.updateUnsafe(1, context)
      if (event.bytesIn > 0) received.updateUnsafe(event.bytesIn, context)
      if (event.bytesOut > 0) sent.updateUnsafe(event.bytesOut, context)
      if (event.status === 101) webSockets--
      else duration.updateUnsafe(event.durationMs / 1_000, context)
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
