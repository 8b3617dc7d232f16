import type { Change } from "./operations.ts"
import type { ProjectState, TableName } from "./state.ts"

/** A row in which something may be past its time. */
export interface Purgeable {
  readonly kind: TableName
  readonly id: string
}

/** When something in a row is of no use any more, in ms since 1970; `Infinity` for a row that stays as it is. */
export const purgeTime = (kind: TableName, row: unknown): number => {
  if (kind === "projects") return Math.min(...Object.values((row as ProjectState).formerNames))
  return kind === "tombstones" || kind === "requests" ? (row as { readonly until: number }).until : Infinity
}

/** Takes out what is past its time: tombstones, former names, keys of requests. */
export const purgeRows = ({ state, now }: Change, rows: readonly Purgeable[]): void => {
  for (const { kind, id } of rows) {
    if (kind === "projects") dropFormerNames({ state, now }, id)
    else if ((kind === "tombstones" || kind === "requests") && (state[kind].get(id)?.until ?? Infinity) <= now)
      state[kind].set(id, undefined)
  }
}

const dropFormerNames = ({ state, now }: Pick<Change, "state" | "now">, id: string): void => {
  const project = state.projects.get(id)
  if (project === undefined) return
  const entries = Object.entries(project.formerNames)
  const kept = entries.filter(([, until]) => until > now)
  if (kept.length === entries.length) return
  for (const [name, until] of entries) {
    if (until <= now && state.names.get(name) === id) state.names.set(name, undefined)
  }
  // Not a change of the project: its version stays.
  state.projects.set(id, { ...project, formerNames: Object.fromEntries(kept) })
}
