import { jsonLine } from "@project-ingress/forward/internal"
import type { EngineEvent } from "@project-ingress/forward/sockets"
import type { RouterEvent } from "../router-options.ts"
import type { InvalidRowsEvent, RouteSourceEvent } from "../stores/store-event.ts"

/** How bad something is, in this order. */
export const logLevels = ["debug", "info", "warn", "error"] as const
/** How bad something is. */
export type LogLevel = (typeof logLevels)[number]

/** What can be left out of every line. */
export const redactable = ["clientAddress", "host", "machine", "owner", "reason"] as const
/** A kind of field that can be left out of every line. */
export type Redactable = (typeof redactable)[number]

/** Everything that is reported: by a router, by its host's engine, by its stores. */
export type ObservedEvent = RouterEvent | EngineEvent | RouteSourceEvent | InvalidRowsEvent

type Fields = Parameters<typeof jsonLine>[0]

/** What is logged for an event. */
export interface LogEntry {
  readonly level: LogLevel
  readonly fields: Fields
}

/** One line of JSON, without newline. Text from clients is escaped, and cut to 1 024 characters. */
export const logLine = ({ level, fields }: LogEntry, time: Date): string =>
  jsonLine({ time: time.toISOString(), level, ...fields })

/** What to log for an event; `undefined` if it is below the level. Holds no header, no body, no path and no query. */
export const eventLog = (
  least: LogLevel,
  redacted: readonly Redactable[],
): ((event: ObservedEvent) => LogEntry | undefined) => {
  const from = logLevels.indexOf(least)
  return (event) => {
    const level = levelOf(event)
    if (logLevels.indexOf(level) < from) return undefined
    const { type, ...fields } = fieldsOf(event, redacted)
    return { level, fields: { message: String(type), ...fields } }
  }
}

const levelOf = (event: ObservedEvent): LogLevel => {
  switch (event.type) {
    case "request":
      if (!isRouters(event)) return event.complete ? "debug" : "warn"
      if (event.error === "ProxyFailed") return "error"
      return event.error !== undefined && event.status >= 500 ? "warn" : "info"
    case "error":
      return "error"
    case "store":
    case "provider":
      return event.state === "failing" ? "error" : "info"
    case "proof":
      return event.outcome === "wrong_stamp" ? "error" : "info"
    case "route_source":
      return event.state === "loaded" || event.state === "recovered" ? "info" : "warn"
    case "wake":
      return event.outcome === "ready" ? "info" : "warn"
    case "machine_health":
      return event.state === "returned" ? "info" : "warn"
    case "invalid_rows":
      return event.count === 0 ? "info" : "warn"
    case "cookie_isolated":
      return "info"
    default:
      return "warn"
  }
}

/** A request of the router has an id, one of its engine has bytes. */
export const isRouters = (event: Extract<ObservedEvent, { readonly type: "request" }>) => "requestId" in event

/** Which fields hold what can be redacted. `key` and `reason` of some events name who it was. */
const kinds: Readonly<Record<string, Redactable>> = {
  clientAddress: "clientAddress",
  remoteAddress: "clientAddress",
  host: "host",
  machine: "machine",
  owner: "owner",
  reason: "reason",
}

/** The fields of an event that are texts, numbers or truths, without what is redacted. */
const fieldsOf = (event: ObservedEvent, redacted: readonly Redactable[]): Record<string, Fields[string]> => {
  const fields: Record<string, Fields[string]> = {}
  for (const [name, value] of Object.entries(event)) {
    if (typeof value === "object" || typeof value === "function" || typeof value === "symbol") continue
    // A target has a path and a query, which carry tokens.
    if (name === "target" || redacted.includes(kindOf(event, name)!)) continue
    fields[name] = name === "durationMs" ? Math.round((value as number) * 10) / 10 : (value as Fields[string])
  }
  return fields
}

const kindOf = (event: ObservedEvent, name: string): Redactable | undefined => {
  if (event.type === "bound_reached" && name === "key") return boundKeys[event.bound]
  // The address of what may be a load balancer.
  if (event.type === "client_bounds" && name === "reason") return "clientAddress"
  if (event.type === "cookie_isolated" && (name === "key" || name === "reason")) return "host"
  return kinds[name]
}

const boundKeys = { client: "clientAddress", project: "owner", machine: "machine" } as const
