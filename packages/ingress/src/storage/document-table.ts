import { isDocumentId, keyOf } from "./checked-commit.ts"
import type { DocumentName } from "./checked-commit.ts"
import type { Decoded } from "./decode-document.ts"
import type { StorageChanges, StoredDocument, UnreadableDocument } from "./ingress-storage.ts"
import { printable } from "./storage-errors.ts"

/** After so many revisions a removal is forgotten: whoever has not read since then reads everything. */
export const KEPT_REVISIONS = 1_000

type Entry = DocumentName & Decoded & { readonly revision: number }

/** Documents in memory with the revision that changed them last, and removals. */
export interface DocumentTable {
  readonly revision: () => number
  readonly get: (name: DocumentName) => Decoded | undefined
  /** Everything before is forgotten; what is older than `revision` is read whole. */
  readonly begin: (revision: number) => void
  /** Raises the revision, and applies what it changed: `undefined` is a removal. */
  readonly apply: (
    revision: number,
    changes: Iterable<DocumentName & { readonly decoded: Decoded | undefined }>,
  ) => void
  readonly since: (revision: number) => StorageChanges
}

export const documentTable = (): DocumentTable => {
  const entries = new Map<string, Entry>()
  const removed = new Map<string, DocumentName & { readonly revision: number }>()
  let revision = 0
  /** What changed after this revision is known. */
  let base = 0
  return {
    revision: () => revision,
    get: (name) => entries.get(keyOf(name)),
    begin: (at) => {
      entries.clear()
      removed.clear()
      revision = at
      base = at
    },
    apply: (at, changes) => {
      revision = at
      for (const { kind, id, decoded } of changes) {
        const key = keyOf({ kind, id })
        if (decoded === undefined) {
          if (entries.delete(key)) removed.set(key, { kind, id, revision: at })
        } else {
          entries.set(key, { kind, id, ...decoded, revision: at })
          removed.delete(key)
        }
      }
      base = Math.max(base, at - KEPT_REVISIONS)
      // The oldest first: a map's order is that of its insertions.
      for (const [key, removal] of removed) {
        if (removal.revision > base) break
        removed.delete(key)
      }
    },
    since: (since) => {
      const whole = since === 0 || since < base || since > revision
      const documents: StoredDocument[] = []
      const unreadable: UnreadableDocument[] = []
      const gone: DocumentName[] = []
      for (const { kind, id, document, reason, revision } of entries.values()) {
        const isNew = whole || revision > since
        if (document === undefined) {
          unreadable.push({ kind, id: printable(id), reason })
          // What cannot be read any more is no longer there for readers.
          if (isNew && !whole && isDocumentId(id)) gone.push({ kind, id })
        } else if (isNew) documents.push(document)
      }
      for (const { kind, id, revision } of removed.values()) if (!whole && revision > since) gone.push({ kind, id })
      return { revision, whole, documents, removed: gone, unreadable }
    },
  }
}
