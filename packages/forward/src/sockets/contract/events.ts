import type { ForwardErrorTag } from "../../error-rows.ts"

/** One line of an access log, made when an exchange is over. Holds no header and no body. */
export interface RequestEvent {
  readonly type: "request"
  readonly method: string
  readonly host: string
  readonly target: string
  /** The status sent; 499 when the client left before one, 0 when the connection broke off. */
  readonly status: number
  /** The stable code, when a proxy made the response. */
  readonly code?: string
  readonly upgrade: boolean
  /** Bytes of the body from the client; for a WebSocket all bytes after the handshake. */
  readonly bytesIn: number
  /** The same to the client. */
  readonly bytesOut: number
  readonly durationMs: number
  /** As of `IncomingRequest`: the peer's address, or the client's by the PROXY protocol. */
  readonly remoteAddress: string
  /** False when the body ended early or the connection was destroyed: the client saw a failure. */
  readonly complete: boolean
}

/** What went wrong, beside the request's own event or without any request. Never ends the process. */
export interface ErrorEvent {
  readonly type: "error"
  readonly tag: ForwardErrorTag
  /** What went wrong, as a sentence for logs. */
  readonly reason: string
  /** What was thrown. JSON shows nothing of it. */
  readonly cause: unknown
  /** How often it happened since the last event of it, for what is reported once a second at most. Default 1. */
  readonly count?: number
}

/** The event of something that was thrown, or of an error that was met. */
export const errorEvent = (tag: ForwardErrorTag, cause: unknown): ErrorEvent => ({
  type: "error",
  tag,
  reason: cause instanceof Error ? cause.message : String(cause),
  cause,
})

/** What `onEvent` of an engine is called with. */
export type EngineEvent = RequestEvent | ErrorEvent
