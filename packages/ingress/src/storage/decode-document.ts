import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { decodeIngress } from "../resource/decode-ingress.ts"
import { IngressInvalid } from "../resource/errors.ts"
import type { DocumentKind, StoredDocument } from "./ingress-storage.ts"
import { withoutLegacy } from "./legacy-rules.ts"

/** A document, or why it cannot be read; the reason holds nothing of its content. */
export type Decoded =
  | { readonly document: StoredDocument; readonly reason?: undefined }
  | { readonly document?: undefined; readonly reason: string }

const label = Schema.String.check(Schema.isPattern(/^[^\p{Cc}\p{Cs}]{1,256}$/u))
// RFC 3339, as people and other programs write it.
const time = Schema.String.check(
  Schema.makeFilter<string>(
    (text) =>
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)),
  ),
)
const version = Schema.Number.check(Schema.makeFilter<number>((value) => Number.isSafeInteger(value) && value >= 1))
const optional = Schema.optionalKey

/** Later fields are optional: what was written before there were any is read. */
const ingressFields = Schema.Struct({
  id: Schema.String,
  name: Schema.Unknown,
  owner: optional(label),
  version: optional(version),
  created_at: time,
  updated_at: optional(time),
  rules: Schema.Unknown,
})

const grantFields = Schema.Struct({
  id: Schema.String,
  owner: label,
  to: label,
  target: Schema.Union([Schema.Struct({ machine: label }), Schema.Struct({ project: label })]),
  created_at: time,
})

const recordFields = Schema.Struct({
  id: Schema.String,
  owner: optional(label),
  type: Schema.Literals(["A", "AAAA", "CNAME"]),
  content: label,
  ingress: optional(label),
  created_at: time,
  updated_at: optional(time),
})

/** Reads a document of a kind and an id from its JSON. Never rejects for what the text is. */
export const decodeDocument = async (kind: DocumentKind, id: string, text: string): Promise<Decoded> => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // What a parser says quotes the text.
    return { reason: "is not JSON" }
  }
  try {
    const document = await decoders[kind](value)
    return document.id === id ? { document } : { reason: "has another id inside" }
  } catch (cause) {
    if (cause instanceof IngressInvalid) return { reason: `${shownField(cause.field)} is not valid` }
    throw cause
  }
}

const decoders: Readonly<Record<DocumentKind, (value: unknown) => Promise<StoredDocument>>> = {
  ingress: async (value) => {
    const { created_at, updated_at = created_at, rules, name, version = 1, ...fields } = read(ingressFields, value)
    const declared = await decodeIngress({ name, rules: withoutLegacy(rules) })
    const times = { createdAt: Date.parse(created_at), updatedAt: Date.parse(updated_at) }
    return { kind: "ingress", ...fields, version, ...times, ...declared }
  },
  grant: async (value) => {
    const { created_at, ...fields } = read(grantFields, value)
    return { kind: "grant", ...fields, createdAt: Date.parse(created_at) }
  },
  record: async (value) => {
    const { created_at, updated_at = created_at, ...fields } = read(recordFields, value)
    return { kind: "record", ...fields, createdAt: Date.parse(created_at), updatedAt: Date.parse(updated_at) }
  },
}

const read = <A>(schema: Schema.Codec<A>, value: unknown): A => {
  const decoded = Schema.decodeUnknownResult(schema, { onExcessProperty: "error" })(value)
  if (Result.isSuccess(decoded)) return decoded.success
  const [first] = format(decoded.failure.issue).issues
  const path = (first?.path ?? []).map((part) => String(typeof part === "object" ? part.key : part))
  throw new IngressInvalid({ field: path.join("."), accepted: "valid" })
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** Parts of a path that are names of the format, and not of somebody's choice: only these are shown. */
const FIELDS = new Set(
  `id name owner version created_at updated_at to target type content ingress rules match hostname port protocol path prefix
  exact method headers targets weight machine instance project url capture tls redirectHttp redirect_http allowCidrs requireHeader
  value sha256 responseHeaders set remove healthCheck intervalMs statuses passthrough proxyProtocol`.split(/\s+/),
)

const shownField = (field: string): string => {
  if (field === "") return "the document"
  const parts = field.split(".")
  const known = parts.findIndex((part) => !FIELDS.has(part) && !/^\d{1,4}$/.test(part))
  return known === -1 ? field : [...parts.slice(0, known), "…"].join(".")
}
