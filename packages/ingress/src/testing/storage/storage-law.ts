import type { IngressStorage, StoredDocument } from "../../storage/ingress-storage.ts"

/** A place where a storage is, for `ingressStorageSuite`. */
export interface StorageFixture {
  /** A storage as one more process would have it, on the same documents. */
  readonly open: () => IngressStorage | Promise<IngressStorage>
  /** Forgets everything, before each law. Storages that were opened before are not used afterwards. */
  readonly empty: () => void | Promise<void>
}

/** One claim about every storage, and how it is tested. */
export interface StorageLaw {
  /** One sentence in the present tense: the name of its test. */
  readonly claim: string
  /** Throws, or rejects, when the storage breaks the law. */
  readonly check: (context: StorageLawContext) => Promise<void>
}

export const law = (claim: string, check: StorageLaw["check"]): StorageLaw => ({ claim, check })

/** What a law works with. */
export interface StorageLawContext {
  /** A storage, empty. */
  readonly storage: IngressStorage
  /** The same one, as another process has it. */
  readonly open: () => Promise<IngressStorage>
  /** How many writers race. */
  readonly writers: number
}

/** Commits on whatever the revision is. */
export const commit = async (
  storage: IngressStorage,
  put: readonly StoredDocument[],
  remove: readonly { readonly kind: StoredDocument["kind"]; readonly id: string }[] = [],
): Promise<number> => {
  const { revision } = await storage.read(0)
  return storage.commit({ ifRevision: revision, put, remove })
}

/** A reader that keeps what it has read, as every user of a storage does. */
export const follower = (storage: IngressStorage) => {
  const documents = new Map<string, StoredDocument>()
  let revision = 0
  return {
    revision: () => revision,
    /** All that there is now, by kind and id. */
    next: async (): Promise<readonly StoredDocument[]> => {
      const changes = await storage.read(revision)
      if (changes.whole) documents.clear()
      for (const { kind, id } of changes.removed) documents.delete(`${kind}/${id}`)
      for (const document of changes.documents) documents.set(`${document.kind}/${document.id}`, document)
      ;({ revision } = changes)
      return [...documents].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, document]) => document)
    },
  }
}

/** All that there is, by kind and id. */
export const stored = async (storage: IngressStorage): Promise<readonly StoredDocument[]> => follower(storage).next()
