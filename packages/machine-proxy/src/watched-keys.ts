import type { VerificationKey } from "@project-ingress/forward"
import { errorEvent, monotonicNow } from "@project-ingress/forward/internal"
import type { EngineEvent } from "@project-ingress/forward/sockets"
import { verificationKeyProblem } from "./keys.ts"

/** How often an invalid list is reported, in ms: `keys()` may give another array each time. */
const REPORT_EVERY_MS = 60_000

/**
 * The keys that a function returns while requests are served, each array looked at when it first comes: an invalid key would
 * refuse every request that needs it, and nobody would learn why. The event names the key by its place and `kid`, never its value.
 */
export const watchedKeys = (
  keys: () => readonly VerificationKey[],
  onEvent: ((event: EngineEvent) => void) | undefined,
): (() => readonly VerificationKey[]) => {
  if (onEvent === undefined) return keys
  let last: readonly VerificationKey[] | undefined
  let reportedAt: number | undefined
  return () => {
    const latest = keys()
    if (latest === last) return latest
    last = latest
    const now = monotonicNow()
    if (reportedAt !== undefined && now - reportedAt < REPORT_EVERY_MS) return latest
    const problem = Array.isArray(latest)
      ? verificationKeyProblem(latest, (index) => `keys()[${index}]`)
      : "keys() must return an array"
    if (problem === undefined) return latest
    reportedAt = now
    try {
      onEvent(errorEvent("ProxyFailed", new TypeError(problem)))
    } catch {
      // A log that fails must not fail the request.
    }
    return latest
  }
}
