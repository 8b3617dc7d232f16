import type { RouteKey, RouteRecord } from "../../stores/record.ts"
import type { RouteStore } from "../../stores/route-store.ts"

/** Ends what a fault began. */
export type Undo = () => unknown

/** Begins a fault of the source, for all stores that read it. Resolves when it has begun. */
export type BeginFault = () => Undo | Promise<Undo>

/** Damages what the source has under a key. Resolves when a store that is opened now would read it. */
export type DamageEntry = (key: RouteKey) => unknown

/** Faults of the source that a store reads. Each one enables the laws that need it; `faultySource` and `damagedEntries` make them. */
export interface StoreFaults {
  /** Every read fails. */
  readonly error?: BeginFault
  /** No read ends. */
  readonly hang?: BeginFault
  /** Every read takes longer, by less than a second. */
  readonly slow?: BeginFault
  /** Some reads fail, others do not. */
  readonly flapping?: BeginFault
  /** Reads give what was there before the last change, as a replica does that lags. */
  readonly stale?: BeginFault
  /** Of reads that overlap, the one that began last ends first. */
  readonly reordered?: BeginFault
  /** The entry is no longer in its format. */
  readonly corrupt?: DamageEntry
  /** The second half of the entry is missing. */
  readonly truncated?: DamageEntry
  /** The entry is of a later format, which this version cannot read. */
  readonly foreign?: DamageEntry
}

/** The name of a fault. */
export type StoreFault = keyof StoreFaults

/**
 * What a store is tested with, for `routeStoreSuite`. `open`, `put` and `remove` are enough; every further field enables the laws that
 * need it, and the others are skipped with the missing field as the reason.
 */
export interface StoreFixture {
  /**
   * The store of a router that has just started, ready to look up. Called for each law, on the same source: the laws use keys of their
   * own, so nothing has to be emptied. The suite disposes of it.
   */
  readonly open: () => RouteStore | Promise<RouteStore>
  /**
   * Writes a route into the source, behind the back of every store, as a control plane does. Resolves when a store that is opened now
   * finds it. Where the source counts versions itself, it gives the record as it is kept there.
   */
  readonly put: (key: RouteKey, record: RouteRecord) => unknown
  /** Removes a route from the source. `version`: of the removal, where that is a change with a version like any other. */
  readonly remove: (key: RouteKey, version: number) => unknown
  /** Resolves when an open store has what was put or removed before: has polled, say. Default: it has it at once. */
  readonly settle?: (store: RouteStore) => unknown
  /** Faults of the source. */
  readonly faults?: StoreFaults
  /** How often the source was read until now. */
  readonly reads?: () => number
}
