import type { ErrorRow } from "./error-row.ts"
import { errorRow } from "./error-row.ts"

/**
 * The failures that this package's own engine responds with, by tag. Other packages have tables of their own and use these
 * rows where the failure is the same.
 */
export const forwardErrors = {
  PortClosed: errorRow(
    502,
    "PORT_CLOSED",
    "connection_refused",
    "{Port} is not listening yet. Start the app, and let it listen on localhost or on every address.",
    { retryAfter: 1 },
  ),
  UpstreamTimeout: errorRow(
    504,
    "UPSTREAM_TIMEOUT",
    "http_response_timeout",
    "The app on {port} did not respond in time. Try again, or look into the app's log.",
    { retryable: true },
  ),
  UpstreamFailed: errorRow(
    502,
    "UPSTREAM_FAILED",
    "connection_terminated",
    "The app on {port} closed the connection before it responded. Try again, or look into the app's log.",
    { retryable: true },
  ),
  UpstreamMalformed: errorRow(
    502,
    "UPSTREAM_FAILED",
    "http_protocol_error",
    "The app on {port} sent an invalid HTTP response. Check that it serves HTTP/1.1 there, and not HTTPS or another protocol.",
  ),
  ProviderUnavailable: errorRow(
    502,
    "PROVIDER_UNAVAILABLE",
    "destination_unavailable",
    "The machine of {project} cannot be reached. Try again later.",
    { retryable: true },
  ),
  RequestMalformed: errorRow(
    400,
    "REQUEST_MALFORMED",
    "http_request_error",
    "The request is not valid HTTP/1.1. Check what the client sends, or try another one.",
  ),
  RequestTimeout: errorRow(
    408,
    "REQUEST_TIMEOUT",
    "http_request_error",
    "The request took too long to arrive. Try again.",
    { retryable: true },
  ),
  RequestHeadTooLarge: errorRow(
    431,
    "REQUEST_HEAD_TOO_LARGE",
    "http_request_error",
    "The headers of the request are too large. Delete the cookies of this site, then try again.",
  ),
  RequestTargetTooLong: errorRow(
    414,
    "REQUEST_TARGET_TOO_LONG",
    "http_request_error",
    "The URL of the request is too long. Shorten its query, or send the data in a body.",
  ),
  ExpectationFailed: errorRow(
    417,
    "EXPECTATION_FAILED",
    "http_request_error",
    "The Expect header of the request is not supported. Send the request without it, or with 100-continue.",
  ),
  MethodRefused: errorRow(
    405,
    "METHOD_REFUSED",
    "http_request_denied",
    "This HTTP method is not allowed. Use another one: CONNECT and TRACE are not passed on.",
  ),
  MethodUnknown: errorRow(
    501,
    "METHOD_UNKNOWN",
    "http_request_error",
    "This HTTP method is not supported. Check its spelling, which is in capitals; those of HTTP and WebDAV pass.",
  ),
  CodingUnknown: errorRow(
    501,
    "CODING_UNKNOWN",
    "http_request_error",
    "The transfer coding of the request is not supported. Send the body as chunked alone, or with a Content-Length.",
  ),
  VersionUnknown: errorRow(
    505,
    "VERSION_UNKNOWN",
    "http_request_error",
    "The HTTP version of the request is not supported. Use HTTP/1.1.",
  ),
  Overloaded: errorRow(
    503,
    "OVERLOADED",
    "connection_limit_reached",
    "Too many requests to {hostname} are in flight. Wait until some of them are complete.",
    { retryAfter: 1 },
  ),
  ProxyFailed: errorRow(
    500,
    "PROXY_FAILED",
    "proxy_internal_error",
    "The proxy failed. Report this code and this request to whoever runs it.",
  ),
} as const satisfies Record<string, ErrorRow>

/** The tags of {@link forwardErrors}. */
export type ForwardErrorTag = keyof typeof forwardErrors
