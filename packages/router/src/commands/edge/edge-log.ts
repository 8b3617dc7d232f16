import { jsonLine, repeatedReport } from "@project-ingress/forward/internal"
import type { EngineEvent } from "@project-ingress/forward/sockets"
import type { RouterEvent } from "../../router-options.ts"
import type { InvalidRowsEvent, RouteSourceEvent } from "../../stores/store-event.ts"
import { levels } from "./edge-config.ts"
import type { LogLevel } from "./edge-config.ts"

type Fields = Parameters<typeof jsonLine>[0]

/** One line of the log. */
export interface LogEntry {
  readonly level: LogLevel
  readonly message: string
  readonly fields: Fields
}

/** Writes lines of JSON: what EdgeProxy documents for each level, and nothing below the one that is wanted. */
export interface EdgeLog {
  readonly write: (level: LogLevel, message: string, fields?: Fields) => void
  /** Writes at most one line a second for each key, with how many there were. */
  readonly repeated: (key: string, entry: LogEntry) => void
  readonly onRouterEvent: (event: RouterEvent) => void
  readonly onEngineEvent: (event: EngineEvent) => void
  readonly onSourceEvent: (event: RouteSourceEvent | InvalidRowsEvent) => void
}

/** `print` gets a line without its end. */
export const edgeLog = (
  least: LogLevel,
  print: (line: string) => void,
  now: () => Date = () => new Date(),
): EdgeLog => {
  const isLogged = (level: LogLevel): boolean => levels.indexOf(level) >= levels.indexOf(least)
  const write: EdgeLog["write"] = (level, message, fields = {}) => {
    if (isLogged(level)) print(jsonLine({ time: now().toISOString(), level, message, ...fields }))
  }
  const once = repeatedReport(({ level, message, fields }: LogEntry, count) =>
    write(level, message, count > 1 ? { ...fields, count } : fields),
  )
  const repeated: EdgeLog["repeated"] = (key, entry) => {
    if (isLogged(entry.level)) once(key, entry)
  }
  const emit = (entry: LogEntry | undefined): void => {
    if (entry === undefined) return
    // What anybody on the internet can cause many times.
    const { host } = entry.fields
    if (entry.level === "debug" || host === undefined) write(entry.level, entry.message, entry.fields)
    else repeated(`${entry.message} ${String(host)}`, entry)
  }
  return {
    write,
    repeated,
    onRouterEvent: (event) => emit(routerEntry(event)),
    onEngineEvent: (event) => emit(engineEntry(event)),
    onSourceEvent: (event) => emit(sourceEntry(event)),
  }
}

/** Tags of errors that are the client's, or the host's own bounds. */
const refused = new Set(["LoopDetected", "ClientLimited", "ProjectLimited", "MachineLimited", "RouteUnknown"])
/** Events of the router that somebody should look at. */
const warnings = new Set<RouterEvent["type"]>(["client_bounds", "bound_reached", "machine_health", "region"])
const missing = new Set(["RouteNotFound", "HostnameMalformed", "DomainNotExact"])

const routerEntry = (event: RouterEvent): LogEntry | undefined => {
  if (event.type !== "request") {
    const { type, ...fields } = event
    return {
      level: warnings.has(type) ? "warn" : "debug",
      message: type,
      fields: flat(fields),
    }
  }
  const { host, method, status, error, reason, requestId, clientAddress, machine, durationMs } = event
  const fields = {
    host,
    method,
    status,
    error,
    reason,
    requestId,
    clientAddress,
    machine,
    durationMs: Math.round(durationMs),
  }
  // Failed health checks have a line of their own, and so have names without a route: most of those are no request of the router's.
  if (error === undefined || error === "HealthCheckFailed" || missing.has(error) || status === 499)
    return { level: "debug", message: "request routed", fields }
  if (refused.has(error)) return { level: "warn", message: "request refused", fields }
  return { level: "error", message: "proxy error", fields }
}

const engineEntry = (event: EngineEvent): LogEntry | undefined => {
  if (event.type === "error")
    return {
      level: "error",
      message: "proxy error",
      fields: { error: event.tag, reason: event.reason, count: event.count },
    }
  if (event.code === "ROUTE_NOT_FOUND" || event.code === "HOSTNAME_MALFORMED")
    return {
      level: "warn",
      message: "no route found",
      fields: { host: event.host, method: event.method, status: event.status },
    }
  if (event.complete || event.status === 499 || event.upgrade) return undefined
  const { host, method, status, durationMs, bytesOut } = event
  return {
    level: "debug",
    message: "request ended early",
    fields: { host, method, status, durationMs: Math.round(durationMs), bytesOut },
  }
}

const sourceEntry = (event: RouteSourceEvent | InvalidRowsEvent): LogEntry => {
  if (event.type === "invalid_rows") {
    const { count, rows } = event
    const named = rows.map(({ key, field, accepted }) => `${key ?? "a row"}: ${field} must be ${accepted}`).join("; ")
    return { level: count === 0 ? "info" : "warn", message: "invalid rows", fields: { count, rows: named } }
  }
  const { state, reason, routes, ageMs } = event
  const hint = reason === undefined ? undefined : hints[reason]
  const fields = { reason, hint, routes, ageMs: ageMs === undefined ? undefined : Math.round(ageMs) }
  if (state === "loaded") return { level: "info", message: "routes updated", fields }
  if (state === "recovered") return { level: "info", message: "database recovered", fields }
  if (state === "refused") return { level: "error", message: "routes refused, the previous ones stay", fields }
  if (state === "not_saved") return { level: "error", message: "failed to save routes", fields }
  return { level: "error", message: "failed to read routes", fields }
}

/** What somebody can do about an error of the database, or of the way to it. */
const hints: Readonly<Record<string, string>> = {
  "28P01": "the password is not the right one",
  "3D000": "there is no such database",
  "42P01": "a table or view that is read is not there, see docs/edgeproxy.md",
  "42703": "a column that is read is not there, see docs/edgeproxy.md",
  "42501": "the user may not read a table",
  ECONNREFUSED: "nothing listens at the address of the database",
}

/** Values of events that a line can hold. */
const flat = (fields: object): Fields =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value)),
  ) as Fields
