import type { RouteRecord } from "../record.ts"
import type { RouteChange } from "../route-feed.ts"
import { purgeTime } from "../registry/purge.ts"
import type { ProjectState, TableName, Tables } from "../registry/state.ts"
import { unreadable } from "./unreadable.ts"

/**
 * Numbers from here up are counted from the registry's version at the commit, which nobody knows before. `nextVersion` gives them
 * while a change runs, and SQL makes them whole.
 */
export const PROVISIONAL = 2 ** 52

/** A row as it is written: `version`, or `step` above the registry's version before the commit. */
export interface RowWrite {
  readonly kind: TableName
  readonly id: string
  readonly version: number | null
  readonly step: number
  readonly owner: string | null
  readonly name: string | null
  /** When the settings of a project cease to be those of its machines. Null once that has happened. */
  readonly expires: number | null
  /** When something in the row is of no use any more. */
  readonly purge: number | null
  readonly data: string
}

/** @param at the time of the change, in ms since 1970 */
export const encodeRow = <Name extends TableName>(kind: Name, id: string, row: Tables[Name], at: number): RowWrite => {
  // A text or a list has no fields of these names.
  const fields = Object(row) as Readonly<Record<string, unknown>>
  const { version, ...data } = fields
  const isVersioned = typeof version === "number"
  const project = kind === "projects" ? (row as ProjectState) : undefined
  const { expiresAt = 0, name = null } = project ?? {}
  const { owner = null } = fields as { readonly owner?: string }
  const purge = purgeTime(kind, row)
  return {
    kind,
    id,
    version: isVersioned && version < PROVISIONAL ? version : null,
    step: isVersioned ? version - PROVISIONAL : 1,
    owner,
    name,
    expires: expiresAt > at ? expiresAt : null,
    purge: purge === Infinity ? null : purge,
    data: JSON.stringify(isVersioned ? data : row),
  }
}

/** The row that {@link encodeRow} wrote. */
export const decodeRow = (kind: TableName, version: number, data: string): Tables[TableName] => {
  // Written by this module alone.
  const row = JSON.parse(data) as Tables[TableName]
  return kind === "projects" || kind === "machines" ? ({ ...(row as object), version } as Tables[TableName]) : row
}

/** A route as it is written. `at`: its place among the changes of the commit, from 1 up. */
export interface RouteWrite {
  readonly key: string
  readonly at: number
  readonly step: number
  /** Without its version; null if the key leads nowhere now. */
  readonly record: string | null
}

export const encodeRoute = ({ key, version, record }: RouteChange, index: number): RouteWrite => {
  const { version: _, ...rest } = record ?? { version: 0 }
  return { key, at: index + 1, step: version - PROVISIONAL, record: record === undefined ? null : JSON.stringify(rest) }
}

/** A record as stored. Whatever else is found there is for the router's decoder to refuse: it fails its own hostnames alone. */
export const decodeRoute = (version: number, record: string): RouteRecord => {
  try {
    const fields: unknown = JSON.parse(record)
    if (typeof fields === "object" && fields !== null) return { version, ...fields } as RouteRecord
  } catch {
    // Text that is not JSON, as somebody's own statement may have left there.
  }
  return unreadable(version)
}
