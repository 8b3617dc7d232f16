import { forwardErrors } from "@project-ingress/forward"
import { errorRow } from "@project-ingress/forward/internal"
import type { ErrorRow } from "@project-ingress/forward"
import type { ProviderError } from "./errors.ts"

/** How each failure between a route and a machine looks to a client, by tag. */
export const providerErrors = {
  MachineNotFound: errorRow(
    404,
    "MACHINE_NOT_FOUND",
    "destination_not_found",
    "The machine of {project} no longer exists. Attach another one.",
  ),
  MachineNotRunning: errorRow(
    503,
    "MACHINE_NOT_RUNNING",
    "destination_unavailable",
    "The machine of {project} is not running. Start it.",
    { retryAfter: 5 },
  ),
  MachineStarting: errorRow(
    503,
    "MACHINE_STARTING",
    "destination_unavailable",
    "The machine of {project} is starting. Wait until it responds.",
    { retryAfter: 1 },
  ),
  MachineMismatch: errorRow(
    503,
    "MACHINE_MISMATCH",
    "destination_unavailable",
    "The machine of {project} has moved. Wait until its new address is known.",
    { retryAfter: 1 },
  ),
  PortClosed: forwardErrors.PortClosed,
  ProviderAuth: errorRow(
    502,
    "PROVIDER_AUTH",
    "proxy_internal_error",
    "The machine of {project} cannot be reached. Its provider rejects the router's credentials, which whoever runs the router has to renew.",
  ),
  ProviderRateLimited: errorRow(
    503,
    "PROVIDER_RATE_LIMITED",
    "connection_limit_reached",
    "The machine of {project} cannot be reached at the moment. Its provider limits how often the router may call it.",
    { retryAfter: 5 },
  ),
  ProviderUnavailable: forwardErrors.ProviderUnavailable,
  /** A `ProviderUnavailable` whose reason is a time-out. */
  ProviderTimeout: { ...forwardErrors.ProviderUnavailable, status: 504, error: "connection_timeout" },
  MachineRecordInvalid: errorRow(
    500,
    "MACHINE_RECORD_INVALID",
    "proxy_configuration_error",
    "The machine of {project} is misconfigured. Its owner has to correct the record; the router's event names the field.",
  ),
  UpstreamTimeout: forwardErrors.UpstreamTimeout,
  UpstreamFailed: forwardErrors.UpstreamFailed,
} as const satisfies Record<ProviderError["_tag"] | "ProviderTimeout", ErrorRow>
