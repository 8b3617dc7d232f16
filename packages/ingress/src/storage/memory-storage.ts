import { RevisionConflict } from "./ingress-storage.ts"
import type { DocumentKind, IngressStorage, StoredDocument } from "./ingress-storage.ts"

/** How many writes are remembered one by one. A reader further behind is given everything. */
const KEPT_WRITES = 10_000

/**
 * Keeps ingresses in this process, for tests and examples. Several controllers may share one. Nothing is kept when the process ends.
 *
 * ```ts
 * const ingresses = createIngresses({ storage: memoryStorage(), grammar, store })
 * ```
 */
export const memoryStorage = (): IngressStorage => {
  const documents = new Map<string, StoredDocument>()
  let writes: { readonly revision: number; readonly kind: DocumentKind; readonly id: string }[] = []
  let revision = 0
  /** Since when each write is remembered. */
  let complete = 0
  let note: string | undefined

  return {
    async read(since) {
      const isWhole = since < Math.max(complete, 1) || since > revision
      if (isWhole) return { revision, whole: true, documents: [...documents.values()], removed: [], unreadable: [] }
      const changed = new Map<string, { readonly kind: DocumentKind; readonly id: string }>()
      for (let at = writes.length - 1; at >= 0 && writes[at]!.revision > since; at--) {
        const { kind, id } = writes[at]!
        changed.set(keyOf({ kind, id }), { kind, id })
      }
      return {
        revision,
        whole: false,
        documents: [...changed.keys()].flatMap((key) => documents.get(key) ?? []),
        removed: [...changed].flatMap(([key, each]) => (documents.has(key) ? [] : [each])),
        unreadable: [],
      }
    },

    async commit({ ifRevision, put, remove }) {
      if (ifRevision !== revision) throw new RevisionConflict({ revision })
      // Copied before anything is written: what cannot be copied writes nothing.
      const copies = put.map((document) => structuredClone(document))
      revision += 1
      for (const each of remove) documents.delete(keyOf(each))
      for (const document of copies) documents.set(keyOf(document), document)
      for (const { kind, id } of [...remove, ...copies]) writes.push({ revision, kind, id })
      if (writes.length > 2 * KEPT_WRITES) {
        complete = writes[writes.length - KEPT_WRITES - 1]!.revision
        writes = writes.slice(-KEPT_WRITES)
      }
      return revision
    },

    async mark(given) {
      note = given
    },
    async marked() {
      return note
    },
  }
}

const keyOf = ({ kind, id }: { readonly kind: DocumentKind; readonly id: string }): string => `${kind}/${id}`
