import type { FeedPage, FeedSnapshot, RouteFeed } from "./route-feed.ts"
import { within } from "./reading/within.ts"
import { isObject } from "./shape.ts"
import { LookupFailed } from "./store-health.ts"

/**
 * A feed as stores and publishers read it: no call hangs, and what it gives is a snapshot or a page. Everything rejects with the
 * signal's reason once that is aborted.
 */
export interface GuardedFeed {
  readonly snapshot: (signal: AbortSignal) => Promise<FeedSnapshot>
  readonly changes: (since: string, waitMs: number, signal: AbortSignal, limit?: number) => Promise<FeedPage>
}

/** How long a read may take beyond the time that it waits, in ms. */
export const TIMEOUT_MS = 5_000
/** How long a snapshot may take until its beginning, and then without giving a route, in ms: a database sorts a million rows first. */
const STALL_MS = 30_000
/** How many changes are read at once where nobody says. */
const PAGE = 1_000

/** @throws {TypeError} for what is no feed */
export const checkFeed = (owner: string, feed: RouteFeed): void => {
  if (typeof feed?.snapshot !== "function" || typeof feed.changes !== "function")
    throw new TypeError(`${owner}: the feed must have snapshot and changes`)
}

export const guardedFeed = (feed: RouteFeed): GuardedFeed => ({
  snapshot: async (signal) => {
    const snapshot = await within(STALL_MS, (inner) => feed.snapshot({ signal: inner }), signal)
    if (!isObject(snapshot) || !isCursor(snapshot.cursor) || typeof snapshot.routes !== "object")
      throw new LookupFailed("the feed gave no snapshot")
    return { cursor: snapshot.cursor, routes: withoutStall(snapshot.routes, signal) }
  },
  changes: async (since, waitMs, signal, limit = PAGE) => {
    const page = await within(
      waitMs + TIMEOUT_MS,
      (inner) => feed.changes(since, { limit, waitMs, signal: inner }),
      signal,
    )
    const isPage = isObject(page) && page.status === "changes" && Array.isArray(page.changes) && isCursor(page.cursor)
    if (!isPage && page?.status !== "gap") throw new LookupFailed("the feed gave no page of changes")
    return page
  },
})

const isCursor = (cursor: unknown): boolean => typeof cursor === "string" && cursor !== ""

/** The same routes; rejects when none comes for too long. One timer for all of them, because there may be a million. */
async function* withoutStall<A>(routes: AsyncIterable<A>, signal: AbortSignal): AsyncGenerator<A> {
  // Of the route that is waited for. `Promise.race` would keep something for each route until the last one.
  let abandon: ((reason: unknown) => void) | undefined
  let given = 0
  let seen = -1
  const watch = setInterval(() => {
    if (given === seen) abandon?.(new LookupFailed(`no route of the snapshot within ${STALL_MS} ms`))
    seen = given
  }, STALL_MS)
  const onAbort = (): void => abandon?.(signal.reason)
  signal.addEventListener("abort", onAbort)
  const iterator = routes[Symbol.asyncIterator]()
  let isDone = false
  try {
    for (;;) {
      signal.throwIfAborted()
      const next = await new Promise<IteratorResult<A>>((resolve, reject) => {
        abandon = reject
        iterator.next().then(resolve, reject)
      })
      if (next.done === true) {
        isDone = true
        return
      }
      given += 1
      yield next.value
    }
  } finally {
    clearInterval(watch)
    signal.removeEventListener("abort", onAbort)
    // Not awaited: an iterator that hangs would hang here as well.
    if (!isDone) void Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}
