import type { Duplex } from "node:stream"
import type { GeneratedResponse } from "../../generated-response.ts"
import type { HeaderList } from "../../header-list.ts"
import type { ResponseHead } from "../../http1/head.ts"
import type { ResponseHop } from "../../response-headers.ts"
import type { Tunnel } from "../../tunnel/tunnel-protocol.ts"
import type { UpstreamAddress } from "./upstream.ts"

/** How a request is sent on. */
export interface ForwardDirective {
  readonly origin: UpstreamAddress
  /** All fields of the outgoing head but framing: what `requestHeaders` gave. */
  readonly headers: HeaderList
  /** The request target; default: as received. */
  readonly target?: string
  /**
   * For the final response and for 1xx. A function when it depends on the response, as on whether it is stamped; `undefined`: this
   * interim response does not reach the client.
   */
  readonly response: ResponseHop | ((head: ResponseHead) => ResponseHop | undefined)
  /**
   * The request is the handshake of a tunnel, and it ends here: after a connection to `origin` (`tcp`), or with a socket for datagrams
   * to it (`udp`), it is accepted with 101, and `headers` is not sent. What `response` adds is in the 101.
   */
  readonly tunnel?: Tunnel | undefined
  /** Milliseconds to wait for the response's head; 0 disables the time-out. Default: the limit `upstreamHeadersTimeoutMs`. */
  readonly headersTimeoutMs?: number
  /** The slowest body of the request, in bytes a second; 0: as slow as it likes. Default: the limit `minBodyRate`. */
  readonly minBodyRate?: number | undefined
  /**
   * Milliseconds without any byte of the request's body until the response begins; 0 disables the time-out, for a stream that may be
   * silent, as a call of gRPC. Default: the limit `bodyIdleTimeoutMs`.
   */
  readonly bodyIdleTimeoutMs?: number | undefined
}

/** Gives a WebSocket handshake away, with its connection. */
export interface TakeOver {
  /**
   * Called once with the client's socket, to which nothing was written, and with what the client sent after its handshake. The
   * response is the callee's to write, and the connection serves no other request. It still counts as open, and as one that a
   * drain ends at its deadline. If it throws or rejects, that is an error event, and the connection breaks.
   */
  readonly takeOver: (socket: Duplex, head: Uint8Array) => unknown
}

/**
 * What a host decides about a request:
 *
 * - a directive: send it on and pass the response to the client, whatever it is;
 * - a response that the host made; a response that `request.send` gave is thrown away;
 * - `"relay"`: pass the response that the last `request.send` gave to the client;
 * - a take-over, of a WebSocket handshake only: somebody else responds, and has the connection.
 */
export type Decision = ForwardDirective | GeneratedResponse | TakeOver | "relay"

export const isForwardDirective = (decision: Exclude<Decision, "relay">): decision is ForwardDirective =>
  "origin" in decision

export const isTakeOver = (decision: Exclude<Decision, "relay">): decision is TakeOver => "takeOver" in decision
