import type { ForwardErrorTag } from "../../error-rows.ts"
import type { HeaderList } from "../../header-list.ts"

/** The connection that requests came by which another parser has read. One object for all of its requests. */
export interface MessageConnection {
  /** The client's IP address: the peer's, or the one that a PROXY header names. */
  readonly remoteAddress: string
  /** The IP address of whoever connected. */
  readonly peerAddress: string
  /** The port the peer connected to; 0 when nobody says it. */
  readonly localPort: number
  /** True when the client came by TLS. */
  readonly encrypted: boolean
}

/**
 * The head of a request that another parser has read. Nothing of it is trusted: it goes through the engine's own parser, and what
 * would be another text there is refused.
 */
export interface RequestMessageHead {
  readonly method: string
  /** As on a request line of HTTP/1.1: origin-form, absolute-form or `*`. */
  readonly target: string
  /** Whom the request is for, where the other parser's protocol says it beside the fields. A `Host` that differs is refused. */
  readonly authority?: string | undefined
  /**
   * All fields as received, one character per byte. Those of one connection (`Connection`, `Transfer-Encoding`, `Upgrade`) mean what
   * they mean in HTTP/1.1; a protocol that has none of them refuses them before.
   */
  readonly headers: HeaderList
  /** True when no body follows, as with every upgrade. */
  readonly ended: boolean
  /** What the other parser's protocol finds wrong with it. The response is a 400, and the request has no event of its own. */
  readonly problem?: string | undefined
  /** A failure that is known before the host is asked; its response is the response, and the request has its event. */
  readonly failure?: ForwardErrorTag | undefined
  /** Minor version of HTTP/1 that the response must be readable by, as `RequestHead`. Default 11. */
  readonly version?: 10 | 11
}

/** The head of a response that the engine gives. */
export interface ResponseMessageHead {
  /** 100 to 599. */
  readonly status: number
  /** Possibly empty. */
  readonly reason: string
  /**
   * One character per byte. Without the fields of one connection, which whoever writes the response makes as its protocol wants them;
   * a 101 has all of its fields.
   */
  readonly headers: HeaderList
}

/** Where the response goes. May be called as soon as `message` has returned, never before. */
export interface ResponseSink {
  /** An interim response (1xx, but not 101). `100` says that the body is wanted (RFC 9110 §10.1.1). */
  interim(head: ResponseMessageHead): void
  /** The final response begins, or with a 101 a tunnel. `ended`: nothing follows, and `end` is not called. */
  head(head: ResponseMessageHead, ended: boolean): void
  /** A piece of the body, or bytes of a tunnel. False: no more until `drained` is called. */
  body(bytes: Uint8Array): boolean
  /** The response is complete, or the app has sent all of a tunnel. What the client still sends of its body is not read. */
  end(trailers: HeaderList): void
  /**
   * The response, or the tunnel, breaks off; the client must see a failure. Not called after the end of a response or after `abort`; after
   * the `end` of a tunnel it says that what the client sends is not read any more.
   */
  reset(): void
  /** After `receive` gave false: there is room again. */
  wanted(): void
}

/** A request that the engine has, while it comes in: the `socket` of its `IncomingRequest`. */
export interface RequestMessage {
  /** How many bytes were received that the engine has not taken. */
  readonly waiting: number
  /** A piece of the body, or of an upgrade bytes of the tunnel. False: no more until the sink's `wanted` is called. */
  receive(bytes: Uint8Array): boolean
  /** The request is complete, unless its head was all of it; of a tunnel: the client sends no more. */
  complete(trailers?: HeaderList): void
  /** After the sink's `body` gave false: it can take more. */
  drained(): void
  /** The client is gone, or takes no response any more. */
  abort(): void
}
