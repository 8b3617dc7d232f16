import type { ForwardErrorTag } from "../../error-rows.ts"
import type { HopHeaderNames } from "../../header-names.ts"
import { errorEvent } from "../contract/events.ts"
import type { ErrorEvent } from "../contract/events.ts"
import type { EngineOptions } from "../contract/engine.ts"
import type { Limits } from "../contract/limits.ts"
import type { DeadlineScanner } from "../io/deadlines.ts"
import type { UpstreamPools } from "./upstream-pool.ts"

/** What connections from clients share, whatever they speak. */
export interface ConnectionContext {
  readonly options: { readonly onEvent?: (event: ErrorEvent) => void }
  readonly limits: Pick<Limits, "headersTimeoutMs" | "maxConnections" | "lingerMs">
  readonly deadlines: DeadlineScanner
  /** The connections from clients that are open, those in memory included. */
  readonly open: Set<OpenConnection>
  /** True from the beginning of a drain: each response ends its connection. */
  draining: boolean
  /** True after its grace: connections without a request end. */
  closing: boolean
  /** How long then a connection has for a request that may be on its way, in ms; 0 with a drain without grace. */
  lastRequestMs: number
  /** Called once each when the last connection has closed. */
  readonly onEmpty: (() => void)[]
}

/** What the connections of one engine share. */
export interface EngineContext extends ConnectionContext {
  readonly options: EngineOptions
  readonly limits: Limits
  readonly headerNames: HopHeaderNames
  readonly pools: UpstreamPools
  /** How many of the open connections are in memory: requests that another parser has read. */
  messages: number
}

/** A connection as the engine's drain sees it. */
export interface OpenConnection {
  /** Closes, to make room, if it has been idle for so long, in ms. Absent for what is never idle. */
  closeIfIdle?(ms: number): boolean
  /** Closes as soon as no request is in flight: an idle connection at once, one of which none has come yet in a moment. */
  drain(): void
  /** Ends what drain waited for: a WebSocket gets a close frame, an unfinished response must not look finished. */
  goAway(): void
}

/** A connection is closed, or another one has taken its place. */
export const removeConnection = (context: ConnectionContext, connection: OpenConnection): void => {
  if (!context.open.delete(connection) || context.open.size > 0) return
  for (const empty of context.onEmpty.splice(0)) empty()
}

export const reportError = ({ options }: ConnectionContext, tag: ForwardErrorTag, cause: unknown): void => {
  try {
    options.onEvent?.(errorEvent(tag, cause))
  } catch {
    // A log that fails must not fail the request.
  }
}
