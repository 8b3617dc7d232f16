import { accept, checkOptions } from "@project-ingress/forward/internal"
import { orMissingTables } from "./missing-tables.ts"
import { bindValues, CommitConflict } from "./sql/database.ts"
import type { SqlDatabase, SqlRow, Statement } from "./sql/database.ts"
import { queryRows } from "./sql/postgres-query.ts"
import type { PostgresListen, PostgresQuery } from "./sql/postgres-query.ts"
import { registryOptions, registrySettings } from "./sql/registry-options.ts"
import type { SqlRegistryOptions } from "./sql/registry-options.ts"
import { sqlRegistry } from "./sql/sql-registry.ts"
import type { SqlRegistry } from "./sql/sql-registry.ts"

export type { PostgresListen, PostgresQuery, SqlRegistry, SqlRegistryOptions }

/** What {@link postgresRegistry} accepts. */
export interface PostgresRegistryOptions extends SqlRegistryOptions {
  /** Runs a statement on any connection. */
  readonly query: PostgresQuery
  /** Runs statements in a transaction, on one connection: commits when `run` resolves, and rolls back when it rejects. */
  readonly transaction: <A>(run: (query: PostgresQuery) => Promise<A>) => PromiseLike<A>
  /** With it, a `changes` that waits returns when another process has changed something; without, it looks every `pollMs`. */
  readonly listen?: PostgresListen
}

/** What is notified after each commit that changed a route. */
const CHANNEL = "project_ingress"

/** Any number that other users of advisory locks are unlikely to have. */
const LOCK = "7165433087310245"

/**
 * A registry in Postgres, the store to hand to `createRouter` and a feed, in one. Over any driver: `pg`, `postgres`, PGlite.
 *
 * ```ts
 * const registry = postgresRegistry({
 *   grammar,
 *   query: (text, values) => sql.unsafe(text, values),
 *   transaction: (run) => sql.begin((tx) => run((text, values) => tx.unsafe(text, values))),
 * })
 * await registry.migrate()
 * ```
 *
 * @throws {TypeError} if an option is unknown, missing or of the wrong type
 */
export const postgresRegistry = (options: PostgresRegistryOptions): SqlRegistry => {
  checkOptions(
    "postgresRegistry",
    options,
    { ...registryOptions, query: accept.function, transaction: accept.function, listen: accept.function },
    { required: ["grammar", "query", "transaction"] },
  )
  const { query, transaction, listen } = options

  /** Runs something while no other registry commits. The lock ends with the transaction. */
  const locked = async <A>(run: (query: PostgresQuery) => Promise<A>): Promise<A> =>
    transaction(async (inside) => {
      await inside(`select pg_advisory_xact_lock(${LOCK})`, [])
      return run(inside)
    })

  const database: SqlDatabase = {
    ...over(query),
    listen: listen && ((notify) => listen(CHANNEL, notify)),
    commit: (statements) => conflictOr(locked((inside) => commitBy(inside, statements))),
    exclusive: (run) =>
      conflictOr(
        locked((inside) =>
          run({ ...over(inside), commit: (statements) => commitBy(inside, statements), migrate: database.migrate }),
        ),
      ),
    migrate: ({ version, statements }) =>
      locked(async (inside) => {
        await inside("create table if not exists project_ingress_migrations (version integer primary key)", [])
        const text = `select 1 from project_ingress_migrations where version = ${version}`
        if ((await rowsOf(inside, { text, values: {} })).length > 0) return false
        for (const statement of statements) await inside(statement, [])
        await inside(`insert into project_ingress_migrations values (${version})`, [])
        return true
      }),
  }
  return sqlRegistry(database, registrySettings(options))
}

/** What reads on one connection, or on any. */
const over = (query: PostgresQuery): Pick<SqlDatabase, "layer" | "read"> => ({
  layer: "postgres",
  read: (statement) => rowsOf(query, statement),
})

/**
 * The first statement decides; the others go with it in one round trip, so that the lock is held no longer than needed. They write
 * different rows, so that their order does not matter.
 */
const commitBy = async (query: PostgresQuery, [first, ...others]: readonly Statement[]): Promise<readonly SqlRow[]> => {
  const won = await rowsOf(query, first!)
  if (won.length === 0 || others.length === 0) return won
  const parts = others.map(({ text }, at) => `write_${at} as (${text})`)
  await rowsOf(query, { text: `with ${parts.join(", ")} select pg_notify('${CHANNEL}', '')`, values: first!.values })
  return won
}

const rowsOf = async (query: PostgresQuery, statement: Statement): Promise<readonly SqlRow[]> => {
  const { text, values } = bindValues(statement, "$")
  try {
    return await queryRows("postgresRegistry", query, text, values)
  } catch (cause) {
    throw orMissingTables(cause)
  }
}

/** Postgres gave up for the sake of another transaction: a serialization failure or a deadlock. */
const conflictOr = async <A>(work: Promise<A>): Promise<A> => {
  try {
    return await work
  } catch (cause) {
    const { code } = (cause ?? {}) as { readonly code?: unknown }
    throw code === "40001" || code === "40P01" ? new CommitConflict() : cause
  }
}
