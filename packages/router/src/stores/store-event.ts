/** A store that begins to fail, or works again: reported once for each change. */
export interface StoreEvent {
  readonly type: "store"
  readonly state: "failing" | "recovered"
  /**
   * Why it fails: the error's code (`ECONNREFUSED`, `57P01`), or a sentence of this package. Never the message of a driver, which
   * may hold a connection string.
   */
  readonly reason?: string
}

/** What happens between a store and the source that it reads its routes from: reported by the store itself, once for each change. */
export interface RouteSourceEvent {
  readonly type: "route_source"
  /** The layer of the store, as in `LookupSource`: `table`, `kv`, `polled-sql`. */
  readonly layer: string
  /**
   * - `loaded`: all routes were read, for the first time or again.
   * - `stale`: the source cannot be read; routes of an earlier time are served.
   * - `refused`: what the source gave is not used (empty, much smaller, damaged, older); what was there before goes on.
   * - `failing`: the source cannot be read now.
   * - `recovered`: it can be read again.
   * - `not_saved`: the routes could not be written to where the next start would find them.
   */
  readonly state: "loaded" | "stale" | "refused" | "failing" | "recovered" | "not_saved"
  /** Why: an error's code, or a sentence of this package; never the message of a driver. */
  readonly reason?: string
  /** How many routes are served now. */
  readonly routes?: number
  /** How old they are, in ms. */
  readonly ageMs?: number
}

/** Rows of a table that lead nowhere, because a value in each cannot be used. Reported when it is not the same as last time. */
export interface InvalidRowsEvent {
  readonly type: "invalid_rows"
  readonly layer: string
  /** How many there are. 0: all of them are valid again. */
  readonly count: number
  /** The first 20. No value of a row but its key. */
  readonly rows: readonly {
    readonly key?: string
    /** The column, or a path in the record that the row was mapped to. */
    readonly field: string
    /** What is accepted there, as a noun phrase. */
    readonly accepted: string
  }[]
}
