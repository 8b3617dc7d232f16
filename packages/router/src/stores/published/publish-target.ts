import type { RouteKey } from "../record.ts"
import type { WriteQueueSettings } from "./write-queue.ts"

/** Where a publisher writes. */
export interface PublishTarget extends WriteQueueSettings {
  readonly layer: string
  /** Whether a read gives what was written last. */
  readonly isConsistent: boolean
  /** What is stored, tombstones among it. */
  readonly stored: () => AsyncIterable<StoredEntry>
  readonly readMarker: () => Promise<string | null>
  /** All routes are going to be written, and the marker be saved with the same token. */
  readonly begin: (token: string) => Promise<void>
  /**
   * Saves the marker: false if it is another one by now, or what was stored has gone since `begin`. Where the place cannot compare,
   * always true.
   */
  readonly save: (
    marker: string,
    expected: { readonly begunBy: string } | { readonly previous: string },
  ) => Promise<boolean>
}

/** An entry that is stored. */
export interface StoredEntry {
  readonly key: RouteKey
  readonly version: number
  readonly isRemoved: boolean
}
