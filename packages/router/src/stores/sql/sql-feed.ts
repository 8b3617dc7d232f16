import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { RouteKey } from "../record.ts"
import { changesOptions } from "../registry/feed-options.ts"
import { makeListener } from "../registry/listener.ts"
import type { FeedPage, FeedSnapshot, RouteChange, RouteFeed } from "../route-feed.ts"
import type { SqlDatabase, SqlRow } from "./database.ts"
import { decodeRoute } from "./rows.ts"
import type { Statements } from "./statements.ts"

/** What a feed is read with. */
export interface SqlFeedSettings {
  /** Publishes first what time alone has changed. */
  readonly expire: () => Promise<void>
  /** How often whoever waits looks for changes, in ms. */
  readonly pollMs: number
}

/** The feed of a registry in a database. */
export const sqlFeed = (
  { read, listen }: Pick<SqlDatabase, "read" | "listen">,
  sql: Statements,
  { expire, pollMs }: SqlFeedSettings,
): RouteFeed & { readonly dispose: () => Promise<void> } => {
  const listener = makeListener(listen)

  const pageAfter = async (since: string, limit: number): Promise<FeedPage> => {
    await expire()
    const [, name, digits] = /^([\da-z]+):(\d{1,15})$/.exec(since) ?? []
    if (name === undefined) return { status: "gap" }
    const from = Number(digits)
    const rows = await read(sql.changesAfter(from, limit))
    const latest = Number(rows[0]!["latest"])
    if (rows[0]!["name"] !== name || from > latest) return { status: "gap" }
    const changes = rows.filter(({ seq }) => seq !== null)
    // Without gaps in `seq`: what does not come next was dropped.
    if (from < latest && Number(changes[0]?.["seq"]) !== from + 1) return { status: "gap" }
    const end = from + changes.length
    return { status: "changes", changes: changes.map(changeOf), cursor: `${name}:${end}`, more: end < latest }
  }

  return {
    snapshot: async (options = {}): Promise<FeedSnapshot> => {
      checkOptions("snapshot", options, { signal: accept.object })
      const { signal } = options
      signal?.throwIfAborted()
      await expire()
      const [registry] = await read(sql.registry)
      signal?.throwIfAborted()
      return {
        cursor: `${String(registry!["name"])}:${Number(registry!["seq"])}`,
        // Read after the cursor was: a route may be newer than it, and then its change comes again.
        routes: (async function* () {
          let after = ""
          for (;;) {
            signal?.throwIfAborted()
            const page = await read(sql.routesAfter(after))
            for (const { key, version, record } of page) {
              yield [String(key) as RouteKey, decodeRoute(Number(version), String(record))] as const
            }
            if (page.length === 0) return
            after = String(page.at(-1)!["key"])
          }
        })(),
      }
    },
    changes: async (since, options) => {
      const { limit, waitMs, signal } = changesOptions(options)
      return listener.readUntilChanged(() => pageAfter(since, limit), { waitMs, pollMs, signal })
    },
    dispose: listener.dispose,
  }
}

const changeOf = ({ key, version, record }: SqlRow): RouteChange => {
  const change = { key: String(key) as RouteKey, version: Number(version) }
  return typeof record === "string" ? { ...change, record: decodeRoute(change.version, record) } : change
}
