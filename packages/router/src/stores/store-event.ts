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
