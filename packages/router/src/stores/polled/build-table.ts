import { isPlatformName } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import { decodeRecord } from "../decode-record.ts"
import { turns } from "../turns.ts"
import type { RouteKey, RouteRecord } from "../record.ts"
import { isRouteKey } from "../route-key.ts"
import { isObject } from "../shape.ts"
import type { SqlRow } from "../result-rows.ts"
import type { InvalidRowsEvent } from "../store-event.ts"
import type { InvalidRow, MappedRoute, MappedRow } from "./mapped-row.ts"

/** All routes of one poll. */
export interface Table {
  /** With records that the router refuses, for hostnames whose row is invalid. */
  readonly records: ReadonlyMap<RouteKey, RouteRecord>
  /** How many of them can be used. */
  readonly routes: number
  readonly invalid: Pick<InvalidRowsEvent, "count" | "rows">
  /** How many keys lead elsewhere than in the table before, are new, or are gone. */
  readonly changes: number
}

/** What a table is made with. */
export interface BuildOptions {
  readonly map: (row: SqlRow) => MappedRow
  readonly grammar: Grammar | undefined
  readonly previous: Table | undefined
  /** The next version of a record whose row has none: one counter of all keys, so that a key that comes back is newer. */
  readonly nextVersion: () => number
}

/** How many invalid rows are named. */
const NAMED_ROWS = 20

/**
 * Makes the records of all rows, and lets others run in between. A row that is invalid fails only its own hostname. Records that
 * have not changed are the same objects as before.
 */
export const buildTable = async (rows: readonly SqlRow[], options: BuildOptions): Promise<Table> => {
  const { map, grammar, previous, nextVersion } = options
  const records = new Map<RouteKey, RouteRecord>()
  const refused = new Set<RouteKey>()
  const named: InvalidRowsEvent["rows"][number][] = []
  const turn = turns()
  let count = 0

  const report = (key: RouteKey | undefined, { field, accepted }: Problem): void => {
    count += 1
    if (named.length < NAMED_ROWS)
      named.push({ ...(key === undefined ? {} : { key: key.slice(0, 256) }), field, accepted })
  }

  const place = (key: RouteKey, record: RouteRecord, problem?: Problem): void => {
    const seen = records.get(key)
    if (problem !== undefined) report(key, problem)
    else if (seen !== undefined) report(key, { field: "key", accepted: "a key of one row only" })
    if (seen !== undefined) {
      // Of two rows for one hostname the one that was served before stays: a second row takes nothing over.
      const isKnown = record === previous?.records.get(key) && !refused.has(key)
      if (problem !== undefined || !(refused.has(key) || isKnown)) return
    }
    records.set(key, record)
    if (problem === undefined) refused.delete(key)
    else refused.add(key)
  }

  const add = ({ key, route }: MappedRoute): void => {
    if (grammar !== undefined && isPlatformName(grammar, key.replace(/^d:(?:\d+:)?/, "")))
      return report(key, { field: "key", accepted: "a name outside the grammar's domains" })
    const known = previous?.records.get(key)
    if (known !== undefined && isSame(known, route)) return place(key, known, decodeRecord(known).problem)
    if (known !== undefined && route.version !== undefined && known.version > route.version) {
      // From a replica that lags.
      report(key, { field: "version", accepted: `at least ${known.version}` })
      if (!records.has(key)) place(key, known, decodeRecord(known).problem)
      return
    }
    const version = route.version ?? nextVersion()
    const given = { kind: "machine", ...route, version, epoch: route.epoch ?? version } as RouteRecord
    const { record = given, problem } = decodeRecord(given)
    place(key, record, problem)
  }

  for (const row of rows) {
    const mapped = mapRow(map, row)
    if (mapped?.problem === undefined) {
      if (mapped !== undefined) add(mapped)
    } else if (mapped.key === undefined) report(undefined, mapped.problem)
    else place(mapped.key, noMachine, mapped.problem)
    if (turn.isOver()) await turn.next()
  }
  let changes = 0
  for (const [key, record] of records) {
    if (previous?.records.get(key) !== record) changes += 1
    if (turn.isOver()) await turn.next()
  }
  for (const key of previous?.records.keys() ?? []) if (!records.has(key)) changes += 1
  return { records, routes: records.size - refused.size, invalid: { count, rows: named }, changes }
}

type Problem = InvalidRow["problem"]

/** The result of `map`, whose author may have written anything. */
const mapRow = (map: BuildOptions["map"], row: unknown): MappedRow => {
  if (!isObject(row)) return { problem: { field: "", accepted: "a row by column" } }
  let mapped: unknown
  try {
    mapped = map(row)
  } catch {
    return { problem: { field: "", accepted: "a row that map takes: it threw" } }
  }
  if (mapped === undefined) return undefined
  const { key, route, problem } = (isObject(mapped) ? mapped : {}) as { readonly [name: string]: unknown }
  if (isObject(problem)) {
    const { field, accepted } = problem
    return { ...(isRouteKey(key) ? { key } : {}), problem: { field: String(field), accepted: String(accepted) } }
  }
  if (!isRouteKey(key)) return { problem: { field: "key", accepted: "p:<slug>, m:<machine> or d:<domain>" } }
  if (!isObject(route)) return { key, problem: { field: "route", accepted: "an object" } }
  return mapped as unknown as MappedRoute
}

/** Stands for a row that cannot be used: the router refuses it, so that its hostnames are 500 and not 404. */
const noMachine = { kind: "machine", version: 0, epoch: 0, machine: null } as unknown as RouteRecord

/** Whether a record says what a row says. What the store itself counted is left out. */
const isSame = (known: RouteRecord, route: MappedRoute["route"]): boolean => {
  try {
    const { version = known.version, epoch = known.epoch } = route
    return JSON.stringify(known) === JSON.stringify({ kind: "machine", ...route, version, epoch })
  } catch {
    // A bigint, or a cycle: it is decoded, and refused.
    return false
  }
}
