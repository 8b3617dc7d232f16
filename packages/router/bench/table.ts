import type { RouteKey, RouteRecord } from "../src/stores/record.ts"
import type { FeedPage, RouteChange, RouteFeed } from "../src/stores/route-feed.ts"
import type { FirstLookup, Lookup } from "../src/stores/route-store.ts"
import { tableStore } from "../src/stores/table.ts"
import { keyAndHit, lookupKeys, paused, timed } from "./measure.ts"
import { referenceRoutes } from "./reference-routes.ts"

/** Routes as a database gives them: a thousand at a time, as text. */
const PAGE = 1_000

/** `tableStore` over a feed of the reference corpus. */
export const measureTable = async (count: number): Promise<Record<string, number>> => {
  const changes: RouteChange[] = []
  const changed = new Map<RouteKey, RouteRecord>()
  let wake: (() => void) | undefined
  const page = (since: string): FeedPage => {
    const from = Number(since)
    const end = Math.min(from + PAGE, changes.length)
    return { status: "changes", changes: changes.slice(from, end), cursor: `${end}`, more: end < changes.length }
  }
  async function* routes(): AsyncGenerator<readonly [RouteKey, RouteRecord]> {
    let rows: string[] = []
    for (const [key, record] of referenceRoutes(count)) {
      rows.push(JSON.stringify([key, changed.get(key) ?? record]))
      if (rows.length < PAGE) continue
      await new Promise((resolve) => void setImmediate(resolve))
      for (const row of rows) yield JSON.parse(row) as [RouteKey, RouteRecord]
      rows = []
    }
    for (const row of rows) yield JSON.parse(row) as [RouteKey, RouteRecord]
  }
  const feed: RouteFeed = {
    snapshot: async () => ({ cursor: `${changes.length}`, routes: routes() }),
    changes: async (since, { waitMs = 0, signal } = {}) => {
      const now = page(since)
      if (waitMs === 0 || (now.status === "changes" && now.changes.length > 0)) return now
      await new Promise<void>((resolve) => {
        wake = resolve
        signal?.addEventListener("abort", () => resolve())
      })
      return page(since)
    },
  }

  let saved: () => void = () => undefined
  const save = (): Promise<void> => new Promise((resolve) => (saved = resolve))
  const state = { load: async () => undefined, save: async () => saved() }
  let saving = save()
  // Nothing is heard while look-ups are measured.
  const table = tableStore(feed, { state, saveMs: 1_000, maxMissAgeMs: 3_600_000 })
  const loading = await paused(() => table.waitUntilLoaded())
  await saving
  const store = {
    get: (key: RouteKey) => table.get(key) as Lookup,
    getFirst: (keys: readonly RouteKey[]) => table.getFirst(keys) as FirstLookup,
  }
  const keys = Array.from(referenceRoutes(count), ([key]) => key)
  const { scattered, hot, absent } = lookupKeys(keys)
  const result = {
    "hit, hot ns": timed(store, hot, "hit"),
    "hit, anywhere ns": timed(store, scattered, "hit"),
    "miss ns": timed(store, absent, "miss"),
    "decision, hot ns": keyAndHit(store, hot),
  }

  // One in a hundred changes.
  saving = save()
  const record: RouteRecord = { kind: "removed", version: 10_000_000, epoch: 0 }
  for (const key of keys.filter((_, at) => at % 100 === 0)) {
    changes.push({ key, version: record.version, record })
    changed.set(key, record)
  }
  const changing = await paused(async () => {
    wake?.()
    await saving
  })
  for (const change of changes) {
    const found = store.get(change.key)
    if (found.status !== "hit" || found.record.version !== change.version) throw new Error("a change was lost")
  }
  const comparing = await paused(() => table.reload())
  table.dispose()
  return {
    ...result,
    "load s": loading.took / 1000,
    "load, pause ms": loading.longest,
    "load, pause cpu ms": loading.longestCpu,
    "change 1 %, build and swap s": changing.took / 1000,
    "change and swap, pause ms": changing.longest,
    "change and swap, pause cpu ms": changing.longestCpu,
    "read again s": comparing.took / 1000,
    "read again, pause ms": comparing.longest,
    "read again, pause cpu ms": comparing.longestCpu,
  }
}
