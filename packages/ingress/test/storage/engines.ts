/** Every place where a storage can be, but D1: that is in `d1-laws-worker.ts`. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PGlite } from "@electric-sql/pglite"
import { openPg } from "../../../router/test/registry/pg-driver.ts"
import { noPostgres, startPostgres } from "../../../router/test/registry/postgres-server.ts"
import { memoryStorage } from "../../src/ingress.ts"
import type { NotedStorage } from "../../src/ingress.ts"
import { fileStorage } from "../../src/storage/file/file-storage.ts"
import { postgresStorage } from "../../src/storage/postgres.ts"
import type { PostgresStorageOptions } from "../../src/storage/postgres.ts"

/** A place where a storage is. */
export interface Engine {
  /** A storage as another process would have it. */
  readonly open: () => NotedStorage
  readonly empty: () => Promise<void>
  readonly close: () => Promise<void>
}

/** An engine that is not started yet. */
export interface EngineKind {
  readonly name: string
  readonly start: () => Promise<Engine>
}

const DOCUMENTS = "delete from project_ingress_ingress_documents"
const REVISION =
  "update project_ingress_ingress_revision set revision = 0, pruned = 0, last_commit = '', applying = null"

export const startPg = async () => {
  const server = await startPostgres()
  const { pool, driver } = openPg(server, 20)
  const options: PostgresStorageOptions = { query: driver.query, transaction: driver.transaction }
  await postgresStorage(options).migrate()
  return {
    pool,
    server,
    options,
    open: () => postgresStorage(options),
    empty: async () => void (await pool.query(`${DOCUMENTS}; ${REVISION}`)),
    close: async () => {
      await pool.end()
      await server.close()
    },
  }
}

export const startPglite = async () => {
  const database = await PGlite.create()
  const options: PostgresStorageOptions = {
    query: (text, values) => database.query(text, values),
    transaction: (run) => database.transaction((inside) => run((text, values) => inside.query(text, values))),
  }
  await postgresStorage(options).migrate()
  return {
    database,
    options,
    open: () => postgresStorage(options),
    empty: async () => void (await database.exec(`${DOCUMENTS}; ${REVISION}`)),
    close: () => database.close(),
  }
}

export const engines: readonly EngineKind[] = [
  {
    name: "memory",
    start: async () => {
      let storage = memoryStorage()
      return {
        open: () => storage,
        empty: async () => void (storage = memoryStorage()),
        close: async () => undefined,
      }
    },
  },
  {
    name: "files",
    start: async () => {
      const folder = mkdtempSync(join(tmpdir(), "ingress-storage-"))
      let at = 0
      return {
        open: () => fileStorage(join(folder, `${at}`), { lockTimeoutMs: 60_000 }),
        empty: async () => void (at += 1),
        close: async () => rmSync(folder, { recursive: true }),
      }
    },
  },
  // In PGlite where no server is installed. All that differs is how many connections there are.
  noPostgres === "" ? { name: "pg", start: startPg } : { name: "PGlite", start: startPglite },
]
