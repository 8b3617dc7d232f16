import pg from "pg"
import type { PostgresRegistryOptions } from "../../src/stores/postgres.ts"
import type { PostgresServer } from "./postgres-server.ts"

/** A pool of `max` connections to a server's database, and what a registry needs of `pg`. Ending the pool is the caller's. */
export const openPg = ({ host, user }: Pick<PostgresServer, "host" | "user">, max: number) => {
  const connection = { host, user, database: "postgres" }
  const pool = new pg.Pool({ ...connection, max })
  // Connections that the server ends at the very end.
  pool.on("error", () => undefined)
  // A pool listens to idle ones only: without this, one that breaks in a transaction ends the process.
  pool.on("connect", (client) => void client.on("error", () => undefined))
  const driver: Pick<PostgresRegistryOptions, "query" | "transaction" | "listen"> = {
    listen: async (channel, notify) => {
      const client = new pg.Client(connection)
      // Where a test kills the server: the registry listens again.
      client.on("error", () => undefined)
      await client.connect()
      client.on("notification", notify)
      await client.query(`listen ${channel}`)
      return () => client.end()
    },
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
  }
  return { connection, pool, driver }
}
