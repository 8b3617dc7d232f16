/**
 * How one kind of failure looks to a client. Each package has a table of such rows for the failures that it produces itself;
 * a policy's error brings its own.
 */
export interface ErrorRow {
  /** The HTTP status, 400 to 599. */
  readonly status: number
  /** The stable code in the body and in the error header: `PORT_CLOSED`. Letters, digits and `_`. */
  readonly code: string
  /** The proxy error type of `Proxy-Status` (RFC 9209 §2.3): `connection_refused`. */
  readonly error: string
  /** Seconds for `Retry-After`, where waiting helps. A page with it reloads by itself. */
  readonly retryAfter?: number
  /**
   * What a person reads whose navigation failed: one sentence that says what happened, then, where there is something to do,
   * what to do. Plain text; nothing of the request.
   */
  readonly title: string
}
