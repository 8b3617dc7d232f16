import { retryAfterMs } from "../../adapter-kit/retry-after.ts"
import { ProviderRateLimited, machineRef } from "../../contract/errors.ts"
import type { Machine } from "../../contract/machine-provider.ts"

/** A 429 whose `Retry-After` fields have these values: the longest wait counts. */
export const rateLimited = (machine: Machine, waits: readonly (string | undefined)[]): ProviderRateLimited => {
  const known = waits.map(retryAfterMs).filter((ms) => ms !== undefined)
  return new ProviderRateLimited({
    ...machineRef(machine),
    retryAfterMs: known.length === 0 ? undefined : Math.max(...known),
  })
}
