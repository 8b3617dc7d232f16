import type { DeclaredIngress } from "../resource/ingress.ts"

/** What is stored, by kind. All of it is JSON. */
export interface Documents {
  readonly ingress: DeclaredIngress
  readonly grant: Grant
  readonly record: ExposedRecord
}

/** The kinds of documents: `ingress`, `grant`, `record`. */
export type DocumentKind = keyof Documents

/**
 * One document. `id` is unique among its kind: 1 to 240 lower-case letters, digits, `.`, `-` and `_`, and begins with a letter or
 * digit.
 */
export type StoredDocument = {
  readonly [Kind in DocumentKind]: { readonly kind: Kind } & Documents[Kind]
}[DocumentKind]

/** The permission of a target's owner that ingresses of another owner lead there. */
export interface Grant {
  readonly id: string
  /** The owner of the machine or project. */
  readonly owner: string
  /** Whose ingresses may lead there. */
  readonly to: string
  readonly target: { readonly machine: string } | { readonly project: string }
  readonly createdAt: number
}

/** A name that was exposed with a DNS record. */
export interface ExposedRecord {
  /** The full name in lower case: `llm.internal.example.com`. */
  readonly id: string
  readonly owner?: string
  readonly type: "A" | "AAAA" | "CNAME"
  readonly content: string
  /** The id of the ingress that belongs to it. Absent: DNS only. */
  readonly ingress?: string
  readonly createdAt: number
  readonly updatedAt: number
}

/** A document that is there and cannot be read: reported, and the others count. */
export interface UnreadableDocument {
  readonly kind: DocumentKind
  /** Its id, or what stands for it, such as a file's name. */
  readonly id: string
  /** For operators. Holds nothing of its content. */
  readonly reason: string
}

/** What changed after a revision. */
export interface StorageChanges {
  /** The revision that this leads to. */
  readonly revision: number
  /** True: `documents` is all that there is, and whatever else the reader has is gone. */
  readonly whole: boolean
  readonly documents: readonly StoredDocument[]
  /** What is gone; also what cannot be read any more. May name what the reader has never had. */
  readonly removed: readonly { readonly kind: DocumentKind; readonly id: string }[]
  /** All that cannot be read now. */
  readonly unreadable: readonly UnreadableDocument[]
}

/** What one commit writes, all of it or nothing. */
export interface StorageCommit {
  /** The revision that the change was decided on. */
  readonly ifRevision: number
  readonly put: readonly StoredDocument[]
  readonly remove: readonly { readonly kind: DocumentKind; readonly id: string }[]
}

/**
 * Where ingresses are kept. Implemented by storage authors: `read` and `commit` are all that it takes.
 *
 * Revisions are integers from 0 up. Each commit raises it, and there is one order of commits among all processes.
 */
export interface IngressStorage {
  /** What changed after a revision; after 0: everything. A storage that cannot tell gives everything, with `whole`. */
  read(since: number): Promise<StorageChanges>
  /** Writes, and resolves to the new revision once it is durable. Rejects with {@link RevisionConflict} if `ifRevision` is not the current one. */
  commit(commit: StorageCommit): Promise<number>
  /**
   * A note that a change is being applied to fronts, which outlives the process. With it the next start knows that a process was
   * killed between applying and committing; without, every start compares. `undefined` erases it.
   */
  mark?(note: string | undefined): Promise<void>
  marked?(): Promise<string | undefined>
  dispose?(): void | PromiseLike<void>
}

/** Another process has committed meanwhile. Nothing was written; decide again on what is there now. */
export class RevisionConflict extends Error {
  readonly _tag = "RevisionConflict"
  override readonly name = "RevisionConflict"
  readonly revision: number
  constructor(fields: { readonly revision: number }) {
    super(`the revision is ${fields.revision}`)
    this.revision = fields.revision
  }
}
