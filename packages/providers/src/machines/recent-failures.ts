import { makeDividedTable, monotonicNow } from "@project-ingress/forward/internal"
import type { DividedKey } from "@project-ingress/forward/internal"
import { MachineStarting, ProviderRateLimited } from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import { retryAfterOf } from "./transient.ts"

/** Failures of provider calls, each kept for a moment: to ask again at once would bring the same error. */
export interface RecentFailures {
  readonly get: (of: DividedKey) => ProviderError | undefined
  readonly set: (of: DividedKey, error: ProviderError) => void
  readonly delete: (of: DividedKey) => void
  readonly deleteAll: (keyPrefix: string) => void
}

/** For how long, in ms, where the provider does not say when to call again. */
const KEPT_MS: Readonly<Record<ProviderError["_tag"], number>> = {
  // A deleted machine stays deleted; one that is made again under its old name is found after this.
  MachineNotFound: 5_000,
  // Somebody may start it at the vendor's console.
  MachineNotRunning: 1_000,
  MachineStartFailed: 1_000,
  // Shorter than the delay before a retry, which thus finds the machine running.
  MachineStarting: 180,
  ProviderAuth: 10_000,
  ProviderRateLimited: 5_000,
  // It may have been one lost connection.
  ProviderUnavailable: 500,
  // A record that was corrected has a key of its own; what the vendor said of the machine may be right a moment later.
  MachineRecordInvalid: 1_000,
  // No failures of a provider's API; an adapter may throw them all the same.
  MachineMismatch: 500,
  MachineUnproven: 500,
  PortClosed: 500,
  UpstreamTimeout: 500,
  UpstreamFailed: 500,
}
/** The shortest wish to wait, in ms: "now" would be a call for each request. */
const MIN_ASKED_MS = 180
/** The longest that a provider's `retryAfterMs` is obeyed, in ms: one wrong header must not end all service for a day. */
const MAX_KEPT_MS = 15 * 60_000
/** Failures that came together do not end together, or their requests would all call the vendor at that moment. */
const JITTER = 0.25

export const makeRecentFailures = (): RecentFailures => {
  const failures = makeDividedTable<{ readonly error: ProviderError; readonly until: number }>()
  return {
    get(of) {
      const found = failures.get(of)
      if (found === undefined) return undefined
      const leftMs = found.until - monotonicNow()
      if (leftMs > 0) return withTimeLeft(found.error, leftMs)
      failures.delete(of)
      return undefined
    },
    set: (of, error) => failures.set(of, { error, until: monotonicNow() + keptMs(error) }),
    delete: failures.delete,
    deleteAll: failures.deleteAll,
  }
}

/** How long a failure of a provider counts, in ms. */
export const keptMs = (error: ProviderError): number => {
  const asked = retryAfterOf(error)
  const ms = asked === undefined ? KEPT_MS[error._tag] : Math.min(Math.max(asked, MIN_ASKED_MS), MAX_KEPT_MS)
  // A vendor that limits the rate is never called sooner than it asks for.
  const isMinimum = asked !== undefined && error._tag === "ProviderRateLimited"
  return ms * (isMinimum ? 1 + JITTER * Math.random() : 1 - JITTER * Math.random())
}

/** A kept error as of now: its wish to wait is what is left of it. */
export const withTimeLeft = (error: ProviderError, leftMs: number): ProviderError => {
  if (retryAfterOf(error) === undefined) return error
  const { provider, machine } = error
  const fields = { provider, machine, cause: error, retryAfterMs: Math.ceil(leftMs) }
  return error._tag === "MachineStarting" ? new MachineStarting(fields) : new ProviderRateLimited(fields)
}
