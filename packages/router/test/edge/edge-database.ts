import pg from "pg"
import type { PostgresServer } from "../registry/postgres-server.ts"

/** Creates an empty database. Returns a pool for it, which the end of the server does not break, and its URL for the command. */
export const createDatabase = async (
  { host, user }: PostgresServer,
  name: string,
): Promise<{ readonly pool: pg.Pool; readonly url: string }> => {
  const root = new pg.Client({ host, user, database: "postgres" })
  await root.connect()
  await root.query(`create database ${name}`)
  await root.end()
  const pool = new pg.Pool({ host, user, database: name })
  pool.on("error", () => undefined)
  return { pool, url: `postgres:///${name}?host=${host}&user=${user}` }
}
