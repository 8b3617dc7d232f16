import type { HeaderList } from "../header-list.ts"

/** The head of a request that passed every check: everything in it has one meaning only. */
export interface RequestHead {
  readonly type: "head"
  readonly method: string
  /** Origin-form or `*`, byte for byte as sent; of an absolute-form the part after the authority. */
  readonly target: string
  /** The minor version of HTTP/1: 11 or 10. */
  readonly version: 10 | 11
  readonly headers: HeaderList
  /** The authority the request is for: of an absolute-form target, else `Host` as sent. Empty only with HTTP/1.0. */
  readonly host: string
  /** Bytes of the body, or `chunked`. */
  readonly framing: number | "chunked"
  /** True for a WebSocket handshake (RFC 6455 §4.1): GET, HTTP/1.1, no body, `Connection: upgrade`, `Upgrade: websocket`. */
  readonly upgrade: boolean
  /** True when the client waits for `100 Continue`. */
  readonly expect: boolean
  /** False when the client wants the connection closed after the response. */
  readonly keepAlive: boolean
}

/** The head of a response that passed every check. */
export interface ResponseHead {
  readonly type: "head"
  /** 100 to 599. */
  readonly status: number
  /** As sent, possibly empty. */
  readonly reason: string
  readonly version: 10 | 11
  readonly headers: HeaderList
  /** Bytes of the body, 0 also where the status or the method allows none (RFC 9112 §6.3). */
  readonly framing: number | "chunked" | "until-close"
  /** True when the response is a 101 that names the WebSocket protocol. */
  readonly upgrade: boolean
  /** False when the connection ends with this response. */
  readonly keepAlive: boolean
}

/** A piece of a body, a view of what was pushed. */
export interface BodyRange {
  readonly type: "body"
  readonly bytes: Uint8Array
}

/** The end of a message that has a body. A message without one ends with its head. */
export interface MessageEnd {
  readonly type: "end"
  readonly trailers: HeaderList
}
