import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { existsSync } from "node:fs"
import protobuf from "protobufjs"

// Envoy's own definitions of its messages, of July 2024. No part of the package: a test reads them where npm has put them.
const resolve = createRequire(import.meta.url).resolve
const deps = join(dirname(resolve("@grpc/grpc-js-xds/package.json")), "deps")
const folders = [
  ...["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((name) => join(deps, name)),
  dirname(resolve("protobufjs/package.json")),
]

const files = [
  "envoy/config/bootstrap/v3/bootstrap.proto",
  "envoy/service/discovery/v3/discovery.proto",
  "envoy/admin/v3/config_dump.proto",
  "envoy/extensions/filters/http/rbac/v3/rbac.proto",
  "envoy/extensions/filters/http/router/v3/router.proto",
  "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto",
  "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
  "envoy/extensions/filters/network/rbac/v3/rbac.proto",
  "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto",
  "envoy/extensions/filters/udp/udp_proxy/v3/route.proto",
  "envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy.proto",
  "envoy/extensions/stat_sinks/open_telemetry/v3/open_telemetry.proto",
  "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.proto",
  "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.proto",
  "envoy/extensions/transport_sockets/tls/v3/tls.proto",
  "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
]

let loaded: protobuf.Root | undefined
const root = (): protobuf.Root => {
  if (loaded !== undefined) return loaded
  loaded = new protobuf.Root()
  loaded.resolvePath = (_, target) => folders.map((folder) => join(folder, target)).find(existsSync) ?? target
  loaded.loadSync(files, { keepCase: true })
  loaded.resolveAll()
  return loaded
}

type Fields = Readonly<Record<string, unknown>>
interface Rules {
  readonly [kind: string]: { readonly [rule: string]: unknown }
}

/**
 * Decodes proto3's JSON as strictly as Envoy does, and applies the rules that its definitions have (protoc-gen-validate).
 * Throws at the first problem, with the path to it.
 */
export const assertMessage = (typeName: string, value: unknown): void =>
  message(root().lookupType(typeName), value, typeName)

const fail = (at: string, problem: string): never => {
  throw new Error(`${at}: ${problem}`)
}

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const wrappers: Readonly<Record<string, string>> = {
  BoolValue: "bool",
  UInt32Value: "uint32",
  UInt64Value: "uint64",
  DoubleValue: "double",
  StringValue: "string",
}

const message = (type: protobuf.Type, value: unknown, at: string): void => {
  const full = type.fullName.slice(1)
  const known = /^google\.protobuf\.(\w+)$/.exec(full)?.[1] ?? ""
  if (known === "Duration") {
    if (typeof value !== "string" || !/^-?\d+(?:\.\d{1,9})?s$/.test(value)) fail(at, "is no duration")
    return
  }
  if (known === "Struct" || known === "Value") return
  if (wrappers[known] !== undefined) {
    scalar(wrappers[known], value, at)
    return
  }
  if (!isObject(value)) return fail(at, "is no object")
  if (known === "Any") {
    const { "@type": url, ...rest } = value
    const name = /^type\.googleapis\.com\/([\w.]+)$/.exec(String(url))?.[1]
    if (name === undefined) return fail(at, "has no @type")
    message(root().lookupType(name), rest, `${at}<${name}>`)
    return
  }
  for (const [name, given] of Object.entries(value)) {
    const field = type.fields[name]
    if (field === undefined) return fail(at, `${name} is no field of ${full}`)
    fieldValue(field.resolve(), given, `${at}.${name}`)
  }
  for (const field of Object.values(type.fields)) required(field, value[field.name], `${at}.${field.name}`)
  for (const oneof of type.oneofsArray) {
    const given = oneof.fieldsArray.filter(({ name }) => value[name] !== undefined)
    if (given.length > 1) fail(at, `has two of ${oneof.name}`)
    // Where a oneof has to have a member, protoc-gen-validate says so in its options.
    if (given.length === 0 && oneof.options?.["(validate.required)"] === true) fail(at, `has no ${oneof.name}`)
  }
}

const rulesOf = (field: protobuf.Field): Rules =>
  Object.assign({}, ...(field.parsedOptions ?? []).map((each: Fields) => each["(validate.rules)"] ?? {})) as Rules

const required = (field: protobuf.Field, value: unknown, at: string): void => {
  const rules = rulesOf(field)
  // A member of a oneof is required only of those that have it.
  if (value !== undefined || field.partOf !== null) return
  if (rules["message"]?.["required"] === true) fail(at, "is required")
  // An absent text is an empty one.
  if (Number(rules["string"]?.["min_len"] ?? 0) > 0) fail(at, "is empty")
  if (Number(rules["repeated"]?.["min_items"] ?? 0) > 0) fail(at, "is empty")
}

const fieldValue = (field: protobuf.Field, value: unknown, at: string): void => {
  const rules = rulesOf(field)
  if (field instanceof protobuf.MapField) {
    if (!isObject(value)) return fail(at, "is no map")
    for (const [key, each] of Object.entries(value)) single(field, each, `${at}[${key}]`, {})
    return
  }
  if (!field.repeated) {
    single(field, value, at, rules)
    return
  }
  if (!Array.isArray(value)) return fail(at, "is no list")
  const { min_items: min = 0, max_items: max = Infinity, unique, items = {} } = rules["repeated"] ?? {}
  if (value.length < Number(min) || value.length > Number(max)) fail(at, `has ${value.length} items`)
  if (unique === true && new Set(value.map((each) => JSON.stringify(each))).size < value.length) fail(at, "repeats")
  for (const [index, each] of value.entries()) single(field, each, `${at}[${index}]`, items as Rules)
}

const single = (field: protobuf.Field, value: unknown, at: string, rules: Rules): void => {
  const type = field.resolvedType
  if (type instanceof protobuf.Type) {
    message(type, value, at)
    numbers(rules, value, at)
    return
  }
  if (type instanceof protobuf.Enum) {
    if (typeof value !== "string" || type.values[value] === undefined) fail(at, `${String(value)} is no ${type.name}`)
    return
  }
  scalar(field.type, value, at)
  numbers(rules, value, at)
  if (typeof value === "string") text(rules["string"] ?? {}, value, at)
}

const scalar = (type: string, value: unknown, at: string): void => {
  const isRight =
    type === "bool"
      ? typeof value === "boolean"
      : type === "string" || type === "bytes"
        ? typeof value === "string"
        : type === "double" || type === "float"
          ? typeof value === "number"
          : Number.isSafeInteger(value) && (!type.startsWith("u") || (value as number) >= 0)
  if (!isRight) fail(at, `${typeof value} is no ${type}`)
}

const numbers = (rules: Rules, value: unknown, at: string): void => {
  if (typeof value !== "number") return
  for (const kind of ["uint32", "uint64", "int64", "double"]) {
    const { lte = Infinity, gte = -Infinity, lt = Infinity, gt = -Infinity } = rules[kind] ?? {}
    if (value > Number(lte) || value < Number(gte) || value >= Number(lt) || value <= Number(gt)) {
      fail(at, `${value} is out of range`)
    }
  }
}

const text = (rules: { readonly [rule: string]: unknown }, value: string, at: string): void => {
  const bytes = Buffer.byteLength(value)
  if (value.length < Number(rules["min_len"] ?? 0) || bytes < Number(rules["min_bytes"] ?? 0)) fail(at, "is too short")
  if (bytes > Number(rules["max_bytes"] ?? Infinity)) fail(at, "is too long")
  const { pattern } = rules
  if (typeof pattern === "string" && !new RegExp(pattern).test(value)) fail(at, "has another form")
  // Strict or not: no NUL, CR or LF in a value, and a token as a name.
  // oxlint-disable-next-line no-control-regex
  if (rules["well_known_regex"] === "HTTP_HEADER_VALUE" && /[\0\r\n]/.test(value)) fail(at, "is no field value")
  if (rules["well_known_regex"] === "HTTP_HEADER_NAME" && !/^:?[\w!#$%&'*+\-.^`|~]*$/.test(value)) {
    fail(at, "is no field name")
  }
}
