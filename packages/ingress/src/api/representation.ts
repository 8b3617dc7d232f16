import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { IngressSchema } from "../resource/ingress-schema.ts"
import type { DeclaredIngress, DeclaredRule, DeclaredTarget } from "../resource/ingress.ts"

const rule = IngressSchema.fields.rules.value.fields
const target = Schema.Struct(Struct.omit(rule.target.schema.fields, ["instance"]))
const weightedTarget = Schema.Struct(Struct.omit(rule.targets.schema.value.fields, ["instance"]))
const text = Schema.String

/** The settings of a rule, as far as all modes show them alike. */
export const shownSettings = {
  ...Struct.omit(rule, ["match", "target", "targets", "tls", "redirectHttp", "redirect_http", "requireHeader"]),
  requireHeader: Schema.optionalKey(Schema.Struct(Struct.omit(rule.requireHeader.schema.fields, ["value"]))),
}

/** ISO 8601 in UTC. */
export const shownTime = Schema.String.annotate({ format: "date-time" })

/** An ingress as the API shows it: what was declared, without the values of `requireHeader`, and what the platform knows of it. */
export const IngressResource = Schema.Struct({
  id: text,
  name: IngressSchema.fields.name,
  owner: Schema.optionalKey(text).annotate({ description: "Absent: the operator." }),
  version: Schema.Int.annotate({ description: "From 1 up, raised by each change. The ETag has it, too." }),
  createdAt: shownTime,
  updatedAt: shownTime,
  rules: Schema.Array(
    Schema.Struct({
      match: rule.match,
      target: Schema.optionalKey(target),
      targets: Schema.optionalKey(Schema.Array(weightedTarget)),
      tls: rule.tls,
      redirectHttp: rule.redirectHttp,
      ...shownSettings,
    }),
  ),
}).annotate({ identifier: "IngressResource" })

export type IngressResource = typeof IngressResource.Type
type ShownRule = IngressResource["rules"][number]
type ShownTarget = NonNullable<ShownRule["target"]>

/** What an ingress looks like. A document with its rules declares the same ones, but for the values of `requireHeader`. */
export const showIngress = ({ createdAt, updatedAt, rules, ...rest }: DeclaredIngress): IngressResource => ({
  ...rest,
  createdAt: isoTime(createdAt),
  updatedAt: isoTime(updatedAt),
  rules: rules.map(showRule),
})

export const isoTime = (ms: number): string => new Date(ms).toISOString()

/** A rule in the words of a document: what is implied is left out. */
export const showRule = ({ match, targets, requireHeader, ...settings }: DeclaredRule): ShownRule => {
  const { protocol, hostname, ...rest } = match
  const [first] = targets
  return {
    match: {
      ...(hostname === undefined ? {} : { hostname: hostname.text }),
      ...(protocol === "http" ? {} : { protocol }),
      ...rest,
    },
    ...(targets.length === 1 && first?.weight === 1
      ? { target: showTarget(first, protocol) }
      : { targets: targets.map((each) => ({ ...showTarget(each, protocol), weight: each.weight })) }),
    ...settings,
    // The value stays behind: nothing reads it from the API, whoever asks.
    ...(requireHeader && { requireHeader: { name: requireHeader.name, sha256: requireHeader.sha256 } }),
  }
}

const showTarget = (target: DeclaredTarget, matched: DeclaredRule["match"]["protocol"]): ShownTarget => {
  if (target.kind === "url") {
    const host = target.host.includes(":") ? `[${target.host}]` : target.host
    return { url: `${target.protocol}://${host}:${target.port}` }
  }
  const { weight: _weight, kind: _kind, protocol, ...named } = target
  const isImplied = protocol === "http" || protocol === "tcp" || protocol === "udp" || matched !== "http"
  return isImplied ? named : { ...named, protocol }
}

const readOnly = new Set(["id", "owner", "version", "createdAt", "updatedAt", "created_at"])

/** What GET adds may come back with a PUT. */
export const withoutReadOnly = (document: unknown): unknown => {
  if (typeof document !== "object" || document === null || Array.isArray(document)) return document
  return Object.fromEntries(Object.entries(document).filter(([name]) => !readOnly.has(name)))
}
