import type { ChangeLog } from "./change-log.ts"
import { decodeRecord } from "../decode-record.ts"
import type { RouteKey } from "../record.ts"
import { InvalidInput } from "./errors.ts"
import { serving } from "./operations.ts"
import { machineRoute, projectKeys, projectRoutes, tombstoneRoute } from "./routes.ts"
import type { UnversionedRecord } from "./routes.ts"
import type { MachineState, ProjectState, Rows, State, Tombstone } from "./state.ts"
import type { RouteChange } from "../route-feed.ts"

/** The tables of a registry in this process, and the routes that follow from them. */
export interface MemoryTables {
  readonly log: ChangeLog
  readonly projects: ReadonlyMap<string, ProjectState>
  readonly names: ReadonlyMap<string, string>
  readonly machines: ReadonlyMap<string, MachineState>
  /** A number above all before it: versions of rows and of routes are counted together, so that none goes backwards. */
  readonly nextVersion: () => number
  /**
   * Runs a change whole or not at all: what it throws leaves no trace. Every route that it concerns changes with it. `at` is the
   * time of the change, in ms since 1970.
   */
  readonly transact: <A>(run: (state: State, at: number) => A) => A
  /**
   * Publishes what time alone has changed: the routes of machines whose project has expired. Before each reading. Costs a
   * comparison where nothing has. Never throws.
   */
  readonly expire: () => void
}

/** `now`: the time in ms since 1970. */
export const memoryTables = (log: ChangeLog, now: () => number): MemoryTables => {
  const projects = new Table<ProjectState>()
  const machines = new Table<MachineState>()
  const tombstones = new Table<Tombstone>()
  const names = new Table<string>()
  const domains = new Table<string>()
  const ruleUsers = new Table<readonly string[]>()
  const tables = { projects, machines, tombstones, names, domains, ruleUsers }
  let version = 0
  const nextVersion = (): number => (version += 1)

  /** When each project expires whose settings its machines have now. */
  const expiring = new Map<string, number>()
  /** No project expires before, in ms since 1970. */
  let nextExpiry = Infinity

  /** All routes that these projects, and what a change has written, have a part in. */
  const wantedRoutes = (ids: readonly string[], at: number): ReadonlyMap<RouteKey, UnversionedRecord | undefined> => {
    const wanted = new Map<RouteKey, UnversionedRecord | undefined>()
    const touchedProjects = new Set(ids)
    const touchedMachines = new Set(machines.changed())
    for (const id of touchedProjects) {
      // A project's settings are also its machines'.
      for (const machine of projects.versions(id).flatMap(serving)) touchedMachines.add(machine)
    }
    for (const id of touchedMachines) {
      // A machine's data and settings are copied into the records of all projects that lead to it.
      for (const { project } of machines.versions(id)) if (project !== undefined) touchedProjects.add(project)
      for (const user of ruleUsers.versions(id).flat()) touchedProjects.add(user)
    }
    for (const key of tombstones.changed()) {
      const tombstone = tombstones.get(key)
      wanted.set(key as RouteKey, tombstone && tombstoneRoute(tombstone))
    }
    for (const id of touchedMachines) {
      const row = machines.get(id)
      wanted.set(`m:${id}`, row && machineRoute(row, tables, at))
    }
    for (const id of touchedProjects) {
      const before = projects.rows.get(id)
      for (const key of before === undefined ? [] : projectKeys(before))
        if (!wanted.has(key)) wanted.set(key, undefined)
    }
    for (const id of touchedProjects) {
      const after = projects.get(id)
      for (const [key, route] of after === undefined ? [] : projectRoutes(after, tables, at)) wanted.set(key, route)
    }
    return wanted
  }

  const changeOf = (key: RouteKey, route: UnversionedRecord | undefined): readonly RouteChange[] => {
    const before = log.get(key)
    if (route === undefined) return before === undefined ? [] : [{ key, version: nextVersion() }]
    if (before !== undefined && isSame(before, route)) return []
    const version = nextVersion()
    const { record, problem } = decodeRecord({ version, ...route })
    // Each part was checked before; what is left is a record that is too large as a whole.
    if (problem !== undefined) throw new InvalidInput({ field: problem.field, accepted: problem.accepted })
    return [{ key, version, record }]
  }

  /** Remembers when the settings of a project, as a change left it, cease to be those of its machines. */
  const watchExpiry = (id: string, at: number): void => {
    const expiresAt = projects.get(id)?.expiresAt
    if (expiresAt === undefined || expiresAt <= at) return void expiring.delete(id)
    expiring.set(id, expiresAt)
    nextExpiry = Math.min(nextExpiry, expiresAt)
  }

  const expire = (): void => {
    const at = now()
    if (at < nextExpiry) return
    const over: string[] = []
    nextExpiry = Infinity
    for (const [id, expiresAt] of expiring) {
      if (expiresAt > at) nextExpiry = Math.min(nextExpiry, expiresAt)
      else over.push(id)
    }
    for (const id of over) expiring.delete(id)
    log.publish([...wantedRoutes(over, at)].flatMap(([key, route]) => changeOrMiss(key, route)))
  }

  /** There is no caller to refuse a record that became too large: it leads nowhere, and every other one is as it should be. */
  const changeOrMiss = (key: RouteKey, route: UnversionedRecord | undefined): readonly RouteChange[] => {
    try {
      return changeOf(key, route)
    } catch {
      return changeOf(key, undefined)
    }
  }

  return {
    log,
    projects: projects.rows,
    names: names.rows,
    machines: machines.rows,
    nextVersion,
    expire,
    transact: (run) => {
      expire()
      const at = now()
      try {
        const result = run(tables, at)
        const changes = [...wantedRoutes(projects.changed(), at)].flatMap(([key, route]) => changeOf(key, route))
        for (const id of projects.changed()) watchExpiry(id, at)
        for (const table of Object.values(tables)) table.commit()
        log.publish(changes)
        return result
      } finally {
        for (const table of Object.values(tables)) table.rollback()
      }
    },
  }
}

/** Equal but for the version. Both were made by the same code, in the same order of fields. */
const isSame = (record: object, route: object): boolean =>
  JSON.stringify({ ...record, version: 0 }) === JSON.stringify({ version: 0, ...route })

/** One table: rows as committed, and what the change that runs now has written. */
class Table<Row> implements Rows<Row> {
  readonly rows = new Map<string, Row>()
  readonly #drafts = new Map<string, Row | undefined>()

  get(id: string): Row | undefined {
    return this.#drafts.has(id) ? this.#drafts.get(id) : this.rows.get(id)
  }

  set(id: string, row: Row | undefined): void {
    this.#drafts.set(id, row)
  }

  /** Ids that the change wrote. */
  changed(): readonly string[] {
    return [...this.#drafts.keys()]
  }

  /** A row as committed and as the change left it, where there is one. */
  versions(id: string): readonly Row[] {
    return [this.rows.get(id), this.get(id)].filter((row) => row !== undefined)
  }

  commit(): void {
    for (const [id, row] of this.#drafts) {
      if (row === undefined) this.rows.delete(id)
      else this.rows.set(id, row)
    }
  }

  rollback(): void {
    this.#drafts.clear()
  }
}
