import type { ErrorRow } from "./error-row.ts"

/**
 * The failures that this package's own engine responds with, by tag. Other packages have tables of their own and use these
 * rows where the failure is the same.
 */
export const forwardErrors = {
  PortClosed: row(
    502,
    "PORT_CLOSED",
    "connection_refused",
    "Nothing is listening on this port. Start the app; this page reloads by itself.",
    1,
  ),
  UpstreamTimeout: row(504, "UPSTREAM_TIMEOUT", "http_response_timeout", "The app did not respond in time. Try again."),
  UpstreamFailed: row(
    502,
    "UPSTREAM_FAILED",
    "connection_terminated",
    "The app closed the connection before it responded. Try again.",
  ),
  UpstreamMalformed: row(502, "UPSTREAM_FAILED", "http_protocol_error", "The app sent an invalid HTTP response."),
  ProviderUnavailable: row(
    502,
    "PROVIDER_UNAVAILABLE",
    "destination_unavailable",
    "The machine cannot be reached. Try again later.",
  ),
  RequestMalformed: row(400, "REQUEST_MALFORMED", "http_request_error", "The request is not valid HTTP."),
  RequestTimeout: row(408, "REQUEST_TIMEOUT", "http_request_error", "The request took too long to arrive. Try again."),
  RequestHeadTooLarge: row(
    431,
    "REQUEST_HEAD_TOO_LARGE",
    "http_request_error",
    "The headers of the request are too large. Delete the cookies of this site, then try again.",
  ),
  RequestTargetTooLong: row(
    414,
    "REQUEST_TARGET_TOO_LONG",
    "http_request_error",
    "The address of the page is too long.",
  ),
  ExpectationFailed: row(
    417,
    "EXPECTATION_FAILED",
    "http_request_error",
    "The Expect header of the request is not supported.",
  ),
  MethodRefused: row(405, "METHOD_REFUSED", "http_request_denied", "This HTTP method is not allowed."),
  MethodUnknown: row(501, "METHOD_UNKNOWN", "http_request_error", "This HTTP method is not supported."),
  CodingUnknown: row(
    501,
    "CODING_UNKNOWN",
    "http_request_error",
    "The transfer coding of the request is not supported.",
  ),
  VersionUnknown: row(
    505,
    "VERSION_UNKNOWN",
    "http_request_error",
    "The HTTP version of the request is not supported.",
  ),
  Overloaded: row(
    503,
    "OVERLOADED",
    "connection_limit_reached",
    "Too many requests are in flight. This page reloads by itself.",
    1,
  ),
  ProxyFailed: row(
    500,
    "PROXY_FAILED",
    "proxy_internal_error",
    "The proxy failed. Try again; if it happens again, report the code below.",
  ),
} as const satisfies Record<string, ErrorRow>

/** The tags of {@link forwardErrors}. */
export type ForwardErrorTag = keyof typeof forwardErrors

function row(status: number, code: string, error: string, title: string, retryAfter?: number): ErrorRow {
  return { status, code, error, title, ...(retryAfter === undefined ? {} : { retryAfter }) }
}
