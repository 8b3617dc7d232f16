import { makeRegistry } from "../registry/make-registry.ts"
import type { RegistrySettings } from "../registry/make-registry.ts"
import { randomId } from "../registry/random-id.ts"
import type { RouteKey } from "../record.ts"
import type { RouteFeed } from "../route-feed.ts"
import type { RouteRegistry } from "../route-registry.ts"
import type { FirstLookup, Lookup, RouteStore } from "../route-store.ts"
import type { SqlDatabase } from "./database.ts"
import { decodeRoute } from "./rows.ts"
import { migrations } from "./schema.ts"
import { sqlFeed } from "./sql-feed.ts"
import { sqlStorage } from "./sql-storage.ts"
import { statements } from "./statements.ts"

/** A registry in a database, its feed, and a store that reads a route at each look-up. */
export interface SqlRegistry extends RouteRegistry, RouteFeed, RouteStore {
  get(key: RouteKey): Promise<Lookup>
  getFirst(keys: readonly RouteKey[]): Promise<FirstLookup>
  /** Ends listening for notifications. Connections are the caller's. */
  dispose(): Promise<void>
  /**
   * Creates the tables, or brings them to this version's: call it at each deployment, before anything else. Does nothing where they
   * are of this version, and may be called by several processes at once.
   */
  migrate(): Promise<void>
}

/** What {@link sqlRegistry} is configured with. */
export interface SqlRegistrySettings extends RegistrySettings {
  readonly quarantineMs: number
  readonly keptChanges: number
  readonly pollMs: number
  readonly now: () => number
}

/** A registry over any database that has the statements. */
export const sqlRegistry = (
  database: SqlDatabase,
  { grammar, resolveTxt, quarantineMs, domainGraceMs, keptChanges, pollMs, now }: SqlRegistrySettings,
): SqlRegistry => {
  const { layer } = database
  const sql = statements(layer)
  const storage = sqlStorage(database, sql, {
    grammar,
    quarantineMs,
    newToken: () => randomId(32),
    kept: keptChanges,
    now,
  })

  const getFirst = async (keys: readonly RouteKey[]): Promise<FirstLookup> => {
    for (;;) {
      const rows = await database.read(sql.load([], keys))
      const nextExpiry = rows.find(({ kind }) => kind === "expiry")?.["version"]
      // Routes of machines whose project has just expired: their own settings count from now on.
      if (typeof nextExpiry !== "object" && nextExpiry !== undefined && Number(nextExpiry) <= now()) {
        await storage.expire()
        continue
      }
      for (const key of keys) {
        const found = rows.find(({ kind, id }) => kind === "routes" && id === key)
        if (found === undefined) continue
        const record = decodeRoute(Number(found["version"]), String(found["data"]))
        if ((record.expiresAt ?? Infinity) > now()) return { status: "hit", key, record, layer, ageMs: 0 }
      }
      return { status: "miss", layer }
    }
  }

  return {
    ...makeRegistry(storage, { grammar, resolveTxt, domainGraceMs }),
    ...sqlFeed(database, sql, { expire: storage.expire, pollMs }),
    get: (key) => getFirst([key]),
    getFirst,
    migrate: async () => {
      for (const migration of migrations(layer, randomId(16))) await database.migrate(migration)
    },
  }
}
