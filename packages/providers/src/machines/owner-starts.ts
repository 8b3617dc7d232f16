import { monotonicNow } from "@project-ingress/forward/internal"

/** How many machines of one owner are being started. */
export interface OwnerStarts {
  /** Counts a start, or gives false because the owner has as many as it may have. */
  readonly begin: (share: string, key: string) => boolean
  readonly end: (share: string, key: string) => void
  /** Whether such a start has begun, is not over, and can still be going on. */
  readonly isGoingOn: (share: string, key: string) => boolean
}

/**
 * `most` for one owner; each counts for `ms` at most, because on Workers a start may end unnoticed, together with the request that
 * it belongs to.
 */
export const makeOwnerStarts = (most: number, ms: number): OwnerStarts => {
  const owners = new Map<string, Map<string, number>>()
  return {
    begin: (share, key) => {
      const starts = owners.get(share) ?? new Map<string, number>()
      const now = monotonicNow()
      if (!starts.has(key) && starts.size >= most) {
        for (const [each, at] of starts) if (now - at > ms) starts.delete(each)
        if (starts.size >= most) return false
      }
      starts.set(key, now)
      owners.set(share, starts)
      return true
    },
    end: (share, key) => {
      const starts = owners.get(share)
      if (starts?.delete(key) === true && starts.size === 0) owners.delete(share)
    },
    isGoingOn: (share, key) => monotonicNow() - (owners.get(share)?.get(key) ?? -Infinity) <= ms,
  }
}
