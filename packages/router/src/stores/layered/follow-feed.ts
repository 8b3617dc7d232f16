import { backOffMs } from "../reading/back-off.ts"
import type { BackOff } from "../reading/back-off.ts"
import { pause } from "../reading/pause.ts"
import { within } from "../reading/within.ts"
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
/** How long it may take beyond that, in ms: a connection may be dead. */
const TIMEOUT_MS = 5_000
/** How long reading all names may take, in ms. */
const SNAPSHOT_MS = 600_000
/** Between calls that gave nothing: a feed may not wait, though it is asked to. */
const IDLE_MS = 100
/** After a failure. */
const BACK_OFF: BackOff = { firstMs: 1_000, longestMs: 30_000 }

/**
 * Follows a feed until the signal is aborted. Never rejects. Not by `guardedFeed`, which would be a kilobyte more in every Worker with a
 * layered store, none of which follows a feed.
 */
export const followFeed = async (feed: RouteFeed, signal: AbortSignal, parts: FollowFeedParts): Promise<void> => {
  const { memory, apply, health, random } = parts
  let cursor: string | undefined
  let failures = 0
  while (!signal.aborted) {
    try {
      if (cursor === undefined) {
        const readNames = async (inner: AbortSignal): Promise<string> => {
          const snapshot = await feed.snapshot({ signal: inner })
          // Only the names: what they lead to is read when they are asked for.
          for await (const [key] of snapshot.routes) memory.remember(key)
          return snapshot.cursor
        }
        cursor = await within(SNAPSHOT_MS, readNames, signal)
        // What led nowhere may be in there.
        memory.forgetMisses()
      }
      const since = cursor
      const read = (inner: AbortSignal) => feed.changes(since, { waitMs: WAIT_MS, signal: inner })
      const page = await within(WAIT_MS + TIMEOUT_MS, read, signal)
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
