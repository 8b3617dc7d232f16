import { accept, checkOptions, tracingOptionChecks } from "@project-ingress/forward/internal"
import type { TracingOptions } from "@project-ingress/forward/internal"
import { logLevels, redactable } from "./event-log.ts"
import type { LogLevel, Redactable } from "./event-log.ts"
import type { Exporter } from "./otlp.ts"

/** What `observe` takes. */
export interface ObserveOptions {
  /** Writes a line of JSON for each event. Default: nothing is written. */
  readonly log?: LogOptions
  /** Which requests' traces are recorded. Needs an exporter of traces. Defaults as of {@link TracingOptions}. */
  readonly tracing?: TracingOptions
  /** Takes spans, metrics and logs away: what `otlp` returns. Default: metrics are read by `metricsResponse` alone. */
  readonly export?: Exporter
}

/** What is logged, and where. */
export interface LogOptions {
  /** `debug`: a line for each request of the host as well. `info`: one for each request of the router. Default `info`. */
  readonly level?: LogLevel
  /** What is left out of every line. Default `["clientAddress"]`. */
  readonly redact?: readonly Redactable[]
  /** Gets each line, without newline. Default: `console.log`; `false`: lines go to the exporter alone. */
  readonly write?: ((line: string) => void) | false
}

/** @throws {TypeError} naming the option that is unknown or invalid */
export const checkObserveOptions = (owner: string, options: ObserveOptions, exportable: boolean): void => {
  checkOptions(owner, options, {
    log: accept.object,
    tracing: accept.object,
    ...(exportable ? { export: isExporter } : {}),
  })
  const { log, tracing } = options
  if (log !== undefined) checkOptions(owner, log, logChecks, { at: "log" })
  if (tracing !== undefined) checkOptions(owner, tracing, tracingOptionChecks, { at: "tracing" })
  if (exportable && tracing !== undefined && options.export?.signals.includes("traces") !== true)
    throw new TypeError(`${owner}: tracing needs an export of traces, or spans lead nowhere`)
  if (exportable && log?.write === false && options.export?.signals.includes("logs") !== true)
    throw new TypeError(`${owner}: log.write false needs an export of logs, or lines lead nowhere`)
}

const isExporter = (value: unknown): string | undefined =>
  typeof value === "object" && value !== null && "open" in value && "signals" in value ? undefined : "what otlp returns"

const logChecks = {
  level: accept.oneOf(...logLevels),
  redact: accept.array(accept.oneOf(...redactable)),
  write: (value: unknown) => (value === false || typeof value === "function" ? undefined : "a function or false"),
}
