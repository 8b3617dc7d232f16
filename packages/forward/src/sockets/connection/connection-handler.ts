import type { ForwardErrorTag } from "../../error-rows.ts"
import type { BodyRange, MessageEnd } from "../../http1/head.ts"
import type { ParseError } from "../../http1/parse-error.ts"

/** Who handles a client's connection at the moment: an exchange, or the WebSocket tunnel that it became. */
export interface ConnectionHandler {
  /** Whether it takes the next piece of its request's body now. */
  readonly wantsBody: boolean
  /** Whether the client is to wait with it, because what it sent before is still in a buffer. */
  readonly blocked: boolean
  onBody(event: BodyRange | MessageEnd | ParseError): void
  /** Bytes after the end of HTTP; only a tunnel takes them. False when this is no tunnel. */
  onBytes(bytes: Uint8Array): boolean
  onClientDrain(): void
  onClientEnd(): void
  onClientClose(): void
  /** The engine stops and waits no longer. */
  onGoingAway(): void
  /** Responds with a failure; what has begun ends so that the client sees one. */
  fail(tag: ForwardErrorTag): void
  onDeadline(): void
}

/** One request and its response; the first handler of a connection. */
export interface ExchangeHandler extends ConnectionHandler {
  /** Asks the host what to do with the request. */
  begin(): void
}

/** Who uses a connection upstream at the moment. */
export interface UpstreamUser {
  onUpstreamOpen(): void
  /** Bytes are in the connection's reader, or its end is. */
  onUpstreamData(): void
  /** The peer sent its FIN; the reader knows. */
  onUpstreamEnd(): void
  onUpstreamDrain(): void
  /** The connection is gone; `connected` is false when it never was open. */
  onUpstreamClose(connected: boolean, cause: unknown): void
  /** One of the above threw. */
  onInternalError(cause: unknown): void
}
