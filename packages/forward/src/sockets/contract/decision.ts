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
}

/**
 * What a host decides about a request:
 *
 * - a directive: send it on and pass the response to the client, whatever it is;
 * - a response that the host made; a response that `request.send` gave is thrown away;
 * - `"relay"`: pass the response that the last `request.send` gave to the client.
 */
export type Decision = ForwardDirective | GeneratedResponse | "relay"

export const isForwardDirective = (decision: Exclude<Decision, "relay">): decision is ForwardDirective =>
  "origin" in decision
