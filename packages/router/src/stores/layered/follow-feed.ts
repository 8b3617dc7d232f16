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
/** After a failure; twice as long each time. */
const FIRST_PAUSE_MS = 1_000
const LAST_PAUSE_MS = 30_000

/** Follows a feed until the signal is aborted. Never rejects. */
export const followFeed = async (feed: RouteFeed, signal: AbortSignal, parts: FollowFeedParts): Promise<void> => {
  const { memory, apply, health, random } = parts
  let cursor: string | undefined
  let pauseMs = 0
  while (!signal.aborted) {
    try {
      if (cursor === undefined) {
        const snapshot = await feed.snapshot({ signal })
        // Only the names: what they lead to is read when they are asked for.
        for await (const [key] of snapshot.routes) memory.remember(key)
        // What led nowhere may be in there.
        memory.forgetMisses()
        ;({ cursor } = snapshot)
      }
      const page = await feed.changes(cursor, { waitMs: WAIT_MS, signal })
      const isGap = page.status === "gap"
      if (!isGap) apply(page.changes)
      cursor = isGap ? undefined : page.cursor
      health.worked()
      pauseMs = 0
      if (isGap) await pause(FIRST_PAUSE_MS * (1 + random()), signal)
      else if (page.changes.length === 0) await pause(IDLE_MS, signal)
    } catch (cause) {
      if (signal.aborted) return
      health.failed(cause)
      pauseMs = Math.min(LAST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, pauseMs * 2))
      await pause(pauseMs * (0.8 + random() * 0.4), signal)
    }
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener("abort", end)
    if (signal.aborted) end()
  })
