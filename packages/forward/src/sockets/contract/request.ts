import type { Duplex } from "node:stream"
import type { GeneratedResponse } from "../../generated-response.ts"
import type { RequestHead, ResponseHead } from "../../http1/head.ts"
import type { ForwardDirective } from "./decision.ts"
import type { UpstreamError } from "./upstream.ts"

/** A request as it arrived. It is never changed. */
export interface IncomingRequest {
  /** Names the request in responses and logs, unique among all processes. Made when first read. */
  readonly id: string
  readonly head: RequestHead
  /**
   * The client's IP address, as far as the connection says it: the peer's, or with the PROXY protocol the one in its header.
   * Empty when nobody says it.
   */
  readonly remoteAddress: string
  /** The IP address of whoever connected, as a balancer; empty when the socket has none. */
  readonly peerAddress: string
  /** The connection as the engine got it, after TLS, for a host that makes connections of its own. It is only to be recognized. */
  readonly socket: Duplex
  /** The port the peer connected to; 0 when the socket has none. */
  readonly localPort: number
  /** True when the peer came by TLS, or the client did and the PROXY header says so. */
  readonly encrypted: boolean
  /**
   * The body as a stream, or `null` without one: for a response made here. Whoever takes it cannot send the request on any
   * more. The stream fails when the client leaves. `minBodyRate`: as of a directive.
   */
  body(minBodyRate?: number): ReadableStream<Uint8Array> | null
  /** Aborted when the client leaves before its response is complete. Made when first read. */
  readonly signal: AbortSignal
  /** Calls `listener` when `signal` is aborted, or now if it is, without making one, which costs more than it looks. */
  onAbort(listener: () => void): void
  /** Resolves when the exchange, or the WebSocket that it became, is over, however it ended. */
  over(): Promise<void>
  /** Calls `listener` when `over` resolves, or now if it is. */
  onOver(listener: () => void): void
  /**
   * Gives the function that ends the exchange, or the WebSocket that it became, because the visitor's access was withdrawn: by the
   * response for `AccessWithdrawn`, by breaking off a response that has begun, by close code 1008. It holds nothing of the request and
   * does nothing once that is over.
   */
  withdrawal(): () => void
  /** True when none of the body was passed on or taken by `body()`, so that the request can be sent, once more or at all. */
  readonly replayable: boolean
  /**
   * Sends the request on and waits for the head of the response (a final one, or the 101 of a WebSocket), of which nothing
   * reaches the client before `onRequest` decides: `"relay"` passes it on. Another `send`, or any other decision, throws
   * that response away. Interim responses (1xx) go to the client at once.
   *
   * Where the engine responds by itself, the result is `ended` and the later decision is ignored.
   *
   * Rejects if the request is not `replayable`, or if another `send` has not ended; never because of the app or the client.
   */
  send(directive: ForwardDirective): Promise<SendResult>
}

/**
 * What came of sending a request on:
 *
 * - `head`: a response, which waits for the decision;
 * - `error`: no response came, or the client left before one;
 * - `ended`: the engine refused to send, or to go on sending, and responds to the client with this: too many connections, an
 *   invalid body or one that came too slowly, `Max-Forwards: 0`. It says nothing about the app.
 */
export type SendResult =
  | { readonly head: ResponseHead }
  | { readonly error: UpstreamError }
  | { readonly ended: GeneratedResponse }
