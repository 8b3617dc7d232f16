import type { ErrorRow } from "./error-row.ts"
import { errorRow } from "./error-row.ts"
import { methods } from "./http1/methods.ts"
import { upstreamErrors } from "./upstream-errors.ts"

const allErrors = () =>
  ({
    ...upstreamErrors,
    UpstreamMalformed: errorRow(
      502,
      "UPSTREAM_FAILED",
      "http_protocol_error",
      "The app on {port} sent an invalid HTTP response. Check that it speaks there what the port's settings say: by default HTTP/1.1; https is for TLS, h2c for gRPC.",
    ),
    UpstreamUntrusted: errorRow(
      502,
      "UPSTREAM_UNTRUSTED",
      "tls_certificate_error",
      'The app on {port} has a certificate that is not trusted. If it is self-signed, set tls to { "verify": false } in the settings of the port.',
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
      { allow: [...methods].join(", ") },
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
    Misdirected: errorRow(
      421,
      "MISDIRECTED",
      "http_request_error",
      "The request came by a connection for another hostname. Send it again, by a connection of its own.",
      { retryable: true },
    ),
    ClientLimited: errorRow(
      429,
      "CLIENT_LIMITED",
      "connection_limit_reached",
      "Too many connections or requests from your network are open. Wait until some of them are complete.",
      { retryAfter: 1 },
    ),
    AccessWithdrawn: errorRow(
      403,
      "ACCESS_WITHDRAWN",
      "http_request_denied",
      "Your access to {hostname} was withdrawn while the request was in flight. Sign in again, or ask its owner for access.",
    ),
    Overloaded: errorRow(
      503,
      "OVERLOADED",
      "connection_limit_reached",
      "Too many requests to {hostname} are in flight. Wait until some of them are complete.",
      { retryAfter: 1 },
    ),
  }) as const satisfies Record<string, ErrorRow>

/**
 * The failures that this package's own engine responds with, by tag. Other packages have tables of their own and use these
 * rows where the failure is the same.
 */
// A call, because a bundler may drop it where nobody uses the table.
export const forwardErrors = /* @__PURE__ */ allErrors()

/** The tags of {@link forwardErrors}. */
export type ForwardErrorTag = keyof typeof forwardErrors
