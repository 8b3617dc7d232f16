import { monotonicNow } from "@project-ingress/forward/internal"
import type { FeedPage } from "../route-feed.ts"

/** Lets readers of a feed wait for the next change. */
export interface ChangeWaker {
  /** Something has changed, or may have. */
  readonly wake: () => void
  /**
   * Reads a page of changes until there is one, for at most `waitMs`: at once, whenever it is woken, and every `pollMs` in case
   * that a notification was lost. Rejects with the signal's reason.
   */
  readonly readUntilChanged: (
    read: () => Promise<FeedPage>,
    options: { readonly waitMs: number; readonly pollMs: number; readonly signal?: AbortSignal | undefined },
  ) => Promise<FeedPage>
}

export const changeWaker = (): ChangeWaker => {
  const waiting = new Set<() => void>()
  let wakes = 0
  return {
    wake: () => {
      wakes += 1
      for (const resolve of waiting) resolve()
    },
    readUntilChanged: async (read, { waitMs, pollMs, signal }) => {
      const start = monotonicNow()
      for (;;) {
        // Before the page is read: what happens meanwhile is not missed.
        const before = wakes
        const page = await read()
        signal?.throwIfAborted()
        const left = start + waitMs - monotonicNow()
        if (page.status === "gap" || page.changes.length > 0 || left <= 0) return page
        if (wakes !== before) continue
        const { promise, resolve } = Promise.withResolvers<void>()
        const timer = setTimeout(resolve, Math.min(left, pollMs))
        waiting.add(resolve)
        const onAbort = (): void => resolve()
        signal?.addEventListener("abort", onAbort)
        await promise
        signal?.removeEventListener("abort", onAbort)
        clearTimeout(timer)
        waiting.delete(resolve)
        signal?.throwIfAborted()
      }
    },
  }
}
