import { decodeRecord } from "../decode-record.ts"
import type { RouteKey } from "../record.ts"
import type { RouteChange } from "../route-feed.ts"
import { newDrafts } from "./drafts.ts"
import type { Committed, Drafts } from "./drafts.ts"
import { InvalidInput } from "./errors.ts"
import { serving } from "./operations.ts"
import type { Change } from "./operations.ts"
import { machineRoute, projectKeys, projectRoutes, tombstoneRoute } from "./routes.ts"
import type { UnversionedRecord } from "./routes.ts"

/** What a change has come to, for a store to commit whole or not at all. */
export interface ChangeResult<A> {
  readonly result: A
  /** The rows that were written. */
  readonly drafts: Drafts
  /** Every route that is another now. */
  readonly routes: readonly RouteChange[]
}

/** Runs a change on what is committed, and finds every route that it concerns. Has no effect of its own. */
export const runChange = <A>(
  committed: Committed,
  setting: Omit<Change, "state">,
  run: (change: Change) => A,
): ChangeResult<A> => {
  const drafts = newDrafts(committed)
  const result = run({ ...setting, state: drafts })
  const ids = [...drafts.projects.written.keys()]
  const routes = [...wantedRoutes(drafts, ids, setting.now)].flatMap(([key, route]) =>
    changeOf(committed, setting.nextVersion, key, route),
  )
  return { result, drafts, routes }
}

/**
 * What time alone has changed: the routes of machines whose projects have expired. A record that becomes too large by it leads
 * nowhere, since there is no caller to refuse it to, and every other one is as it should be.
 */
export const routesOfExpired = (
  committed: Committed,
  { now, nextVersion }: Pick<Change, "now" | "nextVersion">,
  ids: readonly string[],
): readonly RouteChange[] =>
  [...wantedRoutes(newDrafts(committed), ids, now)].flatMap(([key, route]) => {
    try {
      return changeOf(committed, nextVersion, key, route)
    } catch (cause) {
      if (!(cause instanceof InvalidInput)) throw cause
      return changeOf(committed, nextVersion, key, undefined)
    }
  })

/** All routes that these projects, and what a change has written, have a part in. */
const wantedRoutes = (
  tables: Drafts,
  ids: readonly string[],
  at: number,
): ReadonlyMap<RouteKey, UnversionedRecord | undefined> => {
  const { projects, machines, tombstones, ruleUsers } = tables
  const wanted = new Map<RouteKey, UnversionedRecord | undefined>()
  const touchedProjects = new Set(ids)
  const touchedMachines = new Set(machines.written.keys())
  for (const id of touchedProjects) {
    // A project's settings are also its machines'.
    for (const machine of projects.versions(id).flatMap(serving)) touchedMachines.add(machine)
  }
  for (const id of touchedMachines) {
    // A machine's data and settings are copied into the records of all projects that lead to it.
    for (const { project } of machines.versions(id)) if (project !== undefined) touchedProjects.add(project)
    for (const user of ruleUsers.versions(id).flat()) touchedProjects.add(user)
  }
  for (const [key, tombstone] of tombstones.written) {
    wanted.set(key as RouteKey, tombstone && tombstoneRoute(tombstone))
  }
  for (const id of touchedMachines) {
    const row = machines.get(id)
    wanted.set(`m:${id}`, row && machineRoute(row, tables, at))
  }
  for (const id of touchedProjects) {
    const before = projects.committed(id)
    for (const key of before === undefined ? [] : projectKeys(before)) if (!wanted.has(key)) wanted.set(key, undefined)
  }
  for (const id of touchedProjects) {
    const after = projects.get(id)
    for (const [key, route] of after === undefined ? [] : projectRoutes(after, tables, at)) wanted.set(key, route)
  }
  return wanted
}

const changeOf = (
  committed: Committed,
  nextVersion: () => number,
  key: RouteKey,
  route: UnversionedRecord | undefined,
): readonly RouteChange[] => {
  const before = committed.route(key)
  if (route === undefined) return before === undefined ? [] : [{ key, version: nextVersion() }]
  if (before !== undefined && isSame(before, route)) return []
  const version = nextVersion()
  const { record, problem } = decodeRecord({ version, ...route })
  // Each part was checked before; what is left is a record that is too large as a whole.
  if (problem !== undefined) throw new InvalidInput({ field: problem.field, accepted: problem.accepted })
  return [{ key, version, record }]
}

/** Equal but for the version. Both were made by the same code, in the same order of fields. */
const isSame = (record: object, route: object): boolean =>
  JSON.stringify({ ...record, version: 0 }) === JSON.stringify({ version: 0, ...route })
