import { decodeDocument } from "./decode-document.ts"
import { encodeDocument } from "./encode-document.ts"
import type { DocumentKind, StorageCommit, StoredDocument } from "./ingress-storage.ts"
import { DocumentRefused } from "./storage-errors.ts"

/** What one document may be long, in bytes of its JSON. */
export const MAX_DOCUMENT_BYTES = 1_048_576

/** The name of one document. */
export interface DocumentName {
  readonly kind: DocumentKind
  readonly id: string
}

/** A commit whose documents can be stored, and are read again as what they are. */
export interface CheckedCommit {
  readonly put: readonly (DocumentName & { readonly text: string; readonly document: StoredDocument })[]
  readonly remove: readonly DocumentName[]
}

/** At most 240 characters, so that it is a file's name with something before and after it. Nothing in it leads out of a folder. */
export const isDocumentId = (id: string): boolean => /^[a-z\d][a-z\d._-]{0,239}$/.test(id)

export const KINDS: readonly DocumentKind[] = ["ingress", "grant", "record"]

/** One text for a document among all kinds. */
export const keyOf = ({ kind, id }: DocumentName): string => `${kind}/${id}`

/**
 * Checks a commit before a storage writes it. `indent`: spaces of the JSON, 0 for one line.
 *
 * @throws {DocumentRefused} (rejects) for an id that cannot be one, two changes of one document, and a document that is too large or
 * would not be read as it is
 */
export const checkedCommit = async ({ put, remove }: StorageCommit, indent: number): Promise<CheckedCommit> => {
  const names = new Set<string>()
  for (const { kind, id } of [...put, ...remove]) {
    const refused = (reason: string) => new DocumentRefused({ kind, id, reason })
    if (!KINDS.includes(kind)) throw new TypeError("commit: there is no such kind of document")
    if (!isDocumentId(id)) {
      throw refused("its id must be 1 to 240 lower-case letters, digits, '.', '-' and '_', the first a letter or digit")
    }
    const key = keyOf({ kind, id })
    if (names.has(key)) throw refused("the commit has two changes of it")
    names.add(key)
  }
  return {
    put: await Promise.all(put.map((document) => checkedDocument(document, indent))),
    remove: remove.map(({ kind, id }) => ({ kind, id })),
  }
}

const checkedDocument = async (given: StoredDocument, indent: number): Promise<CheckedCommit["put"][number]> => {
  const { kind, id } = given
  const refused = (reason: string) => new DocumentRefused({ kind, id, reason })
  const text = textOf(given, indent)
  if (text === undefined) throw refused("a time is not a date")
  if (new TextEncoder().encode(text).length > MAX_DOCUMENT_BYTES) throw refused("it is larger than 1 MiB")
  const { document, reason } = await decodeDocument(kind, id, text)
  if (document === undefined) throw refused(`it could not be read again: ${reason}`)
  if (sorted(document) !== sorted(given)) throw refused("it would be read as something else")
  return { kind, id, text, document }
}

/** Equal for documents with equal fields, in any order. */
const sorted = (document: StoredDocument): string =>
  JSON.stringify(document, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )

const textOf = (document: StoredDocument, indent: number): string | undefined => {
  try {
    return JSON.stringify(encodeDocument(document), undefined, indent)
  } catch (cause) {
    if (cause instanceof RangeError) return undefined
    throw cause
  }
}
