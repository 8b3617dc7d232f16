import { methodLabel } from "@project-ingress/forward/internal"
import type { OpenSpan, RequestTrace, SpanAttributes } from "@project-ingress/forward/internal"
import type { TraceStep } from "../program/trace.ts"
import { observedSender } from "./observed-sender.ts"
import type { BeginAttempt } from "./observed-sender.ts"
import type { Instrument, RequestEvent } from "../router-options.ts"

/** What watching a request depends on. */
export interface RequestWatch {
  /** Begins the trace of a request; `undefined` where none are recorded. */
  readonly trace: ((request: WatchedRequest) => RequestTrace) | undefined
  /** Hears of one request more or less between its arrival and the head of its response. */
  readonly open: (change: 1 | -1) => void
}

type WatchedRequest = Parameters<Instrument["begin"]>[0]

/** Counts a router's open requests, and makes the spans of their traces. */
export const requestInstrument =
  ({ trace, open }: RequestWatch): Instrument["begin"] =>
  (request) => {
    const traced = trace?.(request)
    open(1)
    return {
      sender: traced && ((sender, tunnel) => observedSender(sender, attemptOf(traced, tunnel))),
      end: (event) => {
        open(-1)
        if (traced?.span !== undefined) endSpan(traced.span, event)
      },
    }
  }

/** The machine's proxy gets the attempt's span as its parent, so that a second attempt is seen as one. */
const attemptOf =
  (trace: RequestTrace, tunnel: string): BeginAttempt =>
  ({ headers, machine: { id, type } }) => {
    const span = trace.child?.("ingress.router.attempt", { "ingress.machine": id, "ingress.provider": type })
    const end = (outcome: number | string): void =>
      typeof outcome === "number"
        ? span?.end({ "http.response.status_code": outcome }, outcome >= 500 ? String(outcome) : undefined)
        : span?.end({ "error.type": outcome }, outcome)
    return { headers: trace.fields(headers, tunnel, span), end: span && end }
  }

// A hostname has no more; what is malformed may.
const MAX_HOST = 255

/** The attributes of a request's span: no path, no field and no address of the client. */
export const requestAttributes = ({ method, scheme, host, requestId }: WatchedRequest): SpanAttributes => ({
  "http.request.method": methodLabel(method),
  "url.scheme": scheme,
  "server.address": host.slice(0, MAX_HOST),
  "ingress.request_id": requestId,
})

const endSpan = (span: OpenSpan, event: RequestEvent | undefined): void => {
  if (event === undefined) {
    span.end({ "ingress.outcome": "not_ours" })
    return
  }
  const { status, error, code, machine, trace } = event
  for (const step of trace) span.event(`ingress.${step.step}`, attributesOf(step))
  span.end(
    {
      "http.response.status_code": status,
      "error.type": error,
      "ingress.code": code,
      "ingress.machine": machine,
    },
    // A client's own mistake is no failure of the server (OpenTelemetry, HTTP spans).
    status >= 500 ? (error ?? String(status)) : undefined,
  )
}

/** The values of a step that are texts or numbers. */
const attributesOf = (step: TraceStep): SpanAttributes =>
  Object.fromEntries(
    Object.entries(step).filter(([name, value]) => name !== "step" && typeof value !== "object" && value !== undefined),
  ) as SpanAttributes
