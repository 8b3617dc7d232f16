import * as Schema from "effect/Schema"

/** `expected` is what the error says: "must be …". */
const text = (pattern: RegExp, expected: string) => Schema.String.check(Schema.isPattern(pattern, { expected }))

const integer = (minimum: number, maximum: number) =>
  Schema.Number.check(
    Schema.makeFilter<number>((value) => Number.isSafeInteger(value) && value >= minimum && value <= maximum, {
      expected: `an integer from ${minimum} to ${maximum}`,
      toJsonSchema: () => ({ type: "integer", minimum, maximum }),
    }),
  ).annotate({ expected: `an integer from ${minimum} to ${maximum}` })

const oneOf = <const Values extends readonly [string, ...string[]]>(...values: Values) =>
  Schema.Literals(values).annotate({ expected: values.join(", ") })

const port = integer(1, 65_535)
const flag = Schema.Boolean.annotate({ expected: "true or false" })
const path = text(/^\/[\x21-\x7e]{0,4095}$/, "a path that begins with /, of visible ASCII")
const fieldName = text(/^[!#$%&'*+\-.^_`|~\da-z]{1,256}$/, "a lower-case field name")
const fieldValue = text(/^[\t\x20-\x7e]{0,4096}$/, "a field value in visible ASCII")
const reference = text(/^[^\p{Cc}\p{Cs}\s]{1,256}$/u, "an id or a name of 1 to 256 characters")
const optional = Schema.optionalKey

const targetFields = {
  machine: optional(reference),
  instance: optional(reference).annotate({
    description: "Another word for machine, or for capture where it is {name}.",
  }),
  project: optional(reference),
  url: optional(
    text(/^(?:https?|h2c|tcp|udp):\/\/[\x21-\x7e]+$/, "http://host:port, https://, h2c://, tcp:// or udp://"),
  ),
  capture: optional(text(/^[a-z][a-z\d_-]{0,62}$/, "the name of a capture of the pattern")),
  port: optional(port),
  protocol: optional(oneOf("http", "https", "h2c")),
}

const target = Schema.Struct(targetFields)
const weightedTarget = Schema.Struct({ ...targetFields, weight: optional(integer(0, 1_000_000)) })

const match = Schema.Struct({
  hostname: optional(Schema.String.annotate({ expected: "a hostname or a pattern" })),
  port: optional(port),
  protocol: optional(oneOf("http", "tcp", "udp")),
  path: optional(
    Schema.Union([path, Schema.Struct({ prefix: path }), Schema.Struct({ exact: path })]).annotate({
      expected: "a path that begins with /, { prefix } or { exact }",
    }),
  ),
  method: optional(text(/^[!#$%&'*+\-.^_`|~\dA-Z]{1,64}$/, "a method in upper case")),
  headers: optional(Schema.Record(fieldName, fieldValue)),
})

const rule = Schema.Struct({
  match,
  target: optional(target),
  targets: optional(Schema.Array(weightedTarget)),
  tls: optional(flag),
  redirectHttp: optional(flag),
  redirect_http: optional(flag).annotate({ description: "Another word for redirectHttp." }),
  allowCidrs: optional(Schema.Array(Schema.String)),
  requireHeader: optional(
    Schema.Struct({
      name: fieldName,
      value: optional(text(/^[\x21-\x7e]{32,256}$/, "32 to 256 characters of visible ASCII")),
      sha256: optional(text(/^[\da-f]{64}$/, "64 lower-case hex digits")),
    }),
  ),
  responseHeaders: optional(
    Schema.Struct({
      set: optional(Schema.Record(fieldName, fieldValue)),
      remove: optional(Schema.Array(fieldName)),
    }),
  ),
  healthCheck: optional(
    Schema.Struct({
      path,
      intervalMs: optional(integer(1_000, 86_400_000)),
      statuses: optional(Schema.Array(integer(100, 599))),
    }),
  ),
  passthrough: optional(flag),
  proxyProtocol: optional(Schema.Literals([1, 2]).annotate({ expected: "1 or 2" })),
})

/** What a control plane sends. `decodeIngress` checks more than a schema can say, and brings it into its normal form. */
export const IngressSchema = Schema.Struct({
  name: text(/^[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/, "1 to 63 lower-case letters, digits and inner hyphens"),
  rules: Schema.Array(rule),
}).annotate({ identifier: "Ingress" })

/** An ingress as the schema has it: {@link Ingress} and the other words. */
export type IngressInput = typeof IngressSchema.Type
