import { bindValues, orMissingTables } from "@project-ingress/router/internal"
import type { D1Connection, D1Statement } from "@project-ingress/router/stores/d1"
import { sqlStorage } from "./sql/sql-storage.ts"
import type { Row, SqlStorage } from "./sql/sql-storage.ts"
import type { Statement } from "./sql/statements.ts"

export type { D1Connection, D1Statement, SqlStorage }

/**
 * A storage in D1, which may be the database of the registry. Each commit is one `batch()`, and everything is read at the primary.
 *
 * ```ts
 * const storage = d1Storage(env.ROUTES)
 * await storage.migrate()
 * ```
 *
 * @throws {TypeError} if the binding is not a D1 database
 */
export const d1Storage = (binding: D1Connection): SqlStorage => {
  if (typeof binding?.batch !== "function") throw new TypeError("d1Storage: the binding must be a D1 database")
  const batch = async (statements: readonly Statement[]): Promise<readonly (readonly Row[])[]> => {
    try {
      const results = await binding.batch(
        statements.map((statement) => {
          const { text, values } = bindValues(statement, "?")
          return binding.prepare(text).bind(...values)
        }),
      )
      // Rows are objects by column.
      return results.map((result) => result.results as readonly Row[])
    } catch (cause) {
      throw orMissingTables(cause, "the storage's")
    }
  }
  return sqlStorage({
    engine: "d1",
    read: async (statement) => (await batch([statement]))[0]!,
    commit: async (statements) => (await batch(statements))[0]!,
    migrate: async (texts) => void (await batch(texts.map((text) => ({ text, values: {} })))),
  })
}
