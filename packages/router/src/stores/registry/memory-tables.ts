import type { RouteKey } from "../record.ts"
import type { ChangeLog } from "./change-log.ts"
import type { Committed } from "./drafts.ts"
import type { Change } from "./operations.ts"
import { routesOfExpired, runChange } from "./run-change.ts"
import { TABLE_NAMES } from "./state.ts"
import type { TableName, Tables } from "./state.ts"

/** The tables of a registry in this process, and the routes that follow from them. */
export interface MemoryTables {
  readonly committed: Committed
  readonly rows: <Name extends TableName>(table: Name) => ReadonlyMap<string, Tables[Name]>
  /** Runs a change whole or not at all: what it throws leaves no trace. Every route that it concerns changes with it. */
  readonly transact: <A>(run: (change: Change) => A) => A
  /**
   * Publishes what time alone has changed: the routes of machines whose project has expired. Before each reading. Costs a
   * comparison where nothing has. Never throws.
   */
  readonly expire: () => void
}

/** `now`: the time in ms since 1970. */
export const memoryTables = (
  log: ChangeLog,
  now: () => number,
  setting: Pick<Change, "grammar" | "quarantineMs" | "newToken">,
): MemoryTables => {
  const maps = new Map<TableName, Map<string, never>>(TABLE_NAMES.map((table) => [table, new Map<string, never>()]))
  // Each name has the rows of its own table.
  const rows = <Name extends TableName>(table: Name) => maps.get(table)! as unknown as Map<string, Tables[Name]>
  const committed: Committed = {
    row: (table, id) => rows(table).get(id),
    route: (key: RouteKey) => log.get(key),
  }
  // Versions of rows and of routes are counted together, so that none goes backwards.
  let version = 0
  const nextVersion = (): number => (version += 1)

  /** When each project expires whose settings its machines have now. */
  const expiring = new Map<string, number>()
  /** No project expires before, in ms since 1970. */
  let nextExpiry = Infinity

  /** Remembers when the settings of a project, as a change left it, cease to be those of its machines. */
  const watchExpiry = (id: string, at: number): void => {
    const expiresAt = rows("projects").get(id)?.expiresAt
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
    log.publish(routesOfExpired(committed, { now: at, nextVersion }, over))
  }

  return {
    committed,
    rows,
    expire,
    transact: (run) => {
      expire()
      const at = now()
      const { result, drafts, routes } = runChange(committed, { ...setting, now: at, nextVersion }, run)
      for (const table of TABLE_NAMES) {
        const target = rows(table) as Map<string, unknown>
        for (const [id, row] of drafts[table].written) {
          if (row === undefined) target.delete(id)
          else target.set(id, row)
        }
      }
      for (const id of drafts.projects.written.keys()) watchExpiry(id, at)
      log.publish(routes)
      return result
    },
  }
}
