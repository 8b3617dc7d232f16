import { accept, checkOptions, monotonicNow } from "@project-ingress/forward/internal"
import { quietly } from "./quietly.ts"
import { changesOptions } from "./registry/feed-options.ts"
import { makeListener } from "./registry/listener.ts"
import type { FeedPage, RouteChange, RouteFeed } from "./route-feed.ts"
import type { SqlRow } from "./sql/database.ts"
import { loggedRoute } from "./sql/logged-rows.ts"
import type { BadRow } from "./sql/logged-rows.ts"
import { queryRows } from "./sql/postgres-query.ts"
import type { PostgresListen, PostgresQuery } from "./sql/postgres-query.ts"

export { changeLogSchema } from "./sql/change-log-schema.ts"
export type { BadRow, PostgresListen, PostgresQuery }

/** What {@link postgresFeed} accepts. */
export interface PostgresFeedOptions {
  /** Runs a statement on any connection to the primary. */
  readonly query: PostgresQuery
  /** With it, a `changes` that waits returns when something has changed; without, it looks every `pollMs`. */
  readonly listen?: PostgresListen
  /** How often a `changes` that waits looks for changes, in ms, 1 to 60 000. Default 1 000. */
  readonly pollMs?: number
  /** Called for each row that is not as it should be, each time that it is read. What it throws is ignored. */
  readonly onBadRow?: (row: BadRow) => void
}

/** What a feed of a platform's own tables knows of itself. Cheap: it is called for every metrics scrape. */
export interface PostgresFeedStats {
  /**
   * How long the oldest change that is committed has not been shown, in ms, because a transaction that began to write before it has
   * not ended. 0 if none is held back. As of the last page that was read, and growing since.
   */
  readonly heldBackMs: number
  /** How long ago the log was read for the last time, in ms. Absent before the first time. */
  readonly ageMs?: number
  /** How many rows were not as they should be, each time that one was read. */
  readonly badRows: number
}

/** The feed of tables that are not ours. */
export interface PostgresFeed extends RouteFeed {
  stats(): PostgresFeedStats
  /** Ends listening for notifications. Connections are the caller's. */
  dispose(): Promise<void>
}

/** The channel that `route_changed` notifies. */
const CHANNEL = "route_changes"

/** How many routes of a snapshot are read at once: each time the view may be sorted. */
const SNAPSHOT_PAGE = 5_000

/**
 * The feed of a platform that keeps routes in tables of its own: a view `route_records (route_key, record)` says where each key leads
 * now, and triggers of these tables call `route_changed(key)` of {@link changeLogSchema}.
 *
 * Writers take no lock, and the order of their commits is not that of their sequence numbers. So a change is shown once every
 * transaction that began to write before it has ended: none is lost, but a long one of anybody's in the database server, even an
 * unrelated one, holds all others back (`heldBackMs`). Set `idle_in_transaction_session_timeout`. `postgresRegistry` has no such
 * wait, because all its writers are its own.
 *
 * A change has the record as it is when the page is read. Versions are those of `route_versions`; a `version` in the record
 * does not count.
 *
 * ```ts
 * const feed = postgresFeed({ query: (text, values) => pool.query(text, values) })
 * const { cursor, routes } = await feed.snapshot()
 * ```
 *
 * @throws {TypeError} if an option is unknown, missing or of the wrong type
 */
