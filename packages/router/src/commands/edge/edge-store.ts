import type { Grammar } from "@project-ingress/hostname"
import { fileState } from "../../stores/file-state.ts"
import { edgeProxySql, polledSql } from "../../stores/polled-sql.ts"
import type { PolledSqlStore } from "../../stores/polled-sql.ts"
import { postgresFeed } from "../../stores/postgres-feed.ts"
import { postgresRegistry } from "../../stores/postgres.ts"
import { resultRows } from "../../stores/result-rows.ts"
import type { RouteFeed } from "../../stores/route-feed.ts"
import type { RouteStore } from "../../stores/route-store.ts"
import { tableStore } from "../../stores/table.ts"
import type { EdgeConfig } from "./edge-config.ts"
import type { EdgeLog } from "./edge-log.ts"
import { edgeRows } from "./edge-rows.ts"
import { QUERY_MS } from "./open-database.ts"
import type { EdgeDatabase } from "./open-database.ts"

/** The routes of an edge, in memory. */
export interface EdgeStore {
  readonly store: RouteStore
  /** Begins to read. Whatever comes of it: a database that is down now may be up later. */
  readonly begin: () => void
  readonly isLoaded: () => boolean
  /** Reads all routes now, and takes whatever there is. Never rejects. */
  readonly reload: () => Promise<unknown>
  readonly dispose: () => Promise<void>
}

/**
 * How many routes may go at once, whatever part of them that is: people remove a handful of domains, and one that was removed must
 * not go on being served. More than that and 15 % at once is held for an accident, until SIGHUP.
 */
const MAY_LOSE = 10

/** The store of a configuration's source. */
export const edgeStore = (config: EdgeConfig, database: EdgeDatabase, grammar: Grammar, log: EdgeLog): EdgeStore =>
  config.source === "sql" ? polled(config, database, grammar, log) : following(config, database, grammar, log)

/** EdgeProxy's tables, read again and again. */
const polled = (config: EdgeConfig, database: EdgeDatabase, grammar: Grammar, log: EdgeLog): EdgeStore => {
  const { region, intervalMs, redirectsSql, hops } = config
  const byHop = new Set(hops === undefined ? [] : [region, ...Object.keys(hops.balancers)])
  const store: PolledSqlStore = polledSql((text) => readRows(database, text, redirectsSql), {
    sql: edgeProxySql,
    map: edgeRows({ own: region, byHop }),
    grammar,
    pollMs: intervalMs,
    timeoutMs: QUERY_MS,
    mayLose: MAY_LOSE,
    onEvent: (event) => {
      // Tables that are empty at the start are those of a new platform: then every domain is not found.
      const isEmpty = event.type === "route_source" && event.state === "refused" && event.routes === undefined
      if (isEmpty) void store.load({ force: true })
      else log.onSourceEvent(event)
    },
  })
  return {
    store,
    begin: () => void store.load(),
    isLoaded: () => isLoaded(store),
    reload: () => store.load({ force: true }),
    dispose: async () => store.dispose(),
  }
}

/** The rows of both queries, as one result. */
const readRows = async (database: EdgeDatabase, text: string, redirectsSql: string | undefined): Promise<unknown> => {
  const [routes, redirects] = await Promise.all([
    database.query(text),
    redirectsSql === undefined ? [] : database.query(redirectsSql),
  ])
  return [...(resultRows(routes) ?? []), ...(resultRows(redirects) ?? [])]
}

/** A feed of changes, followed. */
const following = (config: EdgeConfig, database: EdgeDatabase, grammar: Grammar, log: EdgeLog): EdgeStore => {
  const { stateFile } = config
  const { feed, authority, dispose } = openFeed(config, database, grammar, log)
  const store = tableStore(feed, {
    ...(authority === undefined ? {} : { authority }),
    ...(stateFile === undefined ? {} : { state: fileState(stateFile) }),
    onEvent: log.onSourceEvent,
    onInvalid: (key, { field, accepted }) => reportRow(log, key, `${field} must be ${accepted}`),
  })
  return {
    store,
    begin: () => undefined,
    isLoaded: () => isLoaded(store),
    // Why it failed is an event of the store.
    reload: () => store.reload({ force: true }).catch(() => undefined),
    dispose: async () => {
      store.dispose()
      await dispose()
    },
  }
}

interface OpenFeed {
  readonly feed: RouteFeed
  readonly authority?: RouteStore
  readonly dispose: () => Promise<void>
}

const openFeed = (
  { source, intervalMs }: EdgeConfig,
  { query, transaction, listen }: EdgeDatabase,
  grammar: Grammar,
  log: EdgeLog,
): OpenFeed => {
  const pollMs = Math.round(intervalMs)
  if (source === "feed") {
    const onBadRow = (row: { readonly key: string; readonly problem: string }): void =>
      reportRow(log, row.key, row.problem)
    const feed = postgresFeed({ query, listen, pollMs, onBadRow })
    return { feed, dispose: () => feed.dispose() }
  }
  const registry = postgresRegistry({ grammar, query, transaction, listen, pollMs })
  return { feed: registry, authority: registry, dispose: async () => registry.dispose?.() }
}

const reportRow = (log: EdgeLog, key: string, problem: string): void =>
  log.repeated(`row ${key}`, { level: "warn", message: "invalid rows", fields: { rows: `${key}: ${problem}` } })

const isLoaded = (store: { readonly stats: RouteStore["stats"] }): boolean =>
  store.stats?.().layers[0]?.routes !== undefined
