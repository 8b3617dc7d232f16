import { defaultErrorDocs, errorDocsUrl } from "./error-docs.ts"

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
  /** Seconds for `Retry-After`, where waiting helps. A page with it reloads when the address answers. */
  readonly retryAfter?: number
  /** Whether the same request may succeed when it is sent again. Default: whether there is a `Retry-After`. */
  readonly retryable?: boolean
  /** Whether what is waited for is under way: a page shows a bar that moves. Default false. */
  readonly progress?: boolean
  /** The methods that may be used instead, for `Allow`, which a 405 must have (RFC 9110 §15.5.6): `"GET, HEAD"`. */
  readonly allow?: string
  /** The URL of a page about this failure. Default: none. */
  readonly docs?: string
  /**
   * What a person reads: one sentence that says what happened, then, where there is something to do, what to do. Plain text,
   * in which `{Port}` and `{port}` stand for "Port 4096" and "port 4096", `{project}` for "project misha", `{Hostname}` and
   * `{hostname}` for the hostname: or "this port", "this project" and "this address" where they are not known.
   */
  readonly title: string
}

/** A row of this project's own, whose code has a page in `docs/errors`. */
export const errorRow = (
  status: number,
  code: string,
  error: string,
  title: string,
  retry: Pick<ErrorRow, "retryAfter" | "retryable" | "progress" | "allow"> = {},
): ErrorRow => ({ status, code, error, title, ...retry, docs: errorDocsUrl(defaultErrorDocs, code) })
