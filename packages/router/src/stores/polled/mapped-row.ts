import type { RouteInput } from "../memory.ts"
import type { RouteKey } from "../record.ts"

/** What a row leads to. Without a version of its own, the store counts the changes that it sees. */
export interface MappedRoute {
  readonly key: RouteKey
  /** The record. A `version` that the table itself keeps never goes backwards: an older row than the one in use is not taken. */
  readonly route: RouteInput & { readonly version?: number; readonly epoch?: number }
  readonly problem?: never
}

/** A row that leads nowhere because a value in it cannot be used. */
export interface InvalidRow {
  /** The key whose hostnames fail because of it (500), where the row says as much. Absent: the row counts for nothing. */
  readonly key?: RouteKey
  /** The column, and what is accepted there. Without the value, which may be a secret or an attack. */
  readonly problem: { readonly field: string; readonly accepted: string }
}

/** The result of mapping one row; `undefined` for one that is to be left out. */
export type MappedRow = MappedRoute | InvalidRow | undefined
