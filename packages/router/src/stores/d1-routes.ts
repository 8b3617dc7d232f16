import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { D1Binding, D1Connection } from "./d1.ts"
import { orMissingTables } from "./missing-tables.ts"
import type { RouteKey } from "./record.ts"
import type { SqlRow } from "./result-rows.ts"
import type { FirstLookup, Lookup, LookupOptions, RouteStore } from "./route-store.ts"
import { decodeRoute } from "./sql/rows.ts"
import { KeyFailed } from "./store-health.ts"

/** What {@link d1Routes} accepts. */
export interface D1RoutesOptions {
  /** The time in ms since 1970. Default `Date.now`. */
  readonly now?: () => number
}

/** Routes of a registry in D1, read at each look-up. */
export interface D1Routes extends RouteStore {
  get(key: RouteKey, options?: Partial<LookupOptions>): Promise<Lookup>
  getFirst(keys: readonly RouteKey[], options?: Partial<LookupOptions>): Promise<FirstLookup>
}

/** When the settings of the machine's project cease to be the machine's: set as long as nobody has published it. */
const query = `select t.key, t.version, t.record, (
    select p.expires_at from project_ingress_rows m
    join project_ingress_rows p on p.kind = 'projects' and p.id = m.data ->> 'project'
    where m.kind = 'machines' and t.key = 'm:' || m.id
  ) as project_expires
  from json_each(?1) v join project_ingress_routes t on t.key = v.value`

/**
 * Reads the routes that a `d1Registry` writes, in a Worker that routes and changes nothing: a tenth of the registry's size.
 *
 * A look-up is read at the replica nearby, where the database has read replication; what is not found there, and everything with
 * `refresh`, at the primary. A machine whose project has expired is `unknown` until a registry has published that, which every operation
 * does and every look-up of its own: call its `purge` now and then.
 *
 * ```ts
 * const store = d1Routes(env.DB)
 * ```
 *
 * @throws {TypeError} if the binding is no D1 database, or an option is unknown or of the wrong type
 */
export const d1Routes = (binding: D1Binding, options: D1RoutesOptions = {}): D1Routes => {
  if (typeof binding?.batch !== "function") throw new TypeError("d1Routes: the binding must be a D1 database")
  checkOptions("d1Routes", options, { now: accept.function })
  const { now = Date.now } = options

  const search = async (database: D1Connection, keys: readonly RouteKey[]): Promise<FirstLookup> => {
    const [result] = await database.batch([database.prepare(query).bind(JSON.stringify(keys))]).catch((cause) => {
      throw orMissingTables(cause)
    })
    // Rows are objects by column.
    const rows = (result?.results ?? []) as readonly SqlRow[]
    for (const key of keys) {
      const row = rows.find((each) => each["key"] === key)
      if (row === undefined) continue
      if (Number(row["project_expires"] ?? Infinity) <= now()) return expired
      const record = decodeRoute(Number(row["version"]), String(row["record"]))
      if ((record.expiresAt ?? Infinity) > now()) return { status: "hit", key, record, layer: LAYER }
    }
    return { status: "miss", layer: LAYER }
  }

  const getFirst: D1Routes["getFirst"] = async (keys, { refresh = false } = {}) => {
    if (!refresh && binding.withSession !== undefined) {
      const found = await search(binding.withSession("first-unconstrained"), keys)
      // Only the primary knows that there is none: a later key, as a wildcard, may be another tenant's.
      if (found.status === "unknown" || (found.status === "hit" && found.key === keys[0])) return found
    }
    const found = await search(binding.withSession?.("first-primary") ?? binding, keys)
    return found.status === "hit" ? { ...found, ageMs: 0 } : found
  }

  return { get: (key, options) => getFirst([key], options), getFirst }
}

const LAYER = "d1"

const expired: FirstLookup = {
  status: "unknown",
  layer: LAYER,
  cause: new KeyFailed("the machine's project has expired, which no registry has published yet"),
  retryAfterMs: 1_000,
}
