import type { RouteKey, RouteRecord } from "../record.ts"
import { TABLE_NAMES } from "./state.ts"
import type { Rows, TableName, Tables } from "./state.ts"

/** What is committed. A store whose rows are elsewhere throws until it has loaded what is read, and the change runs again. */
export interface Committed {
  readonly row: <Name extends TableName>(table: Name, id: string) => Tables[Name] | undefined
  readonly route: (key: RouteKey) => RouteRecord | undefined
}

/** All tables as one change sees and writes them. */
export type Drafts = { readonly [Name in TableName]: Draft<Tables[Name]> }

/** Drafts without a write. */
export const newDrafts = (committed: Committed): Drafts =>
  // Each name gets the rows of its own table.
  Object.fromEntries(TABLE_NAMES.map((table) => [table, new Draft((id) => committed.row(table, id))])) as never

/** One table: rows as committed, and what the change has written. */
class Draft<Row> implements Rows<Row> {
  readonly committed: (id: string) => Row | undefined
  readonly written = new Map<string, Row | undefined>()

  constructor(committed: (id: string) => Row | undefined) {
    this.committed = committed
  }

  get(id: string): Row | undefined {
    return this.written.has(id) ? this.written.get(id) : this.committed(id)
  }

  set(id: string, row: Row | undefined): void {
    this.written.set(id, row)
  }

  /** A row as committed and as the change left it, where there is one. */
  versions(id: string): readonly Row[] {
    return [this.committed(id), this.get(id)].filter((row) => row !== undefined)
  }
}
