import { checkOptions } from "@project-ingress/forward/internal"
import { orMissingTables } from "./missing-tables.ts"
import { bindValues } from "./sql/database.ts"
import type { SqlDatabase, SqlRow, Statement } from "./sql/database.ts"
import { registryOptions, registrySettings } from "./sql/registry-options.ts"
import type { SqlRegistryOptions } from "./sql/registry-options.ts"
import { sqlRegistry } from "./sql/sql-registry.ts"
import type { SqlRegistry } from "./sql/sql-registry.ts"

export type { SqlRegistry, SqlRegistryOptions }

/** A D1 database, as a Worker's binding gives it. Without `withSession` everything is read at the primary. */
export interface D1Binding extends D1Connection {
  withSession?(constraintOrBookmark: string): D1Session
}

/** What runs statements. */
export interface D1Connection {
  prepare(query: string): D1Statement
  batch(statements: D1Statement[]): Promise<readonly { readonly results: readonly unknown[] }[]>
}

/** Statements that see what those before them have seen. */
export interface D1Session extends D1Connection {
  getBookmark(): string | null
}

/** A prepared statement of D1. */
export interface D1Statement {
  bind(...values: string[]): D1Statement
}

/**
 * A registry in D1, the store to hand to `createRouter` and a feed, in one. Each operation is one `batch()`, whose statements write
 * only if nothing of what the operation has read is another by then.
 *
 * Look-ups are read at the replica nearby, where the database has read replication, and never see less than this registry has seen
 * before. What a replica does not have is looked for at the primary; so is everything with `refresh`, and operations and the feed.
 *
 * ```ts
 * const registry = d1Registry(env.ROUTES, { grammar })
 * await registry.migrate()
 * ```
 *
 * @throws {TypeError} if an option is unknown, missing or of the wrong type
 */
export const d1Registry = (binding: D1Binding, options: SqlRegistryOptions): SqlRegistry => {
  if (typeof binding?.batch !== "function") throw new TypeError("d1Registry: the binding must be a D1 database")
  checkOptions("d1Registry", options, registryOptions, { required: ["grammar"] })

  /** The newest state of the database that was seen: bookmarks are sorted as text. Look-ups never see an earlier one. */
  let seen: string | undefined
  const batchAt = async (session: string, statements: readonly Statement[]): Promise<readonly SqlRow[][]> => {
    const connection = binding.withSession?.(session)
    const results = await runBatch(connection ?? binding, statements)
    const bookmark = connection?.getBookmark() ?? undefined
    if (bookmark !== undefined && (seen === undefined || bookmark > seen)) seen = bookmark
    return results
  }
  const batch = (statements: readonly Statement[]): Promise<readonly SqlRow[][]> => batchAt("first-primary", statements)
  const isMigrated = async (version: number): Promise<boolean> => {
    const [found] = await batch([
      { text: `select 1 from project_ingress_migrations where version = ${version}`, values: {} },
    ])
    return found!.length > 0
  }
  const database: SqlDatabase = {
    layer: "d1",
    read: async (statement) => (await batch([statement]))[0]!,
    ...(typeof binding.withSession === "function"
      ? { readNearby: async (statement) => (await batchAt(seen ?? "first-unconstrained", [statement]))[0]! }
      : {}),
    commit: async (statements) => (await batch(statements))[0]!,
    migrate: async ({ version, statements }) => {
      await batch([
        { text: "create table if not exists project_ingress_migrations (version integer primary key)", values: {} },
      ])
      if (await isMigrated(version)) return false
      // Of two processes at once, one fails at the first statement, and its batch writes nothing.
      const taken = `insert into project_ingress_migrations values (${version})`
      try {
        await batch([taken, ...statements].map((text) => ({ text, values: {} })))
        return true
      } catch (cause) {
        if (await isMigrated(version)) return false
        throw cause
      }
    },
  }
  return sqlRegistry(database, registrySettings(options))
}

const runBatch = async (connection: D1Connection, statements: readonly Statement[]): Promise<readonly SqlRow[][]> => {
  try {
    const results = await connection.batch(
      statements.map((statement) => {
        const { text, values } = bindValues(statement, "?")
        return connection.prepare(text).bind(...values)
      }),
    )
    // Rows are objects by column.
    return results.map((result) => result.results as SqlRow[])
  } catch (cause) {
    throw orMissingTables(cause)
  }
}
