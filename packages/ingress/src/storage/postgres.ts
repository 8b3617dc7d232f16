import { accept, bindValues, checkOptions, orMissingTables, queryRows } from "@project-ingress/router/internal"
import type { PostgresQuery } from "@project-ingress/router/stores/postgres"
import { sqlStorage } from "./sql/sql-storage.ts"
import type { Row, SqlStorage } from "./sql/sql-storage.ts"
import type { Statement } from "./sql/statements.ts"

export type { PostgresQuery, SqlStorage }

/** What {@link postgresStorage} accepts. */
export interface PostgresStorageOptions {
  /** Runs a statement on any connection. */
  readonly query: PostgresQuery
  /** Runs statements in a transaction, on one connection: commits when `run` resolves, and rolls back when it rejects. */
  readonly transaction: <A>(run: (query: PostgresQuery) => Promise<A>) => PromiseLike<A>
}

/** Any number that other users of advisory locks are unlikely to have. */
const LOCK = "7165433087310246"

/**
 * A storage in Postgres, over any driver: `pg`, `postgres`, PGlite. The tables begin with `project_ingress_ingress_` and may be in the
 * database of the registry.
 *
 * ```ts
 * const storage = postgresStorage({
 *   query: (text, values) => sql.unsafe(text, values),
 *   transaction: (run) => sql.begin((tx) => run((text, values) => tx.unsafe(text, values))),
 * })
 * await storage.migrate()
 * ```
 *
 * @throws {TypeError} if an option is unknown, missing or of the wrong type
 */
export const postgresStorage = (options: PostgresStorageOptions): SqlStorage => {
  const checks = { query: accept.function, transaction: accept.function }
  checkOptions("postgresStorage", options, checks, { required: ["query", "transaction"] })
  const { query, transaction } = options
  return sqlStorage({
    engine: "postgres",
    read: (statement) => rowsOf(query, statement),
    commit: async ([first, ...others]) => {
      try {
        return await transaction(async (inside) => {
          const rows = await rowsOf(inside, first!)
          // Its row is locked from here to the end: another commit waits for it, and then finds another revision.
          if (rows.length > 0) for (const each of others) await rowsOf(inside, each)
          return rows
        })
      } catch (cause) {
        // Postgres gave up for the sake of another transaction: a serialization failure or a deadlock.
        const { code } = (cause ?? {}) as { readonly code?: unknown }
        if (code === "40001" || code === "40P01") return undefined
        throw cause
      }
    },
    migrate: async (texts) =>
      transaction(async (inside) => {
        // Two that create a table at once: one would fail, even with "if not exists".
        await inside(`select pg_advisory_xact_lock(${LOCK})`, [])
        for (const text of texts) await inside(text, [])
      }),
  })
}

const rowsOf = async (query: PostgresQuery, statement: Statement): Promise<readonly Row[]> => {
  const { text, values } = bindValues(statement, "$")
  try {
    return await queryRows("postgresStorage", query, text, values)
  } catch (cause) {
    throw orMissingTables(cause, "the storage's")
  }
}
