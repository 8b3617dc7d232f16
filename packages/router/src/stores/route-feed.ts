import type { RouteKey, RouteRecord } from "./record.ts"

/**
 * The routes of a registry for caches and exporters: read the snapshot once, then the changes since its cursor. No change is lost,
 * but one may come twice, so apply a change only if its `version` is higher than the one you have.
 */
export interface RouteFeed {
  /** All keys that have a record, as they are at the cursor or later. Rejects if the registry cannot be read. */
  snapshot(options?: { readonly signal?: AbortSignal }): Promise<FeedSnapshot>
  /**
   * Changes after a cursor, oldest first; or `gap`, if the registry no longer has them or the cursor is that of another one: read a
   * new snapshot then. Rejects if the registry cannot be read.
   */
  changes(
    since: string,
    options?: {
      /** How many changes at most, 1 to 10 000. Default 1 000. */
      readonly limit?: number
      readonly signal?: AbortSignal
    },
  ): Promise<FeedPage>
}

/** All routes, and the cursor to read changes from. */
export interface FeedSnapshot {
  /** The `since` of the first call of `changes`. Opaque. */
  readonly cursor: string
  readonly routes: AsyncIterable<readonly [key: RouteKey, record: RouteRecord]>
}

/** One page of changes; or `gap`, when only a new snapshot helps. */
export type FeedPage =
  | {
      readonly status: "changes"
      readonly changes: readonly RouteChange[]
      /** The `since` of the next call; the same as before when nothing changed. */
      readonly cursor: string
      /** True if the next page can be read at once, because there are more changes. */
      readonly more: boolean
    }
  | { readonly status: "gap" }

/** A key whose record changed. Drop a cached miss of the key, too, whatever the record contains. */
export interface RouteChange {
  readonly key: RouteKey
  /** Higher than that of every earlier change of the key. */
  readonly version: number
  /** The new record. Absent: the key has none any more, and is a miss. */
  readonly record?: RouteRecord
}
