import type { RouteKey, RouteRecord } from "../record.ts"
import { proofId } from "../registry/domains.ts"
import type { Committed } from "../registry/drafts.ts"
import { projectKeys } from "../registry/routes.ts"
import type { MachineState, ProjectState, TableName, Tables } from "../registry/state.ts"
import type { SqlDatabase } from "./database.ts"
import { decodeRoute, decodeRow } from "./rows.ts"
import type { RowRead, Statements } from "./statements.ts"

/** Thrown through a change that reads what is not loaded yet. The change runs again once it is. */
class NotLoaded extends Error {
  override readonly name = "NotLoaded"
  readonly wanted: Wanted
  constructor(wanted: Wanted) {
    super("not loaded yet")
    this.wanted = wanted
  }
}

/** A row or a route. */
export interface Wanted {
  readonly kind: TableName | "routes"
  readonly id: string
}

interface LoadedRow {
  readonly kind: TableName
  readonly id: string
  readonly stamp: number
  /** Absent: there is no such row. */
  readonly row: Tables[TableName] | undefined
}

/** Rows of a database as one change reads them: each once, and what belongs to it with it. */
export interface LoadedRows {
  /** Runs something that reads rows, again and again until all of them are loaded. */
  readonly run: <A>(work: (committed: Committed) => A) => Promise<A>
  /** What has been read, for the commit to compare. */
  readonly read: () => readonly RowRead[]
  /** All that was loaded: what an attempt needs that comes after this one. */
  readonly loaded: () => readonly Wanted[]
  /** Whether all of it was loaded at once, so that it is of one moment. */
  readonly isConsistent: () => boolean
  /** When the next project expires, as of the last load. */
  readonly nextExpiry: () => number
}

/**
 * `first`: what is loaded together with the first row that is read. `follow`: loads what a change of a project or machine will read
 * next, to save round trips.
 */
export const loadedRows = (
  database: Pick<SqlDatabase, "read">,
  { load: loading }: Statements,
  first: readonly Wanted[],
  follow: boolean,
): LoadedRows => {
  const rows = new Map<string, LoadedRow>()
  const routes = new Map<string, RouteRecord | undefined>()
  const wasRead = new Set<LoadedRow>()
  let nextExpiry = Infinity
  let recent = [...first]
  let loads = 0

  const isLoaded = ({ kind, id }: Wanted): boolean => (kind === "routes" ? routes.has(id) : rows.has(`${kind} ${id}`))

  const load = async (all: readonly Wanted[]): Promise<void> => {
    const wanted = all.filter((each) => !isLoaded(each))
    const asked = wanted.filter(({ id }) => isStorable(id))
    for (const { kind, id } of wanted) {
      if (kind === "routes") routes.set(id, undefined)
      else rows.set(`${kind} ${id}`, { kind, id, stamp: 0, row: undefined })
    }
    recent = []
    loads += 1
    const found = await database.read(
      loading(
        asked.filter(({ kind }) => kind !== "routes"),
        asked.filter(({ kind }) => kind === "routes").map(({ id }) => id),
      ),
    )
    for (const { kind, id, stamp, version, data } of found) {
      if (kind === "expiry") nextExpiry = version === null ? Infinity : Number(version)
      else if (kind === "routes") routes.set(String(id), decodeRoute(Number(version), String(data)))
      else {
        const table = kind as TableName
        const row = decodeRow(table, Number(version), String(data))
        rows.set(`${table} ${String(id)}`, { kind: table, id: String(id), stamp: Number(stamp), row })
        recent.push(...belonging(table, String(id), row, follow))
      }
    }
  }

  const committed: Committed = {
    row: <Name extends TableName>(kind: Name, id: string) => {
      const loaded = rows.get(`${kind} ${id}`)
      if (loaded === undefined) throw new NotLoaded({ kind, id })
      wasRead.add(loaded)
      return loaded.row as Tables[Name] | undefined
    },
    route: (key: RouteKey) => {
      if (!routes.has(key)) throw new NotLoaded({ kind: "routes", id: key })
      return routes.get(key)
    },
  }

  return {
    nextExpiry: () => nextExpiry,
    loaded: () => [...rows.values(), ...[...routes.keys()].map((id) => ({ kind: "routes", id }) as const)],
    isConsistent: () => loads <= 1,
    // No text that the database cannot hold: nothing is stored under it.
    read: () => [...wasRead].filter(({ id }) => isStorable(id)).map(({ kind, id, stamp }) => ({ kind, id, stamp })),
    run: async (work) => {
      for (;;) {
        try {
          return work(committed)
        } catch (cause) {
          if (!(cause instanceof NotLoaded)) throw cause
          await load([cause.wanted, ...recent])
        }
      }
    },
  }
}

/** Rows and routes that are likely to be read after one. */
const belonging = (kind: TableName, id: string, row: Tables[TableName], follow: boolean): readonly Wanted[] => {
  if (kind === "names" || kind === "externalIds") return [{ kind: "projects", id: row as string }]
  if (kind === "projects") {
    const project = row as ProjectState
    const proofs = Object.keys(project.domains).map((hostname) => proofId(project.owner, hostname))
    const own = proofs.map((proof) => ({ kind: "proofs", id: proof }) as const)
    if (!follow) return own
    const inRules = (project.rules ?? []).flatMap(({ targets }) => targets.flatMap(({ machine }) => machine ?? []))
    const machines = [project.machine ?? [], project.replicas ?? [], inRules].flat()
    return [
      ...own,
      ...[project.name, ...Object.keys(project.formerNames)].map((name) => ({ kind: "names", id: name }) as const),
      ...(project.externalId === undefined ? [] : [{ kind: "externalIds", id: project.externalId } as const]),
      ...Object.keys(project.domains).map((hostname) => ({ kind: "domains", id: hostname }) as const),
      ...projectKeys(project).map((key) => ({ kind: "routes", id: key }) as const),
      ...machines.flatMap(ofMachine),
    ]
  }
  if (kind !== "machines" || !follow) return []
  const { project } = row as MachineState
  return [...ofMachine(id), ...(project === undefined ? [] : [{ kind: "projects", id: project } as const])]
}

const ofMachine = (id: string): readonly Wanted[] => [
  { kind: "machines", id },
  { kind: "ruleUsers", id },
  { kind: "routes", id: `m:${id}` },
]

/** Whether a database can be asked for a text: Postgres has neither NUL nor half of a surrogate pair. */
export const isStorable = (text: string): boolean => !/[\0\p{Cs}]/u.test(text)
