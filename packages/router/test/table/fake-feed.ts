import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"
import type { FeedPage, RouteChange, RouteFeed } from "../../src/stores/route-feed.ts"

/** A source of routes whose failures a test decides. Waits by the test's clock. */
export const fakeFeed = (initial: readonly RouteKey[] = []) => {
  const routes = new Map<RouteKey, RouteRecord>()
  const log: RouteChange[] = []
  const waiting = new Set<() => void>()
  let version = 0
  let dropped = 0
  /** What a call meets: nothing, a rejection, or a promise that never settles. */
  let fault: (() => Promise<never>) | undefined
  let id = "a"
  const calls = { snapshot: 0, changes: 0 }
  let editSnapshot = (entries: [RouteKey, RouteRecord][]): readonly (readonly [RouteKey, RouteRecord])[] => entries
  let editPage = (page: FeedPage): unknown => page
  let beforeRoute: ((at: number) => Promise<void> | void) | undefined

  const publish = (key: RouteKey, record: RouteRecord | undefined): number => {
    if (record === undefined) routes.delete(key)
    else routes.set(key, record)
    log.push({ key, version, ...(record && { record }) })
    for (const wake of waiting) wake()
    return version
  }
  const put = (key: RouteKey, fields: object = {}): number => {
    version += 1
    const record: object = { kind: "detached", version, epoch: 0, ...fields }
    return publish(key, record as RouteRecord)
  }
  for (const key of initial) put(key)

  const page = (since: string, limit: number): FeedPage => {
    const [name, place] = since.split(":")
    const at = Number(place)
    if (name !== id || at < dropped || at > log.length) return { status: "gap" }
    const end = Math.min(at + limit, log.length)
    return { status: "changes", changes: log.slice(at, end), cursor: `${id}:${end}`, more: end < log.length }
  }

  const feed: RouteFeed = {
    snapshot: async () => {
      calls.snapshot += 1
      await fault?.()
      const cursor = `${id}:${log.length}`
      const entries = editSnapshot([...routes])
      return {
        cursor,
        routes: (async function* () {
          for (const [at, entry] of entries.entries()) {
            await beforeRoute?.(at)
            yield entry
          }
        })(),
      }
    },
    changes: async (since, { limit = 1_000, waitMs = 0, signal } = {}) => {
      calls.changes += 1
      await fault?.()
      let found = page(since, limit)
      if (waitMs > 0 && found.status === "changes" && found.changes.length === 0) {
        await new Promise<void>((resolve) => {
          const end = (): void => {
            clearTimeout(timer)
            waiting.delete(end)
            resolve()
          }
          const timer = setTimeout(end, waitMs)
          waiting.add(end)
          signal?.addEventListener("abort", end, { once: true })
        })
        await fault?.()
        found = page(since, limit)
      }
      return editPage(found) as FeedPage
    },
  }

  return {
    ...feed,
    calls,
    routes,
    log,
    put,
    remove: (key: RouteKey) => {
      version += 1
      return publish(key, undefined)
    },
    /** Says something again, or in another order: nothing is true because of it. */
    say: (change: RouteChange) => {
      log.push(change)
      for (const wake of waiting) wake()
    },
    /** Rejects from now on, also calls that wait. */
    kill: (error: unknown = Object.assign(new Error("secret"), { code: "ECONNREFUSED" })) => {
      fault = () => Promise.reject(error)
      for (const wake of waiting) wake()
    },
    hang: () => {
      fault = () => new Promise(() => undefined)
      for (const wake of waiting) wake()
    },
    heal: () => (fault = undefined),
    /** Forgets all changes until now, as a log of limited length does. */
    truncate: () => {
      dropped = log.length + 1
      log.push({ key: "p:after-the-gap", version: 0 })
      for (const wake of waiting) wake()
    },
    /** All cursors until now are of another registry. */
    replace: () => {
      id += "a"
      for (const wake of waiting) wake()
    },
    editSnapshot: (edit: typeof editSnapshot) => (editSnapshot = edit),
    editPage: (edit: typeof editPage) => (editPage = edit),
    beforeRoute: (hook: typeof beforeRoute) => (beforeRoute = hook),
    /** Sets versions back, as a restored backup does. */
    setVersion: (to: number) => (version = to),
  }
}

export type FakeFeed = ReturnType<typeof fakeFeed>
