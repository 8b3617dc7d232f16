import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { RouteKey } from "../record.ts"
import { changeWaker } from "../registry/change-waker.ts"
import { changesOptions } from "../registry/feed-options.ts"
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
  const waker = changeWaker()
  let listening: Promise<(() => unknown) | undefined> | undefined
  /** Begins to listen with the first call that waits. Where it fails, the next call tries again; polling goes on. */
  const beginListening = async (): Promise<void> => {
    listening ??= listen?.(waker.wake).catch(() => {
      listening = undefined
      return undefined
    })
    await listening
  }

  const endListening = async (): Promise<void> => {
    const begun = listening
    listening = undefined
    const stop = await begun
    await stop?.()
  }

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
      if (waitMs > 0) await beginListening()
      try {
        return await waker.readUntilChanged(() => pageAfter(since, limit), { waitMs, pollMs, signal })
      } catch (cause) {
        // A database that is gone has taken the connection that listens with it.
        if (signal?.aborted !== true) void endListening().catch(() => undefined)
        throw cause
      }
    },
    dispose: endListening,
  }
}

const changeOf = ({ key, version, record }: SqlRow): RouteChange => {
  const change = { key: String(key) as RouteKey, version: Number(version) }
  return typeof record === "string" ? { ...change, record: decodeRoute(change.version, record) } : change
}
