import type { ForwardErrorTag } from "./error-rows.ts"
import type { Instruments } from "./instruments.ts"
import { closedLabel, methodLabel, statusLabel } from "./metric-labels.ts"
import type { EngineEvent } from "./sockets/contract/events.ts"

/** Upper bounds of durations in s: a local app, one a network away, one that is woken, one that streams. */
export const durationBuckets: readonly number[] = [
  0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
]

/** What an engine's metrics are labelled with beside methods and statuses. */
export interface EngineLabels {
  /** The stable codes of the responses that this process generates. */
  readonly codes: Iterable<string>
  /** The stable code of a failure. */
  readonly codeOf: (tag: ForwardErrorTag) => string
}

/** Counts what one engine does, in the router's host as in a machine's proxy. */
export const engineMeter = (
  { counter, histogram }: Instruments,
  { codes, codeOf }: EngineLabels,
): ((event: EngineEvent) => void) => {
  const codeLabel = closedLabel(codes)
  const requests = counter("ingress_requests_total", "Finished requests")
  const errors = counter("ingress_errors_total", "Error responses that the proxy generated, by stable code")
  const internalErrors = counter(
    "ingress_internal_errors_total",
    "Internal errors of the proxy, and causes of its error responses, by stable code",
  )
  const incomplete = counter("ingress_incomplete_total", "Responses that ended early")
  const received = counter("ingress_received_bytes_total", "Bytes of request bodies and WebSockets, from clients", "By")
  const sent = counter("ingress_sent_bytes_total", "Bytes of response bodies and WebSockets, to clients", "By")
  const duration = histogram(
    "ingress_request_duration_seconds",
    "From the first byte of a request to the last byte of its response, without WebSockets",
    durationBuckets,
  )
  return (event) => {
    if (event.type === "error") {
      internalErrors(event.count ?? 1, { code: codeLabel(codeOf(event.tag)) })
      return
    }
    requests(1, { method: methodLabel(event.method), status: statusLabel(event.status) })
    if (event.code !== undefined) errors(1, { code: codeLabel(event.code) })
    if (!event.complete) incomplete(1)
    if (event.bytesIn > 0) received(event.bytesIn)
    if (event.bytesOut > 0) sent(event.bytesOut)
    if (event.status !== 101) duration(event.durationMs / 1_000)
  }
}
