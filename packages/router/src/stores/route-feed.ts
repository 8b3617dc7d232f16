import type { RouteKey, RouteRecord } from "./record.ts"

/**
 * What caches and exporters read: all routes once, then what changed. Reading the snapshot and then the changes since its
 * cursor loses nothing; a change may come twice, so apply one only if its `version` is higher than the one you have.
 */
export interface RouteFeed {
  /**
   * Every key that leads somewhere, as of the cursor or later. Rejects when the authority cannot be read, with a `TypeError` for
   * an option that it does not have, and with the signal's reason.
   */
  snapshot(options?: { readonly signal?: AbortSignal }): Promise<FeedSnapshot>
  /**
   * Changes after a cursor, oldest first, also those that time alone has made: the machines of a project that has expired lead
   * elsewhere. There is no change for a record that is past its `expiresAt`. `gap`: the changes after the cursor are no longer kept,
   * or it is of another registry; read a new snapshot. Rejects as `snapshot` does.
   */
  changes(
    since: string,
    options?: {
      /** How many changes at most, 1 to 10 000. Default 1 000. */
      readonly limit?: number
      /**
       * How long to wait for a change while there is none, in ms, at most 60 000. Default 0: the page may be empty. A reader that
       * calls again and again with it sees each change when it is made, where the registry is notified, else within its `pollMs`.
       */
      readonly waitMs?: number
      readonly signal?: AbortSignal
    },
  ): Promise<FeedPage>
}

/** All routes of a registry, and where its changes go on. */
export interface FeedSnapshot {
  /** Where `changes` goes on. Opaque. */
  readonly cursor: string
  readonly routes: AsyncIterable<readonly [key: RouteKey, record: RouteRecord]>
}

/** A page of changes, or a gap: changes that are no longer kept. */
export type FeedPage =
  | {
      readonly status: "changes"
      readonly changes: readonly RouteChange[]
      /** Where the next call goes on; equal to `since` when nothing changed. */
      readonly cursor: string
      /** True when more can be read at once. */
      readonly more: boolean
    }
  | { readonly status: "gap" }

/** A key that leads elsewhere now. A negative cache entry of the key is to be dropped, whatever the record says. */
export interface RouteChange {
  readonly key: RouteKey
  /** Higher than that of every earlier change of the key. */
  readonly version: number
  /** Absent: the key leads nowhere now, a miss. */
  readonly record?: RouteRecord
}
