import type { ForwardErrorTag } from "../../error-rows.ts"

/** One line of an access log, reported when a request and its response are over. Contains no header and no body. */
export interface RequestEvent {
  readonly type: "request"
  readonly method: string
  readonly host: string
  readonly target: string
  /** The status sent; 499 when the client left before one, 0 when the connection broke off. */
  readonly status: number
  /** The stable code of a generated response. */
  readonly code?: string
  readonly upgrade: boolean
  /** Bytes of the body from the client; of a WebSocket, all bytes from the client after the handshake. */
  readonly bytesIn: number
  /** Bytes of the body to the client; of a WebSocket, all bytes to the client after the handshake. */
  readonly bytesOut: number
  readonly durationMs: number
  readonly remoteAddress: string
  /** False when the body ended early or the connection was destroyed: the client saw a failure. */
  readonly complete: boolean
}

/** An error: beside the event of a request, or without a request. It never ends the process. */
export interface ErrorEvent {
  readonly type: "error"
  readonly tag: ForwardErrorTag
  readonly cause: unknown
}

/** What `onEvent` of an engine is called with. `type` tells the kinds apart. */
export type EngineEvent = RequestEvent | ErrorEvent
