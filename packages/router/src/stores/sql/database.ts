import type { SqlRow } from "../result-rows.ts"

/** A statement of the registry. `:name` in its text stands for a value; all values are text and are cast where they are used. */
export interface Statement {
  readonly text: string
  readonly values: Readonly<Record<string, string>>
}

export type { SqlRow }

/** What a registry needs of a database. */
export interface SqlDatabase {
  /** The layer that look-ups name. */
  readonly layer: "postgres" | "d1"
  readonly read: (statement: Statement) => Promise<readonly SqlRow[]>
  /** The same from a copy that may be a little old, and is nearer. Absent where there is none. */
  readonly readNearby?: (statement: Statement) => Promise<readonly SqlRow[]>
  /**
   * Runs statements in order in one transaction, as if no other commit ran meanwhile. Returns the rows of the first. Rejects with
   * {@link CommitConflict} where the database gave up for the sake of another transaction.
   */
  readonly commit: (statements: readonly Statement[]) => Promise<readonly SqlRow[]>
  /** Runs reads and one commit while every other registry waits with its own. Absent where a database has no such lock. */
  readonly exclusive?: <A>(run: (database: SqlDatabase) => Promise<A>) => Promise<A>
  /** Calls back after each commit that changed a route, of any process. Resolves to what ends that. Absent: nobody notifies. */
  readonly listen?: ((notify: () => void) => PromiseLike<() => unknown>) | undefined
  /** Runs a migration whole or not at all, once: false if another process has run it. */
  readonly migrate: (migration: Migration) => Promise<boolean>
}

/** A step of the schema. Never changed once released: the next one is added after it. */
export interface Migration {
  /** From 1 up. */
  readonly version: number
  readonly statements: readonly string[]
}

/** Another transaction was faster. Nothing was written, and the change may run again. */
export class CommitConflict extends Error {
  override readonly name = "CommitConflict"
}

/** The text with `$1` or `?1` in place of names, and the values in that order. `before`: what stands before each number. */
export const bindValues = (
  { text, values }: Statement,
  before: "$" | "?",
): { readonly text: string; readonly values: string[] } => {
  const order: string[] = []
  // Not after a colon: `::text` is a cast.
  const numbered = text.replace(/(?<!:):([a-z]+)/g, (_, name: string) => {
    if (!order.includes(name)) order.push(name)
    return `${before}${order.indexOf(name) + 1}`
  })
  return { text: numbered, values: order.map((name) => values[name]!) }
}

/** Elements of the JSON array in a value, one in each row, as the column `value`. */
export const jsonRows = {
  postgres: (name: string): string => `json_array_elements(cast(cast(:${name} as text) as json))`,
  d1: (name: string): string => `json_each(:${name})`,
}

/** An integer given as a value: values are text for every driver. */
export const integerOf = (name: string): string => `cast(cast(:${name} as text) as bigint)`
