import type { MemoryTables } from "./memory-tables.ts"
import { newDrafts } from "./drafts.ts"
import { purgeTime } from "./purge.ts"
import { TABLE_NAMES } from "./state.ts"
import type { TableName } from "./state.ts"
import type { RegistryStorage } from "./storage.ts"

/** Rows in this process: every call is over when it returns. */
export const memoryStorage = ({ committed, rows, transact }: MemoryTables, now: () => number): RegistryStorage => ({
  change: transact,
  read: (run) => run(newDrafts(committed)),
  beginningWith: (text, owner) => {
    const matches: string[] = []
    for (const project of rows("projects").values()) {
      const begins = project.id.startsWith(text) || project.name.startsWith(text)
      if (begins && (owner === undefined || project.owner === owner)) matches.push(project.id)
      if (matches.length === 10) break
    }
    return matches
  },
  listAfter: (id, owner, limit) =>
    [...rows("projects").values()]
      .filter((project) => project.id > id && (owner === undefined || project.owner === owner))
      .map((project) => project.id)
      .toSorted()
      .slice(0, limit),
  purgeable: () => {
    const at = now()
    const of = (kind: TableName) =>
      [...rows(kind)].filter(([, row]) => purgeTime(kind, row) <= at).map(([id]) => ({ kind, id }))
    return TABLE_NAMES.flatMap(of).slice(0, 100)
  },
})
