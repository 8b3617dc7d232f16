import type { RequestHead, ResponseHead } from "../../http1/head.ts"
import type { UpstreamConnection } from "../connection/upstream-connection.ts"

/**
 * Whether a connection can carry another request after a complete exchange. Only when nothing leaves a doubt about where the
 * next response begins: an app that sends a body with a response that must have none, or after an unfinished request, would
 * give it to the next client.
 */
export const isReusable = (request: RequestHead, response: ResponseHead, upstream: UpstreamConnection): boolean =>
  response.keepAlive &&
  !upstream.closed &&
  upstream.reader.buffered === 0 &&
  request.method !== "HEAD" &&
  response.status !== 204 &&
  response.status !== 304 &&
  request.framing !== "chunked" &&
  !request.expect &&
  !request.upgrade
