import type { DeclaredIngress } from "../resource/ingress.ts"
import type { ExposedRecord, IngressStorage, UnreadableDocument } from "../storage/ingress-storage.ts"
import { hostnameOf } from "./exposed.ts"

/** What is stored of exposed names, as it was when `refresh` was called last. */
export interface RecordTable {
  readonly revision: number
  /** By full name. */
  readonly records: ReadonlyMap<string, ExposedRecord>
  /** The ingresses that were made here, by id, with the hostname of each. */
  readonly ingresses: ReadonlyMap<string, { readonly hostname: string; readonly ingress: DeclaredIngress }>
  readonly unreadable: readonly UnreadableDocument[]
  refresh(): Promise<void>
}

export const recordTable = (storage: IngressStorage): RecordTable => {
  let revision = 0
  let unreadable: readonly UnreadableDocument[] = []
  const records = new Map<string, ExposedRecord>()
  const ingresses = new Map<string, { readonly hostname: string; readonly ingress: DeclaredIngress }>()
  let reading: Promise<void> = Promise.resolve()

  const read = async (): Promise<void> => {
    const changes = await storage.read(revision)
    const found = await Promise.all(
      changes.documents.map(async (document) => ({
        document,
        hostname: document.kind === "ingress" ? await hostnameOf(document) : undefined,
      })),
    )
    if (changes.whole) {
      records.clear()
      ingresses.clear()
    }
    for (const { kind, id } of changes.removed) {
      if (kind === "record") records.delete(id)
      if (kind === "ingress") ingresses.delete(id)
    }
    for (const { document, hostname } of found) {
      if (document.kind === "record") records.set(document.id, document)
      if (document.kind !== "ingress") continue
      if (hostname === undefined) ingresses.delete(document.id)
      else ingresses.set(document.id, { hostname, ingress: document })
    }
    unreadable = changes.unreadable
    revision = changes.revision
  }

  return {
    get revision() {
      return revision
    },
    records,
    ingresses,
    get unreadable() {
      return unreadable
    },
    // One after the other: changes are relative to the ones before.
    refresh: () => {
      const done = reading.then(read)
      reading = done.catch(() => undefined)
      return done
    },
  }
}
