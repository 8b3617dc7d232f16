import type { Duplex } from "node:stream"
import type { HeaderList } from "../../header-list.ts"
import type { RequestHead } from "../../http1/head.ts"
import type { ResponseReader } from "../../http1/response-reader.ts"
import type { UpstreamAddress } from "../contract/upstream.ts"
import type { HasDeadline } from "../io/deadlines.ts"
import type { UpstreamUser } from "./connection-handler.ts"

/** What one exchange has towards an app: a connection of HTTP/1.1, or a stream of HTTP/2. */
export interface Upstream extends HasDeadline {
  readonly origin: UpstreamAddress
  readonly reader: ResponseReader
  /** Takes the request where it is not written as text: for HTTP/2. */
  readonly writer?: RequestWriter
  /** Bytes from and to the app: of the response, and of a WebSocket. */
  readonly socket: Duplex
  /** Requests sent on it. With more than one, its end may be a race with the app's idle time-out. */
  requests: number
  readonly connected: boolean
  readonly closed: boolean
  /** True when it is not in its pool's count any more: it became a tunnel, or closed. */
  uncounted: boolean
  user: UpstreamUser | undefined
  destroy(cause?: unknown): void
}

/** A request's head as it is sent, without what frames its body. */
export interface OutgoingHead extends Pick<RequestHead, "method" | "target" | "headers" | "framing" | "upgrade"> {}

/** Takes one request: its head, then the pieces of its body, then its end, unless the head's framing is 0. */
export interface RequestWriter {
  writeHead(head: OutgoingHead): void
  /** False if the source must wait for `onUpstreamDrain`. */
  writePiece(bytes: Uint8Array): boolean
  writeEnd(trailers: HeaderList): void
}
