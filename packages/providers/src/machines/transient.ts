import { MachineStarting, machineRef } from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import type { Machine } from "../contract/machine-provider.ts"

/** The longest that a provider's own wish to wait is obeyed, in ms. */
const MAX_RETRY_AFTER_MS = 30_000

/** Whether an error is expected to pass by itself after a machine began to start. */
export const isTransient = (error: ProviderError): boolean =>
  error._tag === "MachineNotRunning" || error._tag === "MachineStarting" || error._tag === "ProviderRateLimited"

/** How long to wait before a retry: 250 ms to 2 s with jitter, and at least what the provider asks for, up to 30 s. */
export const retryDelayMs = (round: number, error: ProviderError): number =>
  Math.max(
    Math.min(250 * 2 ** round, 2_000) * (0.75 + Math.random() / 2),
    Math.min(retryAfterOf(error) ?? 0, MAX_RETRY_AFTER_MS),
  )

/** The machine did not start in time. A retry makes sense when the cause says so, by default after 2 s. */
export const stillStarting = (machine: Machine, cause?: ProviderError): MachineStarting =>
  new MachineStarting({
    ...machineRef(machine),
    cause,
    retryAfterMs: (cause === undefined ? undefined : retryAfterOf(cause)) ?? 2_000,
  })

/** An adapter may give anything: what is no time counts as none, and never makes a loop without a pause. */
export const retryAfterOf = (error: ProviderError): number | undefined => {
  const ms = "retryAfterMs" in error ? error.retryAfterMs : undefined
  return ms !== undefined && ms >= 0 ? ms : undefined
}
