import { forwardErrors } from "@project-ingress/forward"
import type { ErrorRow } from "@project-ingress/forward"
import type { ProviderError } from "./errors.ts"

/** How each failure between a route and a machine looks to a client, by tag. */
export const providerErrors = {
  MachineNotFound: row(404, "MACHINE_NOT_FOUND", "destination_not_found", "The machine no longer exists."),
  MachineNotRunning: row(
    503,
    "MACHINE_NOT_RUNNING",
    "destination_unavailable",
    "The machine is not running. Start it; this page reloads by itself.",
    5,
  ),
  MachineStarting: row(
    503,
    "MACHINE_STARTING",
    "destination_unavailable",
    "The machine is starting. This page reloads by itself.",
    1,
  ),
  MachineMismatch: row(
    503,
    "MACHINE_MISMATCH",
    "destination_unavailable",
    "The machine has moved. This page reloads by itself.",
    1,
  ),
  PortClosed: forwardErrors.PortClosed,
  ProviderAuth: row(502, "PROVIDER_AUTH", "proxy_internal_error", "The provider rejected our credentials."),
  ProviderRateLimited: row(
    503,
    "PROVIDER_RATE_LIMITED",
    "connection_limit_reached",
    "The provider limits our requests. This page reloads by itself.",
    5,
  ),
  ProviderUnavailable: forwardErrors.ProviderUnavailable,
  /** A `ProviderUnavailable` whose reason is a time-out. */
  ProviderTimeout: row(
    504,
    "PROVIDER_UNAVAILABLE",
    "connection_timeout",
    "The machine cannot be reached. Try again later.",
  ),
  MachineRecordInvalid: row(
    500,
    "MACHINE_RECORD_INVALID",
    "proxy_configuration_error",
    "The machine of this route is misconfigured.",
  ),
  UpstreamTimeout: forwardErrors.UpstreamTimeout,
  UpstreamFailed: forwardErrors.UpstreamFailed,
} as const satisfies Record<ProviderError["_tag"] | "ProviderTimeout", ErrorRow>

function row(status: number, code: string, error: string, title: string, retryAfter?: number): ErrorRow {
  return { status, code, error, title, ...(retryAfter === undefined ? {} : { retryAfter }) }
}
