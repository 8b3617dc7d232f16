import { turns } from "@project-ingress/router/internal"
import { checkedCommit, isDocumentId, KINDS } from "../checked-commit.ts"
import { checkNote } from "../check-note.ts"
import { decodeDocument } from "../decode-document.ts"
import { KEPT_REVISIONS } from "../document-table.ts"
import { RevisionConflict } from "../ingress-storage.ts"
import type { DocumentKind, StoredDocument, UnreadableDocument } from "../ingress-storage.ts"
import type { NotedStorage } from "../memory-storage.ts"
import { oneByOne } from "../one-by-one.ts"
import { DocumentRefused, printable } from "../storage-errors.ts"
import { statements } from "./statements.ts"
import type { SqlEngine, Statement } from "./statements.ts"

/** A row by column. */
export type Row = Readonly<Record<string, unknown>>

/** What a storage needs of a database. */
export interface Database {
  readonly engine: SqlEngine
  readonly read: (statement: Statement) => Promise<readonly Row[]>
  /**
   * Runs statements in one transaction, whole or not at all. Returns the rows of the first; if it has none, the others need not run.
   * `undefined`: the database gave up for the sake of another transaction, and nothing was written.
   */
  readonly commit: (statements: readonly Statement[]) => Promise<readonly Row[] | undefined>
  /** Runs statements of the schema, one migration at a time. */
  readonly migrate: (texts: readonly string[]) => Promise<void>
}

/** A storage in a database. */
export interface SqlStorage extends NotedStorage {
  /** Creates the tables, or brings them to this version's: once for each deployment. May be called by several processes at once. */
  migrate(): Promise<void>
}

/** A storage over any database. */
export const sqlStorage = (database: Database): SqlStorage => {
  const sql = statements(database.engine)
  const inTurn = oneByOne()
  /** What could not be read of what was read so far. `undefined`: nothing was. */
  let unreadable: Map<string, UnreadableDocument> | undefined

  /** Rows after a revision; after -1 all. */
  const readAfter = async (since: number) => {
    const rows = await database.read(sql.changesAfter(since))
    const [head] = rows
    const changes: DecodedRow[] = []
    const turn = turns()
    for (const row of rows) {
      if (turn.isOver()) await turn.next()
      if (row["kind"] !== null) changes.push(await decodeRow(row))
    }
    return { revision: Number(head?.["current"] ?? 0), isWhole: Number(head?.["after"] ?? -1) < 0, changes }
  }

  return {
    migrate: () => database.migrate(sql.migration),
    read: (since) =>
      inTurn(async () => {
        // The first read is of everything: what cannot be read is to be reported, also what is older.
        const { revision, isWhole, changes } = await readAfter(unreadable === undefined ? -1 : since)
        if (isWhole || unreadable === undefined) unreadable = new Map()
        const documents: StoredDocument[] = []
        const removed: { kind: DocumentKind; id: string }[] = []
        for (const { kind, id, document, reason } of changes) {
          unreadable.delete(`${kind}/${id}`)
          if (document !== undefined) documents.push(document)
          else if (!isWhole) removed.push({ kind, id })
          if (reason !== undefined) unreadable.set(`${kind}/${id}`, { kind, id, reason })
        }
        return { revision, whole: isWhole, documents, removed, unreadable: [...unreadable.values()] }
      }),
    commit: async (commit) => {
      const checked = await checkedCommit(commit, 0)
      const names = [...checked.put, ...checked.remove].map(({ kind, id }) => ({ kind, id }))
      const found = await Promise.all((await database.read(sql.named(names))).map(decodeRow))
      for (const { kind, id, reason } of found) {
        if (reason === undefined) continue
        throw new DocumentRefused({ kind, id, reason: `is stored and cannot be read, so it is left: ${reason}` })
      }
      const rows = await database.commit(sql.commit(commit.ifRevision, checked, KEPT_REVISIONS))
      if (rows?.[0] !== undefined) return Number(rows[0]["revision"])
      const [head] = await database.read(sql.head)
      throw new RevisionConflict({ revision: Number(head?.["revision"]) })
    },
    mark: async (note) => {
      if (note !== undefined) checkNote(note)
      await database.commit([sql.mark(note)])
    },
    marked: async () => {
      const [head] = await database.read(sql.head)
      const note = head?.["applying"]
      return typeof note === "string" ? note : undefined
    },
  }
}

interface DecodedRow {
  readonly kind: DocumentKind
  readonly id: string
  readonly document?: StoredDocument
  readonly reason?: string
}

/** A row of any content. Without a document and a reason: it was removed. */
const decodeRow = async ({ kind, id, data }: Row): Promise<DecodedRow> => {
  const name = { kind: kind as DocumentKind, id: String(id) }
  if (data === null) return name
  const problem = (reason: string): DecodedRow => ({ ...name, id: printable(name.id), reason })
  if (!KINDS.includes(name.kind)) {
    // With a sign that no id has: it must not be mistaken for an ingress.
    return { kind: "ingress", id: printable(`${String(kind)}/${name.id}`), reason: "is of no kind that is known" }
  }
  if (!isDocumentId(name.id)) return problem("has no valid id")
  const { document, reason } = await decodeDocument(name.kind, name.id, typeof data === "string" ? data : "")
  return document === undefined ? problem(reason) : { ...name, document }
}
