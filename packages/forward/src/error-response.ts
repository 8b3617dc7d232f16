import type { HeaderList } from "./headers.ts"
import type { HopHeaderNames } from "./header-names.ts"

/** How a failure looks to a client. `error` is a proxy error type of RFC 9209 §2.3. */
export interface ErrorRow {
  readonly status: number
  readonly code: string
  readonly error: string
  /** Seconds for `Retry-After`, where waiting helps. */
  readonly retryAfter?: number
  /** What a person reads when the request was a navigation. One sentence, without any of the request's own text. */
  readonly title: string
}

/**
 * Every failure that a proxy of this project answers with, in one place: what a client can rely on. `HostnameForeign` and a
 * client that left are not here: neither is answered.
 */
export const errorRows = {
  HostnameMalformed: row(400, "HOSTNAME_MALFORMED", "http_request_error", "This address is not written correctly."),
  RouteNotFound: row(404, "ROUTE_NOT_FOUND", "destination_not_found", "Nothing lives at this address."),
  RouteUnknown: row(503, "ROUTE_UNKNOWN", "destination_unavailable", "This address is not known yet.", 1),
  AccessDenied: row(403, "ACCESS_DENIED", "http_request_denied", "You have no access to this address."),
  LoginRequired: row(401, "LOGIN_REQUIRED", "http_request_denied", "Sign in to open this address."),
  LoopDetected: row(508, "LOOP_DETECTED", "proxy_loop_detected", "This address leads back to itself."),
  MachineNotFound: row(404, "MACHINE_NOT_FOUND", "destination_not_found", "The machine is gone."),
  MachineNotRunning: row(503, "MACHINE_NOT_RUNNING", "destination_unavailable", "The machine is not running.", 5),
  MachineStarting: row(503, "MACHINE_STARTING", "destination_unavailable", "The machine is starting.", 1),
  MachineMismatch: row(503, "MACHINE_MISMATCH", "destination_unavailable", "The machine has moved.", 1),
  ProviderAuth: row(502, "PROVIDER_AUTH", "proxy_internal_error", "The machine's provider refused us."),
  ProviderRateLimited: row(503, "PROVIDER_RATE_LIMITED", "connection_limit_reached", "Too many requests.", 5),
  ProviderUnavailable: row(502, "PROVIDER_UNAVAILABLE", "destination_unavailable", "The machine cannot be reached."),
  ProviderTimeout: row(504, "PROVIDER_UNAVAILABLE", "connection_timeout", "The machine cannot be reached."),
  MachineRecordInvalid: row(
    500,
    "MACHINE_RECORD_INVALID",
    "proxy_configuration_error",
    "This address is misconfigured.",
  ),
  TargetMissing: row(400, "missing_proxy_target_host", "http_request_error", "The request names no target."),
  TargetInvalid: row(400, "invalid_proxy_target_host", "http_request_error", "The request names an invalid target."),
  TicketMissing: row(
    401,
    "TICKET_REQUIRED",
    "http_request_denied",
    "This machine takes requests from its router only.",
  ),
  TicketInvalid: row(401, "TICKET_INVALID", "http_request_denied", "This machine takes requests from its router only."),
  MachineMisdirected: row(421, "MACHINE_MISMATCH", "destination_unavailable", "This is another machine."),
  PortForbidden: row(403, "PORT_FORBIDDEN", "http_request_denied", "This port is not open to the outside."),
  PortClosed: row(502, "PORT_CLOSED", "connection_refused", "Nothing listens on this port."),
  UpstreamTimeout: row(504, "UPSTREAM_TIMEOUT", "http_response_timeout", "The app did not answer in time."),
  UpstreamFailed: row(502, "UPSTREAM_FAILED", "connection_terminated", "The app closed the connection."),
  UpstreamMalformed: row(502, "UPSTREAM_FAILED", "http_protocol_error", "The app's answer could not be understood."),
  RequestMalformed: row(400, "REQUEST_MALFORMED", "http_request_error", "The request could not be understood."),
  RequestTimeout: row(408, "REQUEST_TIMEOUT", "http_request_error", "The request took too long to arrive."),
  RequestHeadTooLarge: row(431, "REQUEST_HEAD_TOO_LARGE", "http_request_error", "The request's headers are too large."),
  RequestTargetTooLong: row(414, "REQUEST_TARGET_TOO_LONG", "http_request_error", "The address is too long."),
  ExpectationFailed: row(417, "EXPECTATION_FAILED", "http_request_error", "The request expects what is not offered."),
  MethodRefused: row(405, "METHOD_REFUSED", "http_request_denied", "This method is not passed on."),
  MethodUnknown: row(501, "METHOD_UNKNOWN", "http_request_error", "The request's method is not known."),
  CodingUnknown: row(501, "CODING_UNKNOWN", "http_request_error", "The request's transfer coding is not known."),
  VersionUnknown: row(505, "VERSION_UNKNOWN", "http_request_error", "The request's HTTP version is not known."),
  UpgradeUnsupported: row(501, "UPGRADE_UNSUPPORTED", "http_request_error", "WebSockets are not passed on here."),
  Overloaded: row(503, "OVERLOADED", "connection_limit_reached", "Too many requests at once.", 1),
  ProxyFailed: row(500, "PROXY_FAILED", "proxy_internal_error", "The proxy failed."),
} as const satisfies Record<string, ErrorRow>

