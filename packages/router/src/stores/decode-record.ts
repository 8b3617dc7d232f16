import { cidrMatcher, connectionFields, isServerDirectiveField } from "@project-ingress/forward/internal"
import { frozenJson, NotJson } from "./frozen-json.ts"
import type { PortSettings, RouteRecord } from "./record.ts"
import { being, either, fields, flag, integer, isObject, list, map, oneOf, text } from "./shape.ts"
import type { Misfit, Shape } from "./shape.ts"

/** Why a record cannot be used. Holds no value of the record: it may be a secret or an attack. */
export interface RecordProblem {
  /** `NOT_SUPPORTED`: the field is one of the format, and no policy carries it out. Never of what is decoded. */
  readonly code: "RECORD_INVALID" | "NOT_SUPPORTED"
  /** A path: `ports.4096.visibility`, `rules.0.targets.1.port`. Empty for the record itself. At most 200 characters. */
  readonly field: string
  /** What is accepted there, as a noun phrase. */
  readonly accepted: string
}

/** A record that may be used (a deeply frozen copy), or why not. */
export type DecodedRecord =
  | { readonly record: RouteRecord; readonly problem?: never }
  | { readonly problem: RecordProblem; readonly record?: never }

/**
 * Decodes whatever a store gave, which may be anything a database can hold. Never throws. Fields that the format does not
 * have are refused: a misspelt `visibility` would open what was meant to be closed.
 */
export const decodeRecord = (input: unknown): DecodedRecord => {
  if (typeof input === "object" && input !== null && decoded.has(input)) return { record: input as RouteRecord }
  let copy: unknown
  try {
    copy = frozenJson(input)
  } catch (cause) {
    return cause instanceof NotJson ? invalid({ field: cause.path, accepted: cause.accepted }) : invalid(unreadable)
  }
  if (!isObject(copy)) return invalid({ field: "", accepted: "an object" })
  const { kind } = copy
  if (!isKind(kind)) return invalid({ field: "kind", accepted: Object.keys(kinds).join(", ") })
  const misfit = kinds[kind](copy, "")
  if (misfit !== undefined) return invalid(misfit)
  decoded.add(copy)
  // `kinds` has looked at every field.
  return { record: copy as unknown as RouteRecord }
}

/** Copies that were made here: a store that keeps what it decoded when it was written is not decoded again. */
const decoded = new WeakSet<object>()

/** The sentence of a problem. */
export const problemMessage = ({ code, field, accepted }: RecordProblem): string =>
  code === "NOT_SUPPORTED" ? `${field} is not supported yet` : `${field || "the record"} must be ${accepted}`

const invalid = ({ field, accepted }: Misfit): { readonly problem: RecordProblem } => ({
  problem: { code: "RECORD_INVALID", field, accepted },
})

/** A `Proxy` whose traps throw, or the like. */
const unreadable: Misfit = { field: "", accepted: "plain data" }

const isKind = (kind: unknown): kind is RouteRecord["kind"] => typeof kind === "string" && Object.hasOwn(kinds, kind)

/** Visible ASCII, because it becomes a `Location`; credentials would be shown to every visitor. */
const isWebUrl = (value: unknown): boolean => {
  if (typeof value !== "string" || value.length > 2_048 || !/^https?:\/\/[\x21-\x7e]+$/.test(value)) return false
  const url = URL.canParse(value) ? new URL(value) : undefined
  return url !== undefined && url.username === "" && url.password === ""
}

const isNetwork = (value: unknown): boolean => {
  if (typeof value !== "string") return false
  try {
    cidrMatcher("allowCidrs", [value])
    return true
  } catch {
    return false
  }
}

