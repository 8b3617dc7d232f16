/** A store that begins to fail, or works again: reported once for each change. */
export interface StoreEvent {
  readonly type: "store"
  readonly state: "failing" | "recovered"
  /** Why it fails: for logs, never for a client. */
  readonly reason?: string
}

/** Turns the results of look-ups into events. */
export interface StoreHealth {
  /** True from a failed look-up until the store counts as working again. */
  failing: boolean
  readonly failed: (cause: unknown) => void
  readonly worked: () => void
}

/** How long no look-up may fail, in ms, until a store counts as working again: one that fails now and then is one event. */
const CALM_MS = 5_000

/** Watches a store by what came of its look-ups. */
export const makeStoreHealth = (report: (event: StoreEvent) => void): StoreHealth => {
  let failedAt = 0
  const health: StoreHealth = {
    failing: false,
    failed: (cause) => {
      const reason = cause instanceof Error ? cause.message : "the store cannot tell"
      if (!health.failing) report({ type: "store", state: "failing", reason })
      health.failing = true
      failedAt = Date.now()
    },
    worked: () => {
      if (!health.failing || Date.now() - failedAt < CALM_MS) return
      health.failing = false
      report({ type: "store", state: "recovered" })
    },
  }
  return health
}
