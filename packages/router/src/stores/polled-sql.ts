import { accept, checkOptions, monotonicNow } from "@project-ingress/forward/internal"
import type { Grammar } from "@project-ingress/hostname"
import { isGrammar } from "./is-grammar.ts"
import { buildTable } from "./polled/build-table.ts"
import type { Table } from "./polled/build-table.ts"
import { edgeProxyRows, edgeProxySql } from "./polled/edge-proxy-rows.ts"
import type { MappedRow } from "./polled/mapped-row.ts"
import { sourceReport } from "./polled/source-report.ts"
import { firstResult } from "./reading/first-result.ts"
import { within } from "./reading/within.ts"
import type { RouteKey } from "./record.ts"
import type { Lookup, LookupOptions, RouteStore, StoreStats } from "./route-store.ts"
import { leastRoutes } from "./shrink.ts"
import { resultRows } from "./result-rows.ts"
import type { SqlRow } from "./result-rows.ts"
import { LookupFailed, reasonOf } from "./store-health.ts"
import type { InvalidRowsEvent, RouteSourceEvent } from "./store-event.ts"

export { edgeProxyRows, edgeProxySql }
export type { EdgeProxyRowsOptions } from "./polled/edge-proxy-rows.ts"
export type { InvalidRow, MappedRoute, MappedRow } from "./polled/mapped-row.ts"
export type { InvalidRowsEvent, RouteSourceEvent, SqlRow }

/** How {@link polledSql} reads a table. */
export interface PolledSqlOptions {
  /** The query, which reads all routes. Default: {@link edgeProxySql}, EdgeProxy's own. */
  readonly sql?: string
  /**
   * What a row leads to. Called for every row of every poll; of a row for which it throws, nothing is known. Default:
   * `edgeProxyRows()`.
   */
  readonly map?: (row: SqlRow) => MappedRow
  /** The router's. With it a row is refused whose name lies under the grammar's domains, where no hostname would lead to it. */
  readonly grammar?: Grammar
  /** How long after the beginning of one poll the next one begins, in ms, 10 to 86 400 000. Default 10 000. */
  readonly pollMs?: number
  /** How long a query may take, in ms, 1 to 600 000. Its rows are ignored afterwards. Default 10 000. */
  readonly timeoutMs?: number
  /** How long routes are served while nothing newer can be read, in ms from 1 000 up. Then nobody can tell: 503. Default a day. */
  readonly maxAgeMs?: number
  /** How many routes may go from one poll to the next, whatever part of them that is; but never the last. Default 0. */
  readonly mayLose?: number
  /** The largest number of rows. A result with more is refused. Default 1 000 000. */
  readonly maxRows?: number
  /** Hears of the source and of rows that cannot be used. What it throws is ignored. */
  readonly onEvent?: (event: RouteSourceEvent | InvalidRowsEvent) => void
}

/** What came of one poll. */
export interface PollResult {
  /**
   * - `loaded`: its rows are the routes from now on.
   * - `refused`: it was empty, too large or more than 15 % smaller; what was there before goes on.
   * - `failed`: the query failed or took too long; what was there before goes on.
   * - `superseded`: a poll that began later was faster, and this one's rows were thrown away.
   */
  readonly status: "loaded" | "refused" | "failed" | "superseded"
  /** Why it was refused or failed: an error's code, or a sentence of this package. */
  readonly reason?: string
  /** How many routes are served now. */
  readonly routes: number
}

/** A store that follows a table. */
export interface PolledSqlStore extends RouteStore {
  /** Polls now, and begins to poll. `force`: also takes a result that is empty or much smaller. Never rejects. */
  readonly load: (options?: { readonly force?: boolean }) => Promise<PollResult>
  get(key: RouteKey, options: LookupOptions): Lookup | Promise<Lookup>
  stats(): StoreStats
  dispose(): void
}

const LAYER = "polled-sql"
/** Queries that have not ended, the time-out past or not: a database that hangs is not asked again and again. */
const MAX_UNSETTLED = 4
/** The shortest time from one poll to the next that a look-up may cause, in ms. */
const LOOKUP_POLL_MS = 1_000

