import type { ForwardErrorTag } from "../../error-rows.ts"
import type { HopHeaderNames } from "../../header-names.ts"
import { errorEvent } from "../contract/events.ts"
import type { EngineOptions } from "../contract/engine.ts"
import type { Limits } from "../contract/limits.ts"
import type { DeadlineScanner } from "../io/deadlines.ts"
import type { UpstreamPools } from "./upstream-pool.ts"

/** What the connections of one engine share. */
export interface EngineContext {
  readonly options: EngineOptions
  readonly limits: Limits
  readonly headerNames: HopHeaderNames
  readonly deadlines: DeadlineScanner
  readonly pools: UpstreamPools
  /** The connections from clients that are open. */
  readonly open: Set<OpenConnection>
  draining: boolean
  /** Called when the last connection has closed. */
  onEmpty: (() => void) | undefined
}

/** A connection as the engine's drain sees it. */
export interface OpenConnection {
  /** Closes, to make room, if it has been idle for so long, in ms. Absent for what is never idle. */
  closeIfIdle?(ms: number): boolean
  /** Takes no further request; an idle connection closes at once. */
  drain(): void
  /** Ends what drain waited for: a WebSocket gets a close frame, an unfinished response must not look finished. */
  goAway(): void
}

/** A connection is closed, or another one has taken its place. */
export const removeConnection = (context: EngineContext, connection: OpenConnection): void => {
  if (context.open.delete(connection) && context.open.size === 0) context.onEmpty?.()
}

export const reportError = ({ options }: EngineContext, tag: ForwardErrorTag, cause: unknown): void => {
  try {
    options.onEvent?.(errorEvent(tag, cause))
  } catch {
    // A log that fails must not fail the request.
  }
}
