import type { FirstLookup, Lookup, RouteKey, RouteRecord, RouteStore } from "@project-ingress/router"

/** Runs a query of one parameter, as `pg`'s `pool.query` does. */
export type Query = (
  text: string,
  values: readonly [readonly string[]],
) => Promise<{ readonly rows: readonly unknown[] }>

interface Row {
  readonly key: RouteKey
  /** JSON. */
  readonly record: string
}

/** How many records are remembered: a version that has been given is never followed by an earlier one. */
const MAX_REMEMBERED = 10_000

/**
 * Routes in a table of a platform's own, `routes (key text primary key, record text)`, read at each look-up. What fails is a
 * rejection, which a router takes for `unknown`. While the database fails, what was read last is given.
 */
export const ownTable = (query: Query): RouteStore => {
  const remembered = new Map<RouteKey, RouteRecord>()

  const remember = ({ key, record: text }: Row): FirstLookup => {
    const record = JSON.parse(text) as RouteRecord
    const known = remembered.get(key)
    // A replica may lag.
    if (known !== undefined && known.version > record.version) return { status: "hit", key, record: known, stale: true }
    if (remembered.size >= MAX_REMEMBERED) remembered.clear()
    remembered.set(key, record)
    return { status: "hit", key, record, layer: "own-table", ageMs: 0 }
  }

  const getFirst = async (keys: readonly RouteKey[]): Promise<FirstLookup> => {
    try {
      const { rows } = await query("select key, record from routes where key = any($1)", [keys])
      for (const key of keys) {
        const row = (rows as readonly Row[]).find((each) => each.key === key)
        if (row !== undefined) return remember(row)
      }
      return { status: "miss", layer: "own-table" }
    } catch (cause) {
      // Of several keys an earlier one may be there now: nobody knows.
      const [key] = keys
      const record = key === undefined ? undefined : remembered.get(key)
      if (key === undefined || record === undefined) throw cause
      return { status: "hit", key, record, stale: true }
    }
  }
  return {
    get: async (key): Promise<Lookup> => getFirst([key]),
    getFirst,
    stats: () => ({ layers: [{ layer: "own-table", routes: remembered.size }] }),
  }
}
