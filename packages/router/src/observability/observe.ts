import { forwardErrors } from "@project-ingress/forward"
import { effectInstruments, engineMeter, requestTracing } from "@project-ingress/forward/internal"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import type { Instrument } from "../router-options.ts"
import { eventLog, isRouters, logLine } from "./event-log.ts"
import type { LogEntry, ObservedEvent } from "./event-log.ts"
import { knownCodes } from "./known-errors.ts"
import { checkObserveOptions } from "./observe-options.ts"
import type { LogOptions, ObserveOptions } from "./observe-options.ts"
import type { OpenExporter } from "./otlp.ts"
import { requestAttributes, requestInstrument } from "./request-instrument.ts"
import { routerMeter } from "./router-meter.ts"
import { sourceMeter } from "./source-meter.ts"
import { spanStarter } from "./span-starter.ts"

/** What watches one router. Nothing of it throws into a request. */
export interface Observation {
  /** For `onEvent` of `createRouter`, of `serveNode` and of stores: counts and logs. */
  readonly onEvent: (event: ObservedEvent) => void
  /** For `instrument` of `createRouter`: open requests, labels for its policies and providers, and traces. */
  readonly instrument: Instrument
  /** Counts the open connections of a host of `serveNode` as `ingress_open_connections`, until `stop`. */
  readonly watchHost: (host: { readonly connections: () => number }) => { readonly stop: () => void }
  /** All metrics of the process in the text format of Prometheus, version 0.0.4. */
  readonly metricsText: () => string
  /** The same as a response, which nobody else may read: serve it where visitors do not come, or ask for a token. */
  readonly metricsResponse: () => Response
  /** Exports now what there is; at most 5 s. In a Worker for `waitUntil`. Never rejects. */
  readonly flush: () => Promise<void>
  /** The last export, before a process ends. Never rejects. */
  readonly close: () => Promise<void>
}

/**
 * Metrics, traces and logs of a router. One for each process: its metrics are in Effect's registry, which a process has one of.
 *
 * @example
 * const observed = observe({ export: otlp({ url: "http://127.0.0.1:4318" }) })
 * const router = createRouter({ ...options, onEvent: observed.onEvent, instrument: observed.instrument })
 * const host = serveNode(router, { onEvent: observed.onEvent })
 *
 * @throws {TypeError} naming the option that is unknown or invalid
 */
export const observe = (options: ObserveOptions = {}): Observation => {
  checkObserveOptions("observe", options, true)
  return makeObservation(options, Context.empty(), false)
}

/** Watches with the registry, and with the tracer and the loggers if they are `given`, of a context. */
export const makeObservation = (
  options: ObserveOptions,
  given: Context.Context<never>,
  isGiven: boolean,
): Observation => {
  const { counter, gauge, histogram } = Metric
  const instruments = effectInstruments({ counter, gauge, histogram }, given)
  const router = routerMeter(instruments)
  const sources = sourceMeter(instruments)
  const engine = engineMeter(instruments, { codes: knownCodes, codeOf: (tag) => forwardErrors[tag].code })
  const openRequests = callbackGauge(given, "ingress_router_open_requests", "Requests whose response has no head yet")

  // Opened by the first request: a Worker has neither timers nor random numbers while its module is loaded.
  let opened: OpenExporter | undefined
  const exporter = (): OpenExporter | undefined => (opened ??= options.export?.open(given))
  const context = () => exporter()?.context ?? given

  const log =
    options.log && logger(options.log, context, isGiven || options.export?.signals.includes("logs") === true, isGiven)
  const canTrace = isGiven ? spanStarter(given) !== undefined : options.export?.signals.includes("traces") === true
  const begin = requestInstrument({
    trace: canTrace ? lazily(() => tracer(options, context())) : undefined,
    open: (change) => void (waiting += change),
  })
  let waiting = 0
  openRequests(() => waiting)

  return {
    onEvent: (event) => {
      try {
        exporter()
        if (event.type === "request") {
          if (isRouters(event)) router.record(event)
          else engine(event)
        } else if (event.type === "error") engine(event)
        else if (event.type === "route_source" || event.type === "invalid_rows") sources(event)
        else router.record(event)
        log?.(event)
      } catch {
        // What watches a request must not fail it.
      }
    },
    instrument: {
      configured: router.configured,
      begin: (request) => {
        exporter()
        return begin(request)
      },
    },
    watchHost: ({ connections }) =>
      callbackGauge(
        given,
        "ingress_open_connections",
        "Open connections from clients, WebSockets included",
      )(connections),
    metricsText: () => PrometheusMetrics.formatUnsafe(given),
    metricsResponse: () =>
      new Response(PrometheusMetrics.formatUnsafe(given), {
        headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8", "cache-control": "no-store" },
      }),
    flush: async () => exporter()?.flush(),
    close: async () => {
      await opened?.close()
    },
  }
}

type Trace = NonNullable<Parameters<typeof requestInstrument>[0]["trace"]>

const tracer = ({ tracing = {} }: ObserveOptions, context: Context.Context<never>): Trace => {
  const begin = requestTracing(spanStarter(context)!, "ingress.router", tracing)
  return (request) => begin(request.headers, () => requestAttributes(request))
}

const lazily = (make: () => Trace): Trace => {
  let made: Trace | undefined
  return (request) => (made ??= make())(request)
}

/** A gauge that is computed when it is read, so that what it counts costs nothing. */
const callbackGauge =
  (context: Context.Context<never>, name: string, description: string) =>
  (value: () => number): { readonly stop: () => void } => {
    const { remove } = Metric.registerUnsafe(Metric.gauge(name, { description }), context, {
      get: () => ({ value: value() }),
      update: () => undefined,
      modify: () => undefined,
    })
    return { stop: remove }
  }

const severities = { debug: "Debug", info: "Info", warn: "Warn", error: "Error" } as const

/** Writes lines, and gives them to Effect's loggers if these lead anywhere. */
const logger = (
  { level = "info", redact = ["clientAddress"], write }: LogOptions,
  context: () => Context.Context<never>,
  toEffect: boolean,
  isGiven: boolean,
): ((event: ObservedEvent) => void) => {
  const entryOf = eventLog(level, redact)
  // oxlint-disable-next-line no-console -- the one way to write a line that every runtime has
  const writeLine = write ?? (isGiven ? false : (line: string) => console.log(line))
  const send = ({ level, fields: { message, ...fields } }: LogEntry): void =>
    Effect.runSyncWith(context())(
      Effect.annotateLogs(Effect.logWithLevel(severities[level])(message), fields as Record<string, unknown>),
    )
  return (event) => {
    const entry = entryOf(event)
    if (entry === undefined) return
    if (writeLine !== false) writeLine(logLine(entry, new Date()))
    if (toEffect) send(entry)
  }
}