export const postgresFeed = (options: PostgresFeedOptions): PostgresFeed => {
  checkOptions(
    "postgresFeed",
    options,
    { query: accept.function, listen: accept.function, pollMs: accept.integer(1, 60_000), onBadRow: accept.function },
    { required: ["query"] },
  )
  const { query, listen, pollMs = 1_000, onBadRow } = options
  const listener = makeListener(listen && ((notify) => listen(CHANNEL, notify)))
  const read = (text: string, values: string[] = []) => queryRows("postgresFeed", query, text, values)
  let seen: { readonly heldBackMs: number; readonly at: number } | undefined
  let badRows = 0

  const reportRow = quietly(onBadRow)
  const report = (row: BadRow): void => {
    badRows += 1
    reportRow(row)
  }

  const pageAfter = async (since: string, limit: number): Promise<FeedPage> => {
    const [, name, xid, seq] = /^([\da-f]{32}):(\d{1,19}):(\d{1,19})$/.exec(since) ?? []
    if (name === undefined) return { status: "gap" }
    // One more than wanted shows whether there are more.
    const rows = await read(changesAfter(limit + 1), [xid!, seq!])
    const head = rows[0]
    if (head === undefined) throw new TypeError("postgresFeed: route_feed has no row")
    seen = { heldBackMs: Math.max(0, Number(head["held"] ?? 0)), at: monotonicNow() }
    if (head["name"] !== name || head["gap"] === true || head["gap"] === "t") return { status: "gap" }
    const found = rows.filter((row) => row["seq"] !== null)
    const page = found.slice(0, limit)
    const last = page.at(-1)
    const cursor = last === undefined ? since : `${name}:${String(last["xid"])}:${String(last["seq"])}`
    return { status: "changes", changes: latestOf(page, report), cursor, more: found.length > limit }
  }

  return {
    snapshot: async (given = {}) => {
      checkOptions("snapshot", given, { signal: accept.object })
      const { signal } = given
      signal?.throwIfAborted()
      const [head] = await read(BEGINNING)
      if (head === undefined) throw new TypeError("postgresFeed: route_feed has no row")
      signal?.throwIfAborted()
      return {
        // Every transaction below has ended, and what it wrote is in the snapshot.
        cursor: `${String(head["name"])}:${String(head["xmin"])}:0`,
        routes: (async function* () {
          for (let after = ""; ;) {
            signal?.throwIfAborted()
            const page = await read(RECORDS, [after])
            if (page.length === 0) return
            for (const { key, version, records } of page) {
              const route = loggedRoute(key, Number(version), recordsOf(records), report)
              if (route.status === "route") yield [route.key, route.record] as const
            }
            after = String(page.at(-1)!["key"])
          }
        })(),
      }
    },
    changes: async (since, given) => {
      const { limit, waitMs, signal } = changesOptions(given)
      return listener.readUntilChanged(() => pageAfter(since, limit), { waitMs, pollMs, signal })
    },
    stats: () => {
      if (seen === undefined) return { heldBackMs: 0, badRows }
      const ageMs = Math.round(monotonicNow() - seen.at)
      return { heldBackMs: seen.heldBackMs === 0 ? 0 : seen.heldBackMs + ageMs, ageMs, badRows }
    },
    dispose: listener.dispose,
  }
}

/** Values are text for every driver. */
const CURSOR = "(cast(cast($1 as text) as xid8), cast(cast($2 as text) as bigint))"

/**
 * One row at least. All of it is of one moment, because it is one statement. `id = 1` tells the planner that there is one row: of a table that
 * was never analyzed it expects a thousand, and compiles each of these queries for half a second (`jit_above_cost`).
 */
const changesAfter = (limit: number): string => `
  with head as (
    select name, deleted_xid, deleted_seq, pg_snapshot_xmin(pg_current_snapshot()) as xmin from route_feed where id = 1),
  page as (
    select c.xid, c.seq, c.route_key from route_changes c, head h
    where (c.xid, c.seq) > ${CURSOR} and c.xid < h.xmin order by c.xid, c.seq limit ${limit})
  select h.name,
    (h.deleted_xid, h.deleted_seq) > ${CURSOR} or h.xmin < cast(cast($1 as text) as xid8) as gap,
    (select floor(extract(epoch from clock_timestamp() - min(c.changed_at)) * 1000)
      from route_changes c where c.xid >= h.xmin) as held,
    cast(p.xid as text) as xid, p.seq, p.route_key as key, coalesce(v.version, p.seq) as version,
    (select json_agg(cast(r.record as text)) from route_records r where r.route_key = p.route_key) as records
  from head h left join page p on true left join route_versions v on v.route_key = p.route_key
  order by p.xid, p.seq`

const BEGINNING = "select name, cast(pg_snapshot_xmin(pg_current_snapshot()) as text) as xmin from route_feed"

const RECORDS = `
  select r.route_key as key, coalesce(min(v.version), 0) as version, json_agg(cast(r.record as text)) as records
  from route_records r left join route_versions v on v.route_key = r.route_key
  where r.route_key > cast($1 as text) group by r.route_key order by r.route_key limit ${SNAPSHOT_PAGE}`

/** A JSON array, which drivers give parsed or as text; null where the view has no row. */
const recordsOf = (records: unknown): readonly unknown[] => {
  const list: unknown = typeof records === "string" ? JSON.parse(records) : records
  return Array.isArray(list) ? list : []
}

/** The changes of a page, each key once: all rows of a key have the record as it is now. */
const latestOf = (page: readonly SqlRow[], report: (row: BadRow) => void): readonly RouteChange[] => {
  const changes: RouteChange[] = []
  const keys = new Set<unknown>()
  for (const { key, version, records } of page) {
    if (keys.has(key)) continue
    keys.add(key)
    const route = loggedRoute(key, Number(version), recordsOf(records), report)
    if (route.status === "no key") continue
    const change = { key: route.key, version: Number(version) }
    changes.push(route.status === "route" ? { ...change, record: route.record } : change)
  }
  return changes
}
