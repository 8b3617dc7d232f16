import type { ErrorRow } from "@project-ingress/forward"
import { errorRow, upstreamErrors } from "@project-ingress/forward/internal"
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
    { retryAfter: 1, progress: true },
  ),
  MachineStartFailed: errorRow(
    502,
    "MACHINE_START_FAILED",
    "destination_unavailable",
    "The machine of {project} was started and did not respond. Look into its log at its provider, then reload in a minute to start it again.",
  ),
  MachineMismatch: errorRow(
    503,
    "MACHINE_MISMATCH",
    "destination_unavailable",
    "The machine of {project} has moved. Wait until its new address is known.",
    { retryAfter: 1 },
  ),
  MachineUnproven: errorRow(
    502,
    "MACHINE_UNPROVEN",
    "proxy_configuration_error",
    "The machine of {project} cannot prove who it is. It needs a key of its own, which the router's event explains.",
  ),
  /** Of a `MachineNotRunning` whose state is `archived`: its disk is in a cold store. */
  MachineArchived: errorRow(
    503,
    "MACHINE_ARCHIVED",
    "destination_unavailable",
    "The machine of {project} is archived. Restore it at its provider, or attach another one.",
  ),
  /** Of a `MachineRecordInvalid` whose `type` no provider has. */
  ProviderNotConfigured: errorRow(
    500,
    "PROVIDER_NOT_CONFIGURED",
    "proxy_configuration_error",
    "The machine of {project} is at a provider that is not set up here. Attach another machine, or add its provider to the router.",
  ),
  /** Refused at the machine's own address: with a machine proxy it is that which does not listen. */
  PortClosed: {
    ...upstreamErrors.PortClosed,
    title: "{Port} is not listening yet. Start the machine, if it is not running, and the app in it.",
  },
  ProviderAuth: errorRow(
    502,
    "PROVIDER_AUTH",
    "proxy_internal_error",
    "The machine of {project} cannot be reached. The router's credentials at its provider have to be renewed.",
  ),
  ProviderRateLimited: errorRow(
    503,
    "PROVIDER_RATE_LIMITED",
    "connection_limit_reached",
    "The machine of {project} cannot be reached at the moment. Its provider limits the router's calls.",
    { retryAfter: 5 },
  ),
  ProviderUnavailable: upstreamErrors.ProviderUnavailable,
  /** A `ProviderUnavailable` that took too long: to connect, or to call the provider. */
  ProviderTimeout: { ...upstreamErrors.ProviderUnavailable, status: 504, error: "connection_timeout" },
  MachineRecordInvalid: errorRow(
    500,
    "MACHINE_RECORD_INVALID",
    "proxy_configuration_error",
    "The machine of {project} is misconfigured. The router's event names the field to correct.",
  ),
  UpstreamTimeout: upstreamErrors.UpstreamTimeout,
  UpstreamFailed: upstreamErrors.UpstreamFailed,
} as const satisfies Record<
  ProviderError["_tag"] | "ProviderTimeout" | "MachineArchived" | "ProviderNotConfigured",
  ErrorRow
>
