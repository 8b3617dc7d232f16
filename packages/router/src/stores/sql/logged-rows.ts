import type { RouteKey, RouteRecord } from "../record.ts"
import { isRouteKey } from "../route-key.ts"
import { isObject } from "../shape.ts"
import { unreadable } from "./unreadable.ts"

/** A row of a platform's own that is not what it should be. It fails alone. */
export interface BadRow {
  /** At most 256 characters of its key. */
  readonly key: string
  readonly problem: string
}

/** What a platform's view holds of a key. */
export type LoggedRoute =
  | { readonly status: "route"; readonly key: RouteKey; readonly record: RouteRecord }
  | { readonly status: "nothing"; readonly key: RouteKey }
  /** No hostname leads to such a key. */
  | { readonly status: "no key" }

/**
 * Reads the rows that a view has of one key, as text. A record that cannot be read becomes one that no router takes: its
 * hostnames fail (500), because a miss would say that there is no such project.
 *
 * `report`: called for a row that is not as it should be.
 */
export const loggedRoute = (
  key: unknown,
  version: number,
  rows: readonly unknown[],
  report: (row: BadRow) => void,
): LoggedRoute => {
  const bad = (problem: string): void => report({ key: String(key).slice(0, 256), problem })
  if (!isRouteKey(key)) {
    bad("no hostname leads to such a key")
    return { status: "no key" }
  }
  if (rows.length === 0) return { status: "nothing", key }
  const fields = rows.length > 1 ? "the view has several rows of the key" : recordFields(rows[0])
  if (typeof fields === "object") {
    // Whatever else is in it is for the router's decoder to refuse.
    return { status: "route", key, record: { ...fields, version } as RouteRecord }
  }
  bad(fields)
  return { status: "route", key, record: unreadable(version) }
}

/** The fields of a record, or what is wrong with it. */
const recordFields = (text: unknown): object | string => {
  if (typeof text !== "string") return "the record is null"
  try {
    const fields: unknown = JSON.parse(text)
    return isObject(fields) ? fields : "the record is no object"
  } catch {
    return "the record is not JSON"
  }
}
