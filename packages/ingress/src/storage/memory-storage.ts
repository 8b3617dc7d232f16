import { checkedCommit } from "./checked-commit.ts"
import { documentTable } from "./document-table.ts"
import { RevisionConflict } from "./ingress-storage.ts"
import type { IngressStorage } from "./ingress-storage.ts"

/** A storage with a note. */
export type NotedStorage = IngressStorage & Required<Pick<IngressStorage, "mark" | "marked">>

/** A storage in memory, for tests and for platforms that declare everything again at each start. One process, and gone with it. */
export const memoryStorage = (): NotedStorage => {
  const table = documentTable()
  let note: string | undefined
  return {
    read: async (since) => table.since(since),
    commit: async (commit) => {
      const { put, remove } = await checkedCommit(commit, 0)
      // No pause between this and the change.
      if (table.revision() !== commit.ifRevision) throw new RevisionConflict({ revision: table.revision() })
      table.apply(table.revision() + 1, [
        ...put.map(({ kind, id, document }) => ({ kind, id, decoded: { document } })),
        ...remove.map(({ kind, id }) => ({ kind, id, decoded: undefined })),
      ])
      return table.revision()
    },
    mark: async (next) => {
      note = next
    },
    marked: async () => note,
  }
}
