import { accept, checkOptions, kindOf } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as OtlpExporter from "effect/observability/OtlpExporter"
import * as OtlpLogger from "effect/observability/OtlpLogger"
import * as OtlpMetrics from "effect/observability/OtlpMetrics"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as OtlpTracer from "effect/observability/OtlpTracer"
import * as Scope from "effect/Scope"

/** Where to export to, and what. */
export interface OtlpOptions {
  /** The collector: `http://127.0.0.1:4318`, to which `/v1/traces`, `/v1/metrics` and `/v1/logs` are added. http or https, without user and query. */
  readonly url: string
  /** Fields of every export, as a collector's key. */
  readonly headers?: Readonly<Record<string, string>>
  /** `service.name` of what is exported. Default `project-ingress-router`. */
  readonly serviceName?: string
  /** More attributes of the resource: `{ "deployment.environment.name": "production" }`. */
  readonly attributes?: Readonly<Record<string, string>>
  /** What is exported. Default: all three. */
  readonly signals?: readonly OtlpSignal[]
  /** How often, in ms; 1 000 to 600 000. In a Worker timers end with their request: call `flush`. Default 10 000. */
  readonly intervalMs?: number
  /** `delta` for a Worker, where each isolate counts for itself and disappears. Default `cumulative`. */
  readonly temporality?: "cumulative" | "delta"
  /** `gzip`: bodies above 1 kB are compressed. Default `none`. */
  readonly compression?: "gzip" | "none"
}

/** One of what is exported. */
export type OtlpSignal = "traces" | "metrics" | "logs"

/** What takes spans, metrics and logs away: what {@link otlp} returns. */
export interface Exporter {
  readonly signals: readonly OtlpSignal[]
  /** Opens it: `context` has what is to be exported, and a tracer and a logger more in what is returned. */
  readonly open: (context: Context.Context<never>) => OpenExporter
}

/** An exporter that is open. Its promises never reject. */
export interface OpenExporter {
  readonly context: Context.Context<never>
  /** Exports now what there is; resolves after 5 s at the latest. */
  readonly flush: () => Promise<void>
  /** The same for the last time. */
  readonly close: () => Promise<void>
}

/**
 * Exports by OTLP over HTTP, as JSON: to an OpenTelemetry collector, or to what takes OTLP itself. A collector that fails is left
 * alone for a minute, and what there is to export meanwhile is dropped.
 *
 * @throws {TypeError} naming the option that is unknown or invalid, never a header's value
 */
export const otlp = (options: OtlpOptions): Exporter => {
  checkOtlpOptions("otlp", options)
  const { signals = allSignals } = options
  return {
    signals,
    open: (context) => {
      const scope = Scope.makeUnsafe()
      // In one go, and not when the module is loaded: a Worker then has neither timers nor random numbers.
      const built = Effect.runSyncWith(context)(Layer.buildWithScope(otlpLayer(options), scope))
      const { flush } = Context.get(built, OtlpExporter.Flusher)
      return {
        context: Context.merge(context, built),
        flush: () => Effect.runPromise(Effect.ignore(Effect.timeout(flush, FLUSH_MS))),
        close: () => Effect.runPromise(Effect.ignore(Scope.close(scope, Exit.void))),
      }
    },
  }
}

/**
 * The same as a layer, for a program that runs on Effect: gives `Tracer` and a logger, and exports the metrics of the registry that it
 * is built with.
 *
 * @throws {TypeError} as {@link otlp}
 */
export const otlpLayer = (options: OtlpOptions): Layer.Layer<OtlpExporter.Flusher> => {
  checkOtlpOptions("otlpLayer", options)
  const { url, headers, serviceName = "project-ingress-router", attributes, compression, intervalMs = 10_000 } = options
  const { signals = allSignals, temporality } = options
  const base = url.replace(/\/+$/, "")
  const instance = { "service.instance.id": crypto.randomUUID(), ...attributes }
  const common = { headers, compression, resource: { serviceName, attributes: instance }, exportInterval: intervalMs }
  const layers = {
    traces: () => OtlpTracer.layer({ ...common, url: `${base}/v1/traces` }),
    metrics: () => OtlpMetrics.layer({ ...common, url: `${base}/v1/metrics`, temporality }),
    logs: () => OtlpLogger.layer({ ...common, url: `${base}/v1/logs`, mergeWithExisting: false }),
  }
  return Layer.mergeAll(OtlpExporter.layerFlusher, ...signals.map((signal) => layers[signal]())).pipe(
    Layer.provide(OtlpSerialization.layerJson),
    Layer.provide(FetchHttpClient.layer),
    Layer.provide(Layer.succeed(FetchHttpClient.Fetch, boundedFetch)),
  )
}

const allSignals: readonly OtlpSignal[] = ["traces", "metrics", "logs"]
const FLUSH_MS = 5_000
const EXPORT_MS = 10_000

/** A collector that accepts and never responds holds nothing for long, and one that redirects gets no key for another. */
const boundedFetch: typeof globalThis.fetch = (input, init = {}) => {
  const late = AbortSignal.timeout(EXPORT_MS)
  const signal = init.signal ? AbortSignal.any([init.signal, late]) : late
  return globalThis.fetch(input, { ...init, signal, redirect: "manual" })
}

/** @throws {TypeError} naming the option that is unknown or invalid */
const checkOtlpOptions = (owner: string, options: OtlpOptions): void => {
  checkOptions(owner, options, checks, { required: ["url"] })
  for (const name of ["headers", "attributes"] as const) {
    const given = options[name] ?? {}
    for (const [key, value] of Object.entries(given)) {
      if (typeof value === "string") continue
      throw new TypeError(`${owner}: ${name}.${key.slice(0, 64)} must be a string, got ${kindOf(value)}`)
    }
  }
}

const isUrl: OptionCheck = (value) => {
  const url = typeof value === "string" ? URL.parse(value) : null
  const isPlain =
    url !== null && /^https?:$/.test(url.protocol) && url.username + url.password + url.search + url.hash === ""
  return isPlain ? undefined : "an http or https URL without user, query and fragment"
}

const checks = {
  url: isUrl,
  headers: accept.object,
  serviceName: accept.string,
  attributes: accept.object,
  signals: accept.array(accept.oneOf(...allSignals)),
  intervalMs: accept.number(1_000, 600_000),
  temporality: accept.oneOf("cumulative", "delta"),
  compression: accept.oneOf("gzip", "none"),
} as const
