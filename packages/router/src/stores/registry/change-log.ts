import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { RouteKey, RouteRecord } from "../record.ts"
import type { FeedPage, FeedSnapshot, RouteChange, RouteFeed } from "../route-feed.ts"

/** The routes that a registry in this process publishes, and their history. */
export interface ChangeLog extends Pick<RouteFeed, "snapshot"> {
  readonly page: (since: string, limit: number) => FeedPage
  readonly get: (key: RouteKey) => RouteRecord | undefined
  readonly size: () => number
  readonly publish: (changes: readonly RouteChange[]) => void
}

/**
 * `kept`: how many changes are remembered, at least 1. `id` tells the cursors of this log from those of others. `onPublish` is called
 * after each change.
 */
export const changeLog = (id: string, kept: number, onPublish: () => void): ChangeLog => {
  const routes = new Map<RouteKey, RouteRecord>()
  const history: RouteChange[] = []
  // The place of `history[0]` among all changes that ever were.
  let first = 0
  const cursorAt = (place: number): string => `${id}:${place}`

  return {
    get: (key) => routes.get(key),
    size: () => routes.size,
    publish: (changes) => {
      for (const change of changes) {
        if (change.record === undefined) routes.delete(change.key)
        else routes.set(change.key, change.record)
        history.push(change)
      }
      // In blocks: dropping one at a time would move the whole array at each change.
      if (history.length >= 2 * kept) first += history.splice(0, history.length - kept).length
      if (changes.length > 0) onPublish()
    },
    snapshot: async (options = {}): Promise<FeedSnapshot> => {
      checkOptions("snapshot", options, { signal: accept.object })
      options.signal?.throwIfAborted()
      const entries = [...routes]
      return {
        cursor: cursorAt(first + history.length),
        routes: (async function* () {
          yield* entries
        })(),
      }
    },
    page: (since, limit) => {
      const at =
        typeof since === "string" && since.startsWith(`${id}:`) ? Number(since.slice(id.length + 1)) - first : -1
      if (!Number.isInteger(at) || at < 0 || at > history.length) return { status: "gap" }
      const changes = history.slice(at, at + limit)
      const end = at + changes.length
      return { status: "changes", changes, cursor: cursorAt(first + end), more: end < history.length }
    },
  }
}
