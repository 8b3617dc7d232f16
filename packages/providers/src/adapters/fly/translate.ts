import { retryAfterMs } from "../../adapter-kit/retry-after.ts"
import type { VendorResponse } from "../../adapter-kit/vendor-api.ts"
import {
  MachineNotFound,
  MachineRecordInvalid,
  MachineStarting,
  ProviderRateLimited,
  ProviderUnavailable,
} from "../../contract/errors.ts"
import type { ProviderError } from "../../contract/errors.ts"
import type { MachineState } from "../../contract/machine-provider.ts"
import { errorFields, errorMessage } from "./error-message.ts"

/** Fly's name of a state, translated. */
export const flyState = (name: string | undefined): MachineState => {
  switch (name) {
    case "started":
      return "running"
    case "creating":
    case "starting":
    case "restarting":
    case "updating":
    case "replacing":
      return "starting"
    case "stopping":
    case "suspending":
      return "stopping"
    // It may start by itself or not; a `start` that comes too early is refused with `MachineStarting`.
    case "created":
    case "stopped":
      return "stopped"
    case "suspended":
      return "suspended"
    case "failed":
    case "launch_failed":
      return "failed"
    case "destroying":
    case "destroyed":
      return "gone"
    // `replaced` and `migrated` are states of old versions of a machine, never of the machine.
    default:
      return "unknown"
  }
}

/** The rate limits are one or five a second: an earlier retry cannot succeed. */
const RATE_LIMIT_MS = 1_000

/** What an error response of the Machines API means. */
export const flyFailure = (response: VendorResponse): ProviderError => {
  const { status, where } = response
  const unavailable = (reason: string) => new ProviderUnavailable({ ...where, reason })
  if (errorFields(response.json).status === "insufficient_capacity") return unavailable("capacity")
  if (status === 0 || (status >= 300 && status < 400)) return unavailable(`the API redirects: HTTP ${status || "3xx"}`)
  switch (status) {
    case 404:
      return isAppFailure(response) ? unavailable("HTTP 404 for the app") : new MachineNotFound(where)
    // The machine did not reach the state in time; it is still starting.
    case 408:
      return new MachineStarting(where)
    // 409: a lease or another version is in the way. 412: the machine's state does not allow it now. Or there is no capacity.
    case 409:
    case 412:
      if (/insufficient (?:resources|memory|cpu|capacity)|could not reserve resource/i.test(errorMessage(response))) {
        return unavailable("capacity")
      }
      return flyState(refusedState(response)) === "gone" ? new MachineNotFound(where) : new MachineStarting(where)
    // The request holds nothing but the names in its path.
    case 422:
      return new MachineRecordInvalid({ ...where, field: "externalId", accepted: "the id of a machine of its app" })
    case 429: {
      const asked = retryAfterMs(response.headers.get("retry-after")) ?? 0
      return new ProviderRateLimited({ ...where, retryAfterMs: Math.max(asked, RATE_LIMIT_MS) })
    }
    default:
      return response.failure()
  }
}

/** The state in `unable to start machine from current state: 'created'`. */
export const refusedState = (response: VendorResponse): string | undefined =>
  /current state: '(\w+)'/.exec(errorMessage(response))?.[1]

// Sent for a moment for an app that exists: right after it was made, and when Fly's own look-up fails.
const isAppFailure = (response: VendorResponse): boolean => /no longer introspect/i.test(errorMessage(response))