/** The tags that have an answer. A package's own error union must be a part of it: the compiler checks it where they meet. */
export type ErrorTag = keyof typeof errorRows

/** An answer that a proxy makes itself. */
export interface GeneratedResponse {
  readonly status: number
  /** Complete but for framing, `Date` and `Connection`. */
  readonly headers: HeaderList
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array> | null
  /** The stable code, for logs; absent when the answer is no failure. */
  readonly code?: string
}

/** What may be said about a failure beyond its row. */
export interface ErrorResponseOptions {
  readonly headerNames: HopHeaderNames
  /** Who answers, as in `Via`. */
  readonly pseudonym: string
  /** True for a page, see `prefersHtml`; default false: JSON. */
  readonly page?: boolean
  /** Overrides the row's status, as for an access that is to look like a missing route. */
  readonly status?: number
  /** Seconds, a non-negative integer; overrides the row's. */
  readonly retryAfter?: number
  /** Added last. */
  readonly add?: HeaderList
}

/**
 * The answer for a failure: JSON `{ "error": "<code>" }`, or a page for a person. It carries nothing of the request and
 * nothing of the cause. Never cacheable.
 */
export const errorResponse = (tag: ErrorTag, options: ErrorResponseOptions): GeneratedResponse => {
  const found: ErrorRow = errorRows[tag]
  const status = options.status ?? found.status
  const retryAfter = options.retryAfter ?? found.retryAfter
  const page = options.page === true
  return {
    status,
    code: found.code,
    headers: [
      "Content-Type",
      page ? "text/html; charset=utf-8" : "application/json",
      "Cache-Control",
      "no-store",
      "X-Content-Type-Options",
      "nosniff",
      "Proxy-Status",
      `${options.pseudonym}; error=${found.error}`,
      options.headerNames.error,
      found.code,
      ...(retryAfter === undefined ? [] : ["Retry-After", String(retryAfter)]),
      ...(page ? ["Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"] : []),
      ...(options.add ?? []),
    ],
    body: page ? pageFor(status, found, retryAfter) : `{"error":"${found.code}"}\n`,
  }
}

/**
 * Whether a person waits for a page: a navigation by `Sec-Fetch-Mode`, else an `Accept` that prefers `text/html`. Never for
 * a WebSocket handshake, and never when a script's `fetch` says what it is.
 */
export const prefersHtml = (get: (lowerName: string) => string | null | undefined): boolean => {
  if (get("upgrade")) return false
  const mode = get("sec-fetch-mode")
  if (mode) return mode === "navigate"
  const accept = (get("accept") ?? "").slice(0, 1024).toLowerCase()
  const html = accept.indexOf("text/html")
  const json = accept.indexOf("application/json")
  return html >= 0 && (json < 0 || html < json)
}

// A page that waits reloads itself: the machine that is starting now answers a moment later.
const pageFor = (status: number, found: ErrorRow, retryAfter: number | undefined): string => `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">${
  retryAfter === undefined ? "" : `<meta http-equiv="refresh" content="${Math.max(1, retryAfter)}">`
}<title>${found.title}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:20vh auto;max-width:32rem;padding:0 1rem;color:#222;background:#fff}
code{color:#777}@media(prefers-color-scheme:dark){body{color:#ddd;background:#111}}</style>
<h1>${found.title}</h1><p><code>${status} ${found.code}</code></p></html>
`

function row(status: number, code: string, error: string, title: string, retryAfter?: number): ErrorRow {
  return { status, code, error, title, ...(retryAfter === undefined ? {} : { retryAfter }) }
}
