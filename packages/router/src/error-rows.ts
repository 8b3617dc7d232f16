import { forwardErrors } from "@project-ingress/forward"
import type { ErrorRow } from "@project-ingress/forward"
import { providerErrors } from "@project-ingress/providers/internal"
import type { RouterError } from "./errors.ts"

/** How each failure of the router looks to a client, by tag. */
export const routerErrors = {
  HostnameMalformed: row(400, "HOSTNAME_MALFORMED", "http_request_error", "Invalid hostname."),
  RouteNotFound: row(404, "ROUTE_NOT_FOUND", "destination_not_found", "Not found."),
  RouteUnknown: row(
    503,
    "ROUTE_UNKNOWN",
    "destination_unavailable",
    "Route temporarily unavailable. This page reloads by itself.",
    1,
  ),
  AccessDenied: row(403, "ACCESS_DENIED", "http_request_denied", "You have no access to this address."),
  LoginRequired: row(401, "LOGIN_REQUIRED", "http_request_denied", "Sign in to open this address."),
  LoopDetected: row(508, "LOOP_DETECTED", "proxy_loop_detected", "This address leads back to itself."),
  UpgradeUnsupported: row(501, "UPGRADE_UNSUPPORTED", "http_request_error", "WebSockets are not supported here."),
  ProxyFailed: forwardErrors.ProxyFailed,
  ...providerErrors,
} as const satisfies Record<RouterError["_tag"], ErrorRow>

function row(status: number, code: string, error: string, title: string, retryAfter?: number): ErrorRow {
  return { status, code, error, title, ...(retryAfter === undefined ? {} : { retryAfter }) }
}
