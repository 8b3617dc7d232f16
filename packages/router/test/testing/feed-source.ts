import type { RouteKey, RouteRecord } from "../../src/router.ts"
import type { RouteChange, RouteFeed } from "../../src/stores/route-feed.ts"
import { faultySource } from "../../src/testing.ts"

type Call =
  | { readonly cursor: string; readonly routes: readonly (readonly [RouteKey, RouteRecord])[] }
  | { readonly changes: readonly RouteChange[]; readonly cursor: string; readonly more: boolean }

/** Routes in a map with a log of what has changed, as a feed that can fail. */
export const feedSource = () => {
  const routes = new Map<RouteKey, RouteRecord>()
  const log: RouteChange[] = []
  const waiting = new Set<() => void>()
  const source = faultySource(async (call: "snapshot" | "changes", from: number, limit: number): Promise<Call> =>
    call === "snapshot"
      ? { cursor: `${log.length}`, routes: [...routes] }
      : {
          changes: log.slice(from, from + limit),
          cursor: `${Math.min(log.length, from + limit)}`,
          more: from + limit < log.length,
        },
  )
  const change = (next: RouteChange): void => {
    if (next.record === undefined) routes.delete(next.key)
    else routes.set(next.key, next.record)
    log.push(next)
    for (const wake of waiting) wake()
  }
  const untilChanged = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        waiting.delete(end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      waiting.add(end)
      signal?.addEventListener("abort", end, { once: true })
    })
  const feed: RouteFeed = {
    snapshot: async () => {
      const { cursor, routes: found } = (await source.call("snapshot", 0, 0)) as Extract<Call, { routes: unknown }>
      return {
        cursor,
        routes: (async function* () {
          yield* found
        })(),
      }
    },
    changes: async (since, { limit = 1_000, waitMs = 0, signal } = {}) => {
      if (waitMs > 0 && Number(since) === log.length) await untilChanged(waitMs, signal)
      const page = (await source.call("changes", Number(since), limit)) as Extract<Call, { changes: unknown }>
      return { status: "changes", ...page }
    },
  }
  // Of a feed that lags or whose results change places, the cursor says which is which.
  const { error, hang, slow, flapping } = source.faults
  return {
    feed,
    routes,
    log,
    faults: { error, hang, slow, flapping },
    reads: source.reads,
    put: (key: RouteKey, record: RouteRecord) => change({ key, version: record.version, record }),
    remove: (key: RouteKey, version: number) => change({ key, version }),
    /** A record whose kind this version does not know. */
    foreign: (key: RouteKey) => {
      const record = { ...routes.get(key)!, kind: "later", version: routes.get(key)!.version + 0.5 }
      change({ key, version: record.version, record: record as never })
    },
  }
}
