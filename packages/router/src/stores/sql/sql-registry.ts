import { makeRegistry } from "../registry/make-registry.ts"
import type { RegistrySettings } from "../registry/make-registry.ts"
import { randomId } from "../registry/random-id.ts"
import type { RouteKey } from "../record.ts"
import type { RouteFeed } from "../route-feed.ts"
import type { RouteRegistry } from "../route-registry.ts"
import type { FirstLookup, Lookup, LookupOptions, RouteStore } from "../route-store.ts"
import { LookupFailed } from "../store-health.ts"
import type { SqlDatabase, SqlRow } from "./database.ts"
import { decodeRoute } from "./rows.ts"
import { migrations } from "./schema.ts"
import { sqlFeed } from "./sql-feed.ts"
import { sqlStorage } from "./sql-storage.ts"
import { statements } from "./statements.ts"

/** A registry in a database, its feed, and a store that reads a route at each look-up. */
export interface SqlRegistry extends RouteRegistry, RouteFeed, RouteStore {
  get(key: RouteKey, options?: Pick<LookupOptions, "refresh">): Promise<Lookup>
  getFirst(keys: readonly RouteKey[], options?: Pick<LookupOptions, "refresh">): Promise<FirstLookup>
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

/** How often a look-up publishes what has expired meanwhile. */
const MAX_EXPIRIES = 10

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

  /** What rows say of some keys; `undefined` if a project has expired that was not published as such. */
  const lookupIn = (rows: readonly SqlRow[], keys: readonly RouteKey[]): FirstLookup | undefined => {
    const nextExpiry = rows.find(({ kind }) => kind === "expiry")?.["version"]
    if (typeof nextExpiry !== "object" && nextExpiry !== undefined && Number(nextExpiry) <= now()) return undefined
    for (const key of keys) {
      const found = rows.find(({ kind, id }) => kind === "routes" && id === key)
      if (found === undefined) continue
      const record = decodeRoute(Number(found["version"]), String(found["data"]))
      if ((record.expiresAt ?? Infinity) > now()) return { status: "hit", key, record, layer }
    }
    return { status: "miss", layer }
  }

  const getFirst: SqlRegistry["getFirst"] = async (keys, { refresh = false } = {}) => {
    if (!refresh && database.readNearby !== undefined) {
      const lookup = lookupIn(await database.readNearby(sql.load([], keys)), keys)
      // Only the authority knows that there is none: a later key, as a wildcard, may be another tenant's.
      if (lookup?.status === "hit" && lookup.key === keys[0]) return lookup
    }
    for (let at = 0; at < MAX_EXPIRIES; at++) {
      const lookup = lookupIn(await database.read(sql.load([], keys)), keys)
      if (lookup !== undefined) return lookup.status === "hit" ? { ...lookup, ageMs: 0 } : lookup
      // Routes of machines whose project has just expired: their own settings count from now on.
      await storage.expire()
    }
    throw new LookupFailed("what has expired is read as it was before: something caches the registry's reads")
  }

  return {
    ...makeRegistry(storage, { grammar, resolveTxt, domainGraceMs }),
    ...sqlFeed(database, sql, { expire: storage.expire, pollMs }),
    get: (key, options) => getFirst([key], options),
    getFirst,
    migrate: async () => {
      for (const migration of migrations(layer, randomId(16))) await database.migrate(migration)
    },
  }
}
