import { monotonicNow } from "@project-ingress/forward/internal"
import { decodeRecord } from "../decode-record.ts"
import { projectShare } from "../project-share.ts"
import type { RouteChange } from "../route-feed.ts"
import { isCount } from "../shape.ts"
import type { RouteAges } from "./known-route.ts"
import type { RouteMemory } from "./route-memory.ts"

/**
 * Applies changes to the memory. What they say is used, and asked for in the background with its first use: a feed may be behind. It is
 * as old as what was known before. Of a key that was not known nobody can tell: a change that comes again may have been followed by
 * others since, so that the authority is asked before its first use, as where a route is older than `revalidateMs`.
 */
export const changesInto =
  (memory: RouteMemory, { missMs, revalidateMs }: RouteAges) =>
  (changes: readonly RouteChange[]): void => {
    const now = monotonicNow()
    for (const change of changes) {
      // Nobody can tell of what it is: what is known goes on, for as long as it may without a feed.
      const { key, version, record: given } = (change ?? {}) as Partial<RouteChange>
      if (typeof key !== "string" || !isCount(version)) continue
      const known = memory.get(key)
      if (known?.version !== undefined && known.version >= version) continue
      const heard = { layer: "feed", heardAt: known?.heardAt ?? now - revalidateMs, freshUntil: now }
      if (given === undefined) {
        // Later than what caches have; asked for before its next use in any case.
        if (known?.record !== undefined) memory.learn(key, { ...heard, heardAt: now, missMs, share: known.share })
        continue
      }
      const { record } = decodeRecord(given)
      if (record !== undefined) memory.learn(key, { ...heard, record, version, share: projectShare(record, key) })
      // The authority says it again, to fail its own hostname.
      else memory.expire(key)
    }
  }
