import type { DocumentKind } from "./ingress-storage.ts"

/** Ways in which a storage refuses or fails, beside `RevisionConflict` and the errors of its database or file system. */
export type StorageError = DocumentRefused | StorageLocked | StorageUnusable

/** A commit has a document that cannot be stored, or would overwrite one that cannot be read. Nothing was written. */
export class DocumentRefused extends Error {
  readonly _tag = "DocumentRefused"
  override readonly name = "DocumentRefused"
  readonly kind: DocumentKind
  readonly id: string
  /** For operators. Holds nothing of the document's content. */
  readonly reason: string
  constructor(fields: { readonly kind: DocumentKind; readonly id: string; readonly reason: string }) {
    const id = printable(fields.id)
    super(`${fields.kind} ${id}: ${fields.reason}`)
    this.kind = fields.kind
    this.id = id
    this.reason = fields.reason
  }
}

/** Another process has been writing for longer than a call waits. Nothing was written; it may be called again. */
export class StorageLocked extends Error {
  readonly _tag = "StorageLocked"
  override readonly name = "StorageLocked"
  /** In ms. */
  readonly waitedMs: number
  constructor(fields: { readonly waitedMs: number }) {
    super(`another process has been writing to the storage for more than ${fields.waitedMs} ms`)
    this.waitedMs = fields.waitedMs
  }
}

/** A file or folder that the storage itself needs is not what it must be. Somebody has to look at it. */
export class StorageUnusable extends Error {
  readonly _tag = "StorageUnusable"
  override readonly name = "StorageUnusable"
  readonly path: string
  readonly reason: string
  constructor(fields: { readonly path: string; readonly reason: string }) {
    super(`${fields.path} ${fields.reason}`)
    this.path = fields.path
    this.reason = fields.reason
  }
}

/** A text of unknown origin in at most 300 visible characters. */
export const printable = (text: string): string => text.slice(0, 300).replace(/[^\x21-\x7e]/g, "?")
