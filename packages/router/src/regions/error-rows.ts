import type { ErrorRow } from "@project-ingress/forward"
import { errorRow } from "@project-ingress/forward/internal"

/** How the failures of region hops look to a client. */
export const regionErrors = {
  RegionUnreachable: errorRow(
    502,
    "REGION_UNREACHABLE",
    "destination_unavailable",
    "The region of {project} cannot be reached from here at the moment. Wait a little.",
    { retryAfter: 1 },
  ),
  /** Of a `RegionUnreachable` that took too long. */
  RegionTimeout: errorRow(
    504,
    "REGION_UNREACHABLE",
    "connection_timeout",
    "The region of {project} does not respond in time. Wait a little.",
    { retryAfter: 1 },
  ),
} as const satisfies Record<string, ErrorRow>
