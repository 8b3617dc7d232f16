import type { HeaderList } from "../header-list.ts"

/** The head of a request that passed every check, so that no two readers can understand it differently. */
export interface RequestHead {
  readonly type: "head"
  readonly method: string
  /** The request target, byte for byte as sent: origin-form or `*`. Of an absolute-form, the part after the authority. */
  readonly target: string
  /** 11 for HTTP/1.1, 10 for HTTP/1.0. */
  readonly version: 10 | 11
  readonly headers: HeaderList
  /** The authority of the request: that of an absolute-form target, else `Host` as sent. Empty only with HTTP/1.0. */
  readonly host: string
  /** The length of the body in bytes, or `chunked`. */
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
  /** The reason phrase as sent, possibly empty. */
  readonly reason: string
  readonly version: 10 | 11
  readonly headers: HeaderList
  /** The length of the body in bytes, or how its end is found. 0 also where status or method allow no body (RFC 9112 §6.3). */
  readonly framing: number | "chunked" | "until-close"
  /** True for a 101 that switches to the WebSocket protocol. */
  readonly upgrade: boolean
  /** False when the connection ends with this response. */
  readonly keepAlive: boolean
}

/** A piece of a body. Its bytes are a view of the buffer, not a copy. */
export interface BodyRange {
  readonly type: "body"
  readonly bytes: Uint8Array
}

/** The end of a message with a body, and its trailers. A message without a body ends with its head. */
export interface MessageEnd {
  readonly type: "end"
  readonly trailers: HeaderList
}
