import type { RequestHead } from "../../http1/head.ts"
import type { Upstream } from "../connection/upstream.ts"
import type { UpstreamError } from "../contract/upstream.ts"

/**
 * Whether a failed request may be sent once more by the engine itself, on a new connection: a kept connection may have closed
 * while the request was on its way. Only what is safe to repeat (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
 */
export const mayRetry = (head: RequestHead, error: UpstreamError, upstream: Upstream | undefined): boolean =>
  error.tag === "UpstreamFailed" &&
  upstream !== undefined &&
  upstream.requests > 1 &&
  head.framing === 0 &&
  (head.method === "GET" || head.method === "HEAD")
