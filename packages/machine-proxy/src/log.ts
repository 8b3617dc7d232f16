import { jsonLine } from "@project-ingress/forward/internal"
import type { EngineEvent, RequestEvent, ErrorEvent } from "@project-ingress/forward/sockets"

/** What is logged: every request, only failed requests and internal errors, or nothing. */
export type LogLevel = "access" | "errors" | "off"

type Fields = Parameters<typeof jsonLine>[0]

/** What is logged for an event. */
export interface LogEntry {
  readonly level: "info" | "warn" | "error"
  readonly fields: Fields
}

/**
 * What to log for an event; `undefined` if `level` leaves it out. Contains no header but Host, no body and no query.
 */
export const logEntry = (event: EngineEvent, level: LogLevel): LogEntry | undefined => {
  if (level === "off") return undefined
  if (event.type === "error") return { level: "error", fields: errorFields(event) }
  const failed = event.status >= 500 || event.code !== undefined || !event.complete
  if (level === "errors" && !failed) return undefined
  return { level: failed ? "warn" : "info", fields: requestFields(event) }
}

/**
 * One line of JSON for an event, without newline; `undefined` if `level` leaves it out. Contains no header but Host, no
 * body and no query, because those carry tokens. Text from a client is escaped and cut to 1 024 characters, so that it
 * can neither start a line nor move a terminal's cursor.
 */
export const logLine = (event: EngineEvent, level: LogLevel, time: Date): string | undefined => {
  const entry = logEntry(event, level)
  if (entry === undefined) return undefined
  return jsonLine({ time: time.toISOString(), level: entry.level, ...entry.fields })
}

const requestFields = (event: RequestEvent) => ({
  message: "request",
  method: event.method,
  host: event.host,
  path: withoutQuery(event.target),
  status: event.status,
  code: event.code,
  upgrade: event.upgrade,
  bytesIn: event.bytesIn,
  bytesOut: event.bytesOut,
  durationMs: Math.round(event.durationMs * 10) / 10,
  remoteAddress: event.remoteAddress,
  complete: event.complete,
})

const errorFields = (event: ErrorEvent) => ({
  message: "error",
  tag: event.tag,
  count: event.count,
  cause: event.cause instanceof Error ? `${event.cause.name}: ${event.cause.message}` : String(event.cause),
})

const withoutQuery = (target: string): string => {
  const at = target.search(/[?#]/)
  return at < 0 ? target : target.slice(0, at)
}
