import { encodeIngress } from "../resource/encode-ingress.ts"
import type { StoredDocument } from "./ingress-storage.ts"

/** The fields of a document's JSON, which `decodeDocument` reads. @throws {RangeError} for a time that no date has */
export const encodeDocument = (document: StoredDocument): Readonly<Record<string, unknown>> => {
  if (document.kind === "ingress") {
    const { id, owner, version, createdAt, updatedAt } = document
    const { name, rules } = encodeIngress(document)
    return { id, name, owner, version, created_at: dateOf(createdAt), updated_at: dateOf(updatedAt), rules }
  }
  if (document.kind === "grant") {
    const { kind: _, createdAt, ...fields } = document
    return { ...fields, created_at: dateOf(createdAt) }
  }
  const { kind: _, createdAt, updatedAt, ...fields } = document
  return { ...fields, created_at: dateOf(createdAt), updated_at: dateOf(updatedAt) }
}

const dateOf = (ms: number): string => {
  if (!Number.isSafeInteger(ms)) throw new RangeError("a time is not an integer")
  return new Date(ms).toISOString()
}
