import type { ErrorRow } from "./error-row.ts"
import { errorRow } from "./error-row.ts"

/**
 * The failures between a request that is understood and its response, by tag: those that every host has. Beside the engine's own,
 * so that a Worker has no row of a failure that it cannot have.
 */
export const upstreamErrors = {
  PortClosed: errorRow(
    502,
    "PORT_CLOSED",
    "connection_refused",
    "{Port} is not listening yet. Start the app in the machine, on localhost or on every address.",
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
  ProviderUnavailable: errorRow(
    502,
    "PROVIDER_UNAVAILABLE",
    "destination_unavailable",
    "The machine of {project} cannot be reached. Try again later.",
    { retryable: true },
  ),
  ProxyFailed: errorRow(
    500,
    "PROXY_FAILED",
    "proxy_internal_error",
    "The proxy failed. Report this code and this request to whoever runs it.",
  ),
} as const satisfies Record<string, ErrorRow>
