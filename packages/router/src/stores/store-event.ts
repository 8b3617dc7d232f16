/** A store that begins to fail, or works again: reported once for each change. */
export interface StoreEvent {
  readonly type: "store"
  readonly state: "failing" | "recovered"
  /** Why it fails: for logs. */
  readonly reason?: string
}
