import { postgresRegistry } from "@project-ingress/router/stores/postgres"
import type { SqlRegistry } from "@project-ingress/router/stores/postgres"
import pg from "pg"
import { grammar } from "./grammar.ts"

/** The routes of all regions, in one Postgres: `postgres://user@host/database`. */
export interface OpenRegistry {
  readonly registry: SqlRegistry
  readonly close: () => Promise<void>
}

/** `pollMs`: how often a process that follows the routes looks for changes that it was not notified of. */
export const openRegistry = (connectionString: string, pollMs = 1_000): OpenRegistry => {
  const pool = new pg.Pool({ connectionString, connectionTimeoutMillis: 5_000 })
  // A connection that breaks while nobody uses it is replaced.
  pool.on("error", () => undefined)
  // And without this, one that breaks in a transaction ends the process: a pool listens to idle ones only.
  pool.on("connect", (client) => void client.on("error", () => undefined))
  const registry = postgresRegistry({
    grammar,
    pollMs,
    query: (text, values) => pool.query(text, values),
    transaction: async (run) => {
      const client = await pool.connect()
      try {
        await client.query("begin")
        const result = await run((text, values) => client.query(text, values))
        await client.query("commit")
        return result
      } catch (cause) {
        // Of a connection that is lost it fails, and says less than the cause.
        await client.query("rollback").catch(() => undefined)
        throw cause
      } finally {
        client.release()
      }
    },
    // An edge sees each change within about 100 ms of its commit. When this connection is lost the registry opens another one.
    listen: async (channel, notify) => {
      const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5_000 })
      client.on("error", () => undefined)
      client.on("notification", notify)
      await client.connect()
      await client.query(`listen ${channel}`)
      return () => client.end()
    },
  })
  const close = async (): Promise<void> => {
    await registry.dispose?.()
    await pool.end()
  }
  return { registry, close }
}
