import { guardedFeed } from "../guarded-feed.ts"
import { backOffMs } from "../reading/back-off.ts"
import type { BackOff } from "../reading/back-off.ts"
import { pause } from "../reading/pause.ts"
import type { RouteChange, RouteFeed } from "../route-feed.ts"
import type { StoreHealth } from "../store-health.ts"
import type { RouteMemory } from "./route-memory.ts"

/** How a feed is followed. */
export interface FollowFeedParts {
  readonly memory: RouteMemory
  readonly apply: (changes: readonly RouteChange[]) => void
  readonly health: StoreHealth
  readonly random: () => number
}

/** How long one call waits for a change, in ms. */
const WAIT_MS = 30_000
/** Between calls that gave nothing: a feed may not wait, though it is asked to. */
const IDLE_MS = 100
/** After a failure. */
const BACK_OFF: BackOff = { firstMs: 1_000, longestMs: 30_000 }

/** Follows a feed until the signal is aborted. Never rejects. */
export const followFeed = async (feed: RouteFeed, signal: AbortSignal, parts: FollowFeedParts): Promise<void> => {
  const { memory, apply, health, random } = parts
  const source = guardedFeed(feed)
  let cursor: string | undefined
  let failures = 0
  while (!signal.aborted) {
    try {
      if (cursor === undefined) {
        const snapshot = await source.snapshot(signal)
        // Only the names: what they lead to is read when they are asked for.
        for await (const [key] of snapshot.routes) memory.remember(key)
        // What led nowhere may be in there.
        memory.forgetMisses()
        ;({ cursor } = snapshot)
      }
      const page = await source.changes(cursor, WAIT_MS, signal)
      const isGap = page.status === "gap"
      if (!isGap) apply(page.changes)
      cursor = isGap ? undefined : page.cursor
      health.worked()
      failures = 0
      if (isGap) await pause(backOffMs(0, BACK_OFF, random), signal)
      else if (page.changes.length === 0) await pause(IDLE_MS, signal)
    } catch (cause) {
      if (signal.aborted) return
      health.failed(cause)
      await pause(backOffMs(failures++, BACK_OFF, random), signal)
    }
  }
}
