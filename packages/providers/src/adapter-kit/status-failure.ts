import {
  MachineNotFound,
  MachineStarting,
  ProviderAuth,
  ProviderRateLimited,
  ProviderUnavailable,
} from "../contract/errors.ts"
import type { MachineRef, ProviderError } from "../contract/errors.ts"
import { retryAfterMs } from "./retry-after.ts"

/** What the status of a vendor's API means, when the vendor follows HTTP's own meanings. */
export const failureOfStatus = ({
  status,
  headers,
  where,
}: {
  /** 0 for a redirect that the runtime hides. */
  readonly status: number
  readonly headers: Headers
  readonly where: MachineRef
}): ProviderError => {
  switch (status) {
    case 401:
    case 403:
      return new ProviderAuth(where)
    case 404:
      return new MachineNotFound(where)
    case 409:
      return new MachineStarting({ ...where, retryAfterMs: retryAfterMs(headers.get("retry-after")) })
    case 429:
      return new ProviderRateLimited({ ...where, retryAfterMs: retryAfterMs(headers.get("retry-after")) })
    default:
      return new ProviderUnavailable({ ...where, reason: `HTTP ${status || "3xx"}` })
  }
}
