import type { EngineEvent, RequestEvent, ErrorEvent } from "@project-ingress/forward/sockets"

/** What is logged: every request, only failed requests and internal errors, or nothing. */
export type LogLevel = "access" | "errors" | "off"

const MAX_FIELD_LENGTH = 1_024

type Fields = Readonly<Record<string, string | number | boolean | undefined>>

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
  return line({ time: time.toISOString(), level: entry.level, ...entry.fields })
}

/** JSON on one line, with every character escaped that a terminal or a line reader interprets. */
export const line = (fields: Fields): string => {
  const cut = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === "string" && value.length > MAX_FIELD_LENGTH ? `${value.slice(0, MAX_FIELD_LENGTH - 1)}…` : value,
  ])
  // JSON does not escape DEL, C1 and the two Unicode line ends: U+009B begins an escape sequence.
  return JSON.stringify(Object.fromEntries(cut)).replaceAll(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
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
