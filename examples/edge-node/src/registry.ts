import { postgresRegistry } from "@project-ingress/router/stores/postgres"
import type { SqlRegistry } from "@project-ingress/router/stores/postgres"
import pg from "pg"
import { grammar } from "./grammar.ts"

/** The routes of all regions, in one Postgres: `postgres://user@host/database`. */
export interface OpenRegistry {
  readonly registry: SqlRegistry
  readonly close: () => Promise<void>
}

export const openRegistry = (connectionString: string): OpenRegistry => {
  const pool = new pg.Pool({ connectionString })
  // A connection that breaks while nobody uses it is replaced.
  pool.on("error", () => undefined)
  // And without this, one that breaks in a transaction ends the process: a pool listens to idle ones only.
  pool.on("connect", (client) => void client.on("error", () => undefined))
  const registry = postgresRegistry({
    grammar,
    query: (text, values) => pool.query(text, values),
    transaction: async (run) => {
      const client = await pool.connect()
      try {
        await client.query("begin")
        const result = await run((text, values) => client.query(text, values))
        await client.query("commit")
        return result
      } catch (cause) {
        await client.query("rollback")
        throw cause
      } finally {
        client.release()
      }
    },
  })
  return { registry, close: () => pool.end() }
}
