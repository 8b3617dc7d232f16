import type { EngineEvent, RequestEvent, ErrorEvent } from "@project-ingress/forward/sockets"

/** How much is written: every exchange, only what went wrong, or nothing. */
export type LogLevel = "access" | "errors" | "off"

const MAX_FIELD = 1_024

type Fields = Readonly<Record<string, string | number | boolean | undefined>>

/** What is logged of an event. */
export interface LogEntry {
  readonly level: "info" | "warn" | "error"
  readonly fields: Fields
}

/** What to log of an event; `undefined` when `level` leaves it out. Holds no header, no body and no query. */
export const logEntry = (event: EngineEvent, level: LogLevel): LogEntry | undefined => {
  if (level === "off") return undefined
  if (event.type === "error") return { level: "error", fields: trouble(event) }
  const failed = event.status >= 500 || event.code !== undefined || !event.complete
  if (level === "errors" && !failed) return undefined
  return { level: failed ? "warn" : "info", fields: exchange(event) }
}

/**
 * One line of JSON for an event, without newline; `undefined` when `level` leaves it out. Holds no header, no body and no
 * query, where tokens travel. Whatever a client sent is escaped and cut to 1 024 characters, so that it can neither
 * start a line nor move a terminal's cursor.
 */
export const logLine = (event: EngineEvent, level: LogLevel, time: Date): string | undefined => {
  const entry = logEntry(event, level)
  if (entry === undefined) return undefined
  return line({ time: time.toISOString(), level: entry.level, ...entry.fields })
}

/** JSON on one line, with every character escaped that a terminal or a line reader acts on. */
export const line = (fields: Fields): string => {
  const cut = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === "string" && value.length > MAX_FIELD ? `${value.slice(0, MAX_FIELD - 1)}…` : value,
  ])
  // JSON leaves DEL, C1 and the two Unicode line ends as they are: U+009B begins an escape sequence.
  return JSON.stringify(Object.fromEntries(cut)).replaceAll(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
}

const exchange = (event: RequestEvent) => ({
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

const trouble = (event: ErrorEvent) => ({
  message: "error",
  tag: event.tag,
  cause: event.cause instanceof Error ? `${event.cause.name}: ${event.cause.message}` : String(event.cause),
})

const withoutQuery = (target: string): string => {
  const at = target.search(/[?#]/)
  return at < 0 ? target : target.slice(0, at)
}