const port = integer(1, 65_535)
const path = text(/^\/[\x21-\x7e]*$/, "a path that begins with /", 4_096)
const id = text(/^[^\p{Cc}\p{Cs}]+$/u, "1 to 256 characters")
const fieldName = /^[!#$%&'*+\-.^_`|~\da-z]+$/
const fieldValue = text(/^[\t\x20-\x7e]*$/, "a field value in visible ASCII", 4_096)
const headerMap = map((name) => fieldName.test(name), "a lower-case field name", fieldValue)
/** Written by the connection's own side, whatever a record says. */
const framing: ReadonlySet<string> = new Set([...connectionFields, "content-length", "host"])
const isEditable = (name: string): boolean => fieldName.test(name) && !framing.has(name)
const editable = "a lower-case field name, none of the connection's"
/** A cookie or a command to a front server would be what no app's own response may say, see `isolateCookies`. */
const isSettable = (name: string): boolean => isEditable(name) && name !== "set-cookie" && !isServerDirectiveField(name)
const slug = /^[a-z\d]+(?:-[a-z\d]+)*$/
const visibility = oneOf("public", "private")
/** Written into `Content-Security-Policy`: nothing that ends a source or a directive there. */
const ORIGIN = /^https?:\/\/[a-z\d](?:[a-z\d.-]*[a-z\d])?(?::[1-9]\d{0,4})?$/
/** Not an IP address, which is no server name (RFC 6066 §3). */
const SERVER_NAME = /^(?=.*[a-z])[a-z\d](?:[a-z\d.-]*[a-z\d])?$/i
const anything: Shape = being(isObject, "an object")

const machine = fields(
  {
    id,
    type: id,
    externalId: text(/^[^\p{Cc}]*$/u, "at most 1 024 characters", 1_024),
    metadata: anything,
  },
  ["id", "type", "externalId", "metadata"],
)

const portSettings: Readonly<Record<keyof PortSettings, Shape>> = {
  visibility,
  appOrigin: either(
    oneOf("localhost", "public"),
    fields({ host: text(/^(?:[a-z\d](?:[\w.-]*[a-z\d])?|\[[\da-f:.]+\])(?::\d{1,5})?$/i, "a host, host[:port]") }, [
      "host",
    ]),
    "localhost, public or { host }",
  ),
  forwardedProto: flag,
  protocol: oneOf("http", "https", "h2c", "tcp", "udp"),
  proxyProtocol: integer(1, 2),
  tls: fields({ verify: flag, serverName: text(SERVER_NAME, "a hostname", 253) }, ["verify"]),
  wake: oneOf("visitors", "any", "never"),
  embed: list(text(ORIGIN, "an origin: https://www.example.com, without a path")),
  healthCheck: fields({ path, intervalMs: integer(1_000, 86_400_000), statuses: list(integer(100, 599), 1) }, ["path"]),
  minBodyRate: being((value) => typeof value === "number" && value >= 0, "a number of bytes a second, 0 for none"),
  allowCidrs: list(
    being(isNetwork, "a network in CIDR notation, with no bit set beyond its length and not all addresses"),
  ),
  requireHeader: fields(
    {
      name: being((name) => typeof name === "string" && name.length <= 256 && isEditable(name), editable),
      sha256: text(/^[\da-f]{64}$/, "64 lower-case hex digits"),
    },
    ["name", "sha256"],
  ),
  responseHeaders: fields({
    set: map(isSettable, `${editable}, nor set-cookie, nor one that commands a front server`, fieldValue),
    remove: list(being((name) => typeof name === "string" && name.length <= 256 && isEditable(name), editable)),
  }),
}

const machineSettings = {
  ...portSettings,
  ports: map(
    (name) => /^[1-9]\d{0,4}$/.test(name) && Number(name) <= 65_535,
    "a port from 1 to 65535",
    fields(portSettings),
  ),
}

const rule = fields(
  {
    match: fields({
      path: (value, at) =>
        isObject(value) && Object.hasOwn(value, "prefix")
          ? fields({ prefix: path }, ["prefix"])(value, at)
          : fields({ exact: path }, ["exact"])(value, at),
      method: text(/^[!#$%&'*+\-.^_`|~\dA-Z]+$/, "a method in upper case", 64),
      headers: headerMap,
    }),
    targets: (value, at) =>
      list(fields({ machine, port, weight: integer(0, 1_000_000) }), 1)(value, at) ??
      ((value as readonly { readonly weight?: number }[]).some(({ weight = 1 }) => weight > 0)
        ? undefined
        : { field: at, accepted: "targets of which one has a weight above 0" }),
  },
  ["match", "targets"],
)

const versioned = {
  version: integer(0),
  epoch: integer(0),
  owner: id,
  generation: integer(0),
  externalId: id,
  // In seconds it would have been over since 1970.
  expiresAt: being((value) => typeof value === "number" && value > 1e11, "a time in ms since 1970"),
  metadata: anything,
}
const required = ["kind", "version", "epoch"]

const kinds = {
  machine: fields(
    {
      kind: oneOf("machine"),
      ...versioned,
      ...machineSettings,
      machine,
      replicas: list(machine),
      balance: oneOf("sticky", "round-robin", "least-requests"),
      port,
      services: map(
        (name) => slug.test(name) && name.length <= 63,
        "lower-case letters, digits and single hyphens",
        port,
      ),
      rules: list(rule),
      unmatched: oneOf("not-found"),
      machines: map((name) => name.length <= 256, "a machine id", fields(machineSettings)),
      region: id,
    },
    [...required, "machine"],
  ),
  detached: fields({ kind: oneOf("detached"), ...versioned, visibility }, required),
  redirect: fields(
    {
      kind: oneOf("redirect"),
      ...versioned,
      visibility,
      to: either(
        being(isWebUrl, "a URL"),
        fields({ project: text(slug, "a project's name", 63) }, ["project"]),
        "an absolute http: or https: URL without credentials, or { project }",
      ),
      status: oneOf(301, 302, 307, 308),
    },
    [...required, "to", "status"],
  ),
  removed: fields({ kind: oneOf("removed"), ...versioned, visibility }, required),
} satisfies Record<RouteRecord["kind"], Shape>