/**
 * Routes from any table: all rows are read every 10 s, and looked up in memory. The first look-up, or `load`, begins. Where
 * look-ups come with `waitUntil` (Workers), they begin the polls when one is due; elsewhere a timer does. Until the first result
 * every look-up is unknown (503), and a source that fails, hangs, or has lost much changes nothing.
 *
 * `query` runs a text on any connection, and resolves with rows by column, or with `{ rows }` (`pg`, PGlite) or `{ results }` (D1).
 *
 * ```ts
 * const store = polledSql((text) => pool.query(text))
 * ```
 *
 * @throws {TypeError} if an option is unknown or of the wrong type
 */
export const polledSql = (
  query: (text: string) => PromiseLike<unknown>,
  options: PolledSqlOptions = {},
): PolledSqlStore => {
  if (typeof query !== "function") throw new TypeError("polledSql: query must be a function")
  checkOptions("polledSql", options, {
    sql: accept.string,
    map: accept.function,
    grammar: (value: unknown) => (isGrammar(value) ? undefined : "what defineGrammar returns"),
    pollMs: accept.number(10, 86_400_000),
    timeoutMs: accept.number(1, 600_000),
    maxAgeMs: accept.number(1_000),
    mayLose: accept.integer(0),
    maxRows: accept.integer(1),
    onEvent: accept.function,
  })
  const { sql = edgeProxySql, map = edgeProxyRows(), grammar, pollMs = 10_000, timeoutMs = 10_000 } = options
  const { maxAgeMs = 86_400_000, mayLose = 0, maxRows = 1_000_000, onEvent } = options

  let table: Table | undefined
  /** When the query of the rows in use began: what they hold is no newer. */
  let readAt = 0
  let isStale = false
  let version = 0
  let polls = 0
  /** The last poll that gave rows. */
  let heard = 0
  let begunAt: number | undefined
  let running: { readonly number: number; readonly begunAt: number; readonly result: Promise<PollResult> } | undefined
  const unsettled = new Map<number, number>()
  let isFollowing = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let failures = 0
  let isDisposed = false

  const ageMs = (): number => Math.max(0, monotonicNow() - readAt)
  const source = sourceReport(LAYER, onEvent, () =>
    table === undefined ? {} : { routes: table.routes, ageMs: Math.round(ageMs()) },
  )

  const ask = (number: number): Promise<readonly SqlRow[]> =>
    within(timeoutMs, async () => {
      unsettled.set(number, monotonicNow())
      try {
        const rows = resultRows(await query(sql))
        if (rows === undefined) throw new LookupFailed("the query gave no rows")
        return rows
      } finally {
        // Later than `timeoutMs` as well.
        unsettled.delete(number)
      }
    })

  /** Why a result is not to be used; `undefined` if it is. */
  const refusal = (next: Table): string | undefined => {
    if (next.routes === 0 && table?.routes !== 0) return "no routes"
    if (table === undefined) return undefined
    const least = Math.min(leastRoutes(table.routes), table.routes - mayLose)
    return next.routes < least ? `${next.routes} routes, of ${table.routes} before` : undefined
  }

  const poll = async (number: number, force: boolean): Promise<PollResult> => {
    const began = monotonicNow()
    const outcome = (status: PollResult["status"], reason?: string): PollResult => ({
      status,
      ...(reason === undefined ? {} : { reason }),
      routes: table?.routes ?? 0,
    })
    const refused = (reason: string, next?: Table): PollResult => {
      heard = number
      isStale = table !== undefined
      source.refused(reason, next)
      return outcome("refused", reason)
    }
    try {
      // In a Worker the request that asked may be over, and its query never ends.
      for (const [each, since] of unsettled) if (began - since > 10 * timeoutMs) unsettled.delete(each)
      if (unsettled.size >= MAX_UNSETTLED) throw new LookupFailed(`${MAX_UNSETTLED} queries have not ended`)
      const rows = await ask(number)
      if (number > heard && rows.length > maxRows) return refused(`more than ${maxRows} rows`)
      for (;;) {
        const previous = table
        const next = await buildTable(rows, { map, grammar, previous, nextVersion: () => ++version })
        if (number < heard || isDisposed) return outcome("superseded")
        // Versions were counted from another table than the one in use now.
        if (table !== previous) continue
        const reason = force ? undefined : refusal(next)
        if (reason !== undefined) return refused(reason, next)
        heard = number
        failures = 0
        table = next
        readAt = began
        isStale = false
        source.loaded(next)
        return outcome("loaded")
      }
    } catch (cause) {
      const reason = reasonOf(cause, "the query failed")
      if (number < heard || isDisposed) return outcome("superseded")
      failures += 1
      isStale = table !== undefined
      source.failed(reason)
      return outcome("failed", reason)
    }
  }

  const begin = (force = false): Promise<PollResult> => {
    const number = ++polls
    begunAt = monotonicNow()
    const result = poll(number, force).finally(() => {
      if (running?.number === number) running = undefined
      schedule()
    })
    running = { number, begunAt, result }
    return result
  }
  /** The poll that runs, unless it has lasted so long that nobody can expect a result. */
  const current = (): Promise<PollResult> | undefined =>
    running !== undefined && monotonicNow() - running.begunAt < 2 * timeoutMs ? running.result : undefined

  /** From the beginning of the last poll to the next: shorter while there are no routes at all. */
  const periodMs = (): number =>
    table === undefined && failures > 0 ? Math.min(pollMs, LOOKUP_POLL_MS * 2 ** (failures - 1)) : pollMs
  const dueInMs = (): number => (begunAt === undefined ? 0 : Math.max(0, begunAt + periodMs() - monotonicNow()))

  const schedule = (): void => {
    clearTimeout(timer)
    if (!isFollowing || isDisposed) return
    // A poll that runs schedules the next one at its end.
    timer = setTimeout(() => void (current() ?? begin()), dueInMs())
    timer.unref?.()
  }
  const follow = (): void => {
    if (isFollowing) return
    isFollowing = true
    schedule()
  }

  const look = (key: RouteKey): Lookup => {
    if (table === undefined) return unknown(notRead, dueInMs())
    const age = ageMs()
    if (age > maxAgeMs) return unknown(tooOld, dueInMs())
    const record = table.records.get(key)
    const from = { layer: LAYER, ageMs: age, stale: isStale }
    return record === undefined ? { status: "miss", ...from } : { status: "hit", record, ...from }
  }

  /** A poll that a look-up needs: the one that runs, or another if that may be. */
  const needed = (): { readonly result: Promise<PollResult>; readonly isOwn: boolean } | undefined => {
    const shared = current()
    if (shared !== undefined) return { result: shared, isOwn: false }
    const soonest = table === undefined ? periodMs() : LOOKUP_POLL_MS
    if (isDisposed || (begunAt !== undefined && monotonicNow() - begunAt < soonest)) return undefined
    return { result: begin(), isOwn: true }
  }

  const lookAfterPoll = async (key: RouteKey, { waitUntil }: LookupOptions): Promise<Lookup> => {
    const poll = needed()
    if (poll === undefined) return look(key)
    if (poll.isOwn || waitUntil === undefined) {
      waitUntil?.(poll.result)
      await poll.result
      return look(key)
    }
    // workerd ends what a request has begun when it is over, and then this poll never ends.
    const settled = await firstResult([poll.result])
    if (settled !== undefined || table !== undefined) return look(key)
    const own = begin()
    waitUntil(own)
    await own
    return look(key)
  }

  return {
    load: (given = {}) => {
      checkOptions("load", given, { force: accept.boolean })
      const { force = false } = given
      isFollowing = true
      return begin(force)
    },
    get: (key, lookup) => {
      const { refresh = false, waitUntil } = lookup
      if (waitUntil === undefined) follow()
      else if (table !== undefined && dueInMs() === 0 && current() === undefined) waitUntil(begin())
      return refresh || table === undefined ? lookAfterPoll(key, lookup) : look(key)
    },
    stats: () => ({
      layers: [table === undefined ? { layer: LAYER } : { layer: LAYER, routes: table.routes, ageMs: ageMs() }],
    }),
    dispose: () => {
      isDisposed = true
      clearTimeout(timer)
    },
  }
}

const notRead = new LookupFailed("the routes have not been read yet")
const tooOld = new LookupFailed("the routes are too old, and no newer ones can be read")

const unknown = (cause: LookupFailed, dueInMs: number): Lookup => ({
  status: "unknown",
  cause,
  retryAfterMs: Math.max(1_000, dueInMs),
  layer: LAYER,
})
