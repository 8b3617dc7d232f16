import * as Schema from "effect/Schema"
import { isIPv4, isIPv6 } from "./ip-address.ts"

/** `expected` is what the problem says: "must be …". */
const text = (pattern: RegExp, expected: string) => Schema.String.check(Schema.isPattern(pattern, { expected }))

const integer = (minimum: number, maximum: number) =>
  Schema.Number.check(
    Schema.makeFilter<number>((value) => Number.isSafeInteger(value) && value >= minimum && value <= maximum, {
      expected: `an integer from ${minimum} to ${maximum}`,
    }),
  )

const oneOf = <const Values extends readonly [string, ...string[]]>(...values: Values) =>
  Schema.Literals(values).annotate({ expected: values.join(", ") })

const optional = Schema.optionalKey
const flag = Schema.Boolean.annotate({ expected: "true or false" })
const port = integer(1, 65_535)
const hostname = text(/^[a-z\d*](?:[a-z\d*.-]{0,252})$/i, "a hostname")
const address = Schema.String.annotate({ expected: "an IP address" })
  .check(Schema.makeFilter<string>((value) => isIPv4(value) || isIPv6(value), { expected: "an IP address" }))
  .annotate({ expected: "an IP address" })
const label = "[a-z\\d_](?:[a-z\\d_-]{0,61}[a-z\\d_])?"
const host = text(new RegExp(`^(?:${label}(?:\\.${label})*|[\\da-f:.]*:[\\da-f:.]+)$`, "i"), "a name or an IP address")
const service = text(/^[a-z\d][\w.-]{0,127}$/i, "the name of a service")

const row = Schema.Struct({
  service: optional(service),
  domain: optional(hostname),
  hostport: optional(port),
  passthrough: optional(flag),
  path_prefix: optional(text(/^\/[\x21-\x7e]{0,4095}$/, "a path that begins with /")),
  path_remove: optional(flag),
  port: optional(port),
  protocol: optional(oneOf("tcp", "udp")),
  proxyprotocol: optional(Schema.Literals([1, 2]).annotate({ expected: "1, 2 or null" })),
  router: optional(oneOf("http", "tcp", "udp")),
  tls: optional(Schema.Struct({ main: hostname, sans: optional(Schema.Array(hostname)) })),
  ipv4_address: optional(text(/^\d{1,3}(?:\.\d{1,3}){3}$/, "an IPv4 address")),
  dns: optional(Schema.Array(Schema.String)),
  allow_source_ips: optional(Schema.Array(Schema.String)),
})

/** `itsup-project.yml`, once `ingress.yml`. */
export const ProjectSchema = Schema.Struct({
  enabled: optional(flag),
  host: optional(host),
  ingress: optional(Schema.Array(row)),
  egress: optional(Schema.Array(Schema.String)),
})

export type ProjectFile = typeof ProjectSchema.Type
export type IngressRow = typeof row.Type

/** `itsup.yml`. */
export const SettingsSchema = Schema.Struct({
  traefikDomain: hostname,
  routerIP: optional(address),
  versions: optional(Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Number]))),
  crowdsec: optional(Schema.Struct({ enabled: optional(flag), collections: optional(Schema.Array(Schema.String)) })),
  schemaVersion: optional(Schema.Union([Schema.String, Schema.Number])),
})
