/**
 * Metrics, traces and logs of a router, by Effect's observability modules. The router itself imports nothing of it.
 *
 * @module
 */
export { observe } from "./observability/observe.ts"
export type { Observation } from "./observability/observe.ts"
export type { LogOptions, ObserveOptions } from "./observability/observe-options.ts"
export type { LogLevel, ObservedEvent, Redactable } from "./observability/event-log.ts"
export type { TracingOptions } from "@project-ingress/forward/internal"
export { otlp, otlpLayer } from "./observability/otlp.ts"
export type { Exporter, OpenExporter, OtlpOptions, OtlpSignal } from "./observability/otlp.ts"
export { layer, Observer } from "./observability/observer.ts"
