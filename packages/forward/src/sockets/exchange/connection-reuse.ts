import type { RequestHead, ResponseHead } from "../../http1/head.ts"
import type { Upstream } from "../connection/upstream.ts"

/**
 * Whether a connection can carry another request after a complete exchange. Only when nothing leaves a doubt about where the
 * next response begins: an app that sends a body with a response that must have none, or after an unfinished request, would
 * give it to the next client.
 *
 * HTTP/1.1 matches responses to requests by their order alone (RFC 9112 §9.2). So what this process has read before the next request
 * is written ends the connection: here, or in `UpstreamConnection` while it is free. What comes, or is read, only after that is the
 * response to that request, for us as for every proxy. A program that wants that can give its own visitors each other's responses
 * anyway, and others' it never has: no two machines share a connection.
 */
export const isReusable = (request: RequestHead, response: ResponseHead, upstream: Upstream): boolean =>
  response.keepAlive &&
  !upstream.closed &&
  upstream.reader.buffered === 0 &&
  // What came while its socket was paused; `resume` passes it on a moment later, when the next request may have the connection.
  upstream.socket.readableLength === 0 &&
  request.method !== "HEAD" &&
  response.status !== 204 &&
  response.status !== 304 &&
  request.framing !== "chunked" &&
  !request.expect &&
  !request.upgrade
