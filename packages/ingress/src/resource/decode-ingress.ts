import { decodeRecord, nearest } from "@project-ingress/router/internal"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import { IngressInvalid } from "./errors.ts"
import { readPattern } from "./hostname-pattern.ts"
import { IngressSchema } from "./ingress-schema.ts"
import type { IngressInput } from "./ingress-schema.ts"
import { schemaProblems } from "./schema-problems.ts"
import { sha256Hex } from "./sha256.ts"
import type { DeclaredHeader, DeclaredIngress, DeclaredMatch, DeclaredRule, DeclaredTarget } from "./ingress.ts"

type RuleInput = IngressInput["rules"][number]
type TargetInput = NonNullable<RuleInput["targets"]>[number]

/** More would make one document a bulk import. */
const MAX_RULES = 1_000
/** Of all rules together: each is looked up at each request for its hostname. */
const MAX_TARGETS = 2_000

/**
 * Checks a document that may be anything, and brings it into its normal form. Fields that the format does not have are refused: a
 * misspelt `allowCidrs` would open what was meant to be closed.
 *
 * @throws {IngressInvalid} (rejects) naming the first field that is wrong
 */
export const decodeIngress = async (input: unknown): Promise<Pick<DeclaredIngress, "name" | "rules">> => {
  // Of a value that is no object at all the schema says its own name.
  if (typeof input !== "object" || input === null) throw invalid("", "an object with name and rules")
  const decoded = Schema.decodeUnknownResult(IngressSchema, { onExcessProperty: "error" })(input)
  if (Result.isFailure(decoded)) throw firstProblem(decoded.failure.issue)
  const { name, rules } = decoded.success
  if (rules.length === 0) throw invalid("rules", "an array of at least one rule")
  if (rules.length > MAX_RULES) throw invalid("rules", `an array of at most ${MAX_RULES} rules`)
  if (rules.reduce((count, { targets }) => count + (targets?.length ?? 1), 0) > MAX_TARGETS) {
    throw invalid("rules", `an array of rules with at most ${MAX_TARGETS} targets in all`)
  }
  return { name, rules: await Promise.all(rules.map((rule, at) => declaredRule(rule, `rules.${at}`))) }
}

/** The first field that does not fit the schema. */
const firstProblem = (issue: SchemaIssue.Issue): IngressInvalid => {
  const [first] = schemaProblems(issue)
  return invalid((first?.path ?? []).join("."), first?.accepted ?? "valid")
}

const invalid = (field: string, accepted: string): IngressInvalid => new IngressInvalid({ field, accepted })

const declaredRule = async (rule: RuleInput, at: string): Promise<DeclaredRule> => {
  const { tls = false, passthrough = false, proxyProtocol, allowCidrs, responseHeaders, healthCheck } = rule
  const redirectHttp = rule.redirectHttp ?? rule.redirect_http ?? false
  const match = declaredMatch(rule, at)
  const isHttp = match.protocol === "http"
  if (redirectHttp && !(tls && isHttp)) throw invalid(`${at}.redirectHttp`, "absent without tls")
  if (passthrough && match.protocol !== "tcp")
    throw invalid(`${at}.passthrough`, 'absent unless match.protocol is "tcp"')
  if (passthrough && match.hostname === undefined) throw invalid(`${at}.match.hostname`, "present with passthrough")
  if (passthrough && tls) throw invalid(`${at}.passthrough`, "absent with tls, which the front would end")
  if (tls && match.protocol === "udp") throw invalid(`${at}.tls`, "absent for udp")
  // A plain TCP connection carries no hostname.
  if (match.protocol === "tcp" && match.hostname !== undefined && !tls && !passthrough) {
    throw invalid(`${at}.match.hostname`, "absent for tcp without tls and passthrough, where only the port is known")
  }
  if (!isHttp) {
    for (const field of ["responseHeaders", "requireHeader"] as const) {
      if (rule[field] !== undefined) throw invalid(`${at}.${field}`, "absent unless match.protocol is http")
    }
  }
  if (allowCidrs?.length === 0) throw invalid(`${at}.allowCidrs`, "an array of at least one network, or absent")
  checkSettings(rule, at)
  const requireHeader = await declaredHeader(rule.requireHeader, `${at}.requireHeader`)
  return {
    match,
    targets: declaredTargets(rule, match, at),
    ...(tls ? { tls } : {}),
    ...(redirectHttp ? { redirectHttp } : {}),
    ...(passthrough ? { passthrough } : {}),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(allowCidrs === undefined ? {} : { allowCidrs }),
    ...(requireHeader === undefined ? {} : { requireHeader }),
    ...(responseHeaders === undefined ? {} : { responseHeaders }),
    ...(healthCheck === undefined ? {} : { healthCheck }),
  }
}

/** What a rule shares with the settings of a port is checked by the decoder of records: one rule, in one place. */
const checkSettings = ({ allowCidrs, responseHeaders, healthCheck, requireHeader }: RuleInput, at: string): void => {
  const { problem } = decodeRecord({
    kind: "machine",
    version: 0,
    epoch: 0,
    machine: { id: "m", type: "m", externalId: "", metadata: {} },
    ...(allowCidrs === undefined ? {} : { allowCidrs }),
    ...(responseHeaders === undefined ? {} : { responseHeaders }),
    ...(healthCheck === undefined ? {} : { healthCheck }),
    ...(requireHeader === undefined ? {} : { requireHeader: { name: requireHeader.name, sha256: "0".repeat(64) } }),
  })
  if (problem !== undefined) throw invalid(`${at}.${problem.field}`, problem.accepted)
}

const declaredMatch = ({ match, tls = false }: RuleInput, at: string): DeclaredMatch => {
  const { hostname, port, protocol = "http", path, method, headers } = match
  if (hostname === undefined || hostname === "") {
    if (protocol === "http") throw invalid(`${at}.match.hostname`, "a hostname or a pattern")
    if (port === undefined) throw invalid(`${at}.match.port`, "present without a hostname")
  }
  const pattern = hostname ? readPattern(hostname) : undefined
  if (pattern !== undefined && "accepted" in pattern) throw invalid(`${at}.match.hostname`, pattern.accepted)
  if (protocol !== "http") {
    for (const [field, value] of Object.entries({ path, method, headers })) {
      if (value !== undefined) throw invalid(`${at}.match.${field}`, "absent unless match.protocol is http")
    }
    if (protocol === "udp" && hostname)
      throw invalid(`${at}.match.hostname`, "absent for udp, where only the port is known")
    if (protocol === "tcp" && port === undefined && !tls && !hostname) throw invalid(`${at}.match.port`, "present")
  }
  const readPath = typeof path === "string" ? { prefix: path } : path
  // `/` as a prefix takes everything, like no path at all.
  const isAll = readPath !== undefined && "prefix" in readPath && readPath.prefix === "/"
  return {
    protocol,
    ...(pattern === undefined ? {} : { hostname: pattern }),
    ...(port === undefined ? {} : { port }),
    ...(readPath === undefined || isAll ? {} : { path: trimmedPath(readPath) }),
    ...(method === undefined ? {} : { method }),
    ...(headers === undefined || Object.keys(headers).length === 0 ? {} : { headers }),
  }
}

/** Segments decide, so `/api/` takes what `/api` takes. */
const trimmedPath = (path: NonNullable<DeclaredMatch["path"]>): NonNullable<DeclaredMatch["path"]> =>
  "prefix" in path ? { prefix: path.prefix.replace(/\/+$/, "") || "/" } : path

const declaredHeader = async (header: RuleInput["requireHeader"], at: string): Promise<DeclaredHeader | undefined> => {
  if (header === undefined) return undefined
  const { name, value, sha256 } = header
  if (value === undefined && sha256 === undefined) throw invalid(at, "a name with value or sha256")
  if (value === undefined) return { name, sha256: sha256! }
  const hex = await sha256Hex(value)
  if (sha256 !== undefined && sha256 !== hex) throw invalid(`${at}.sha256`, "the hash of value, or absent")
  return { name, sha256: hex, value }
}

const declaredTargets = (rule: RuleInput, match: DeclaredMatch, at: string): readonly DeclaredTarget[] => {
  const { target, targets } = rule
  if (target !== undefined && targets !== undefined) throw invalid(`${at}.targets`, "absent beside target")
  if (target !== undefined) return [declaredTarget({ ...target, weight: 1 }, match, `${at}.target`)]
  if (targets === undefined || targets.length === 0) throw invalid(`${at}.target`, "present")
  if (targets.every(({ weight = 1 }) => weight === 0)) {
    throw invalid(`${at}.targets`, "targets of which one has a weight above 0")
  }
  return targets.map((each, index) => declaredTarget(each, match, `${at}.targets.${index}`))
}

const KINDS = ["machine", "project", "url", "capture"] as const

const declaredTarget = (given: TargetInput, match: DeclaredMatch, at: string): DeclaredTarget => {
  const target = withoutAlias(given, at)
  const { weight = 1, port, protocol } = target
  const kinds = KINDS.filter((kind) => target[kind] !== undefined)
  if (kinds.length !== 1) throw invalid(at, `one of ${KINDS.join(", ")}`)
  const { url, machine, project, capture } = target
  if (url !== undefined) {
    if (port !== undefined) throw invalid(`${at}.port`, "absent beside url, which has it")
    if (protocol !== undefined) throw invalid(`${at}.protocol`, "absent beside url, whose scheme says it")
    return { kind: "url", weight, ...readAddress(url, match, `${at}.url`) }
  }
  if (match.protocol !== "http" && protocol !== undefined)
    throw invalid(`${at}.protocol`, "absent unless match.protocol is http")
  const spoken = match.protocol === "http" ? (protocol ?? "http") : match.protocol
  if (project !== undefined) {
    return {
      kind: "project",
      weight,
      project: project.toLowerCase(),
      protocol: spoken,
      ...(port === undefined ? {} : { port }),
    }
  }
  if (port === undefined) throw invalid(`${at}.port`, "an integer from 1 to 65535")
  if (machine !== undefined) return { kind: "machine", weight, machine, port, protocol: spoken }
  const names = match.hostname?.captures.map(({ name }) => name) ?? []
  if (!names.includes(capture!)) {
    const near = nearest(capture!, names)
    throw invalid(`${at}.capture`, `a capture of match.hostname${near === undefined ? "" : ` (did you mean ${near}?)`}`)
  }
  return { kind: "capture", weight, capture: capture!, port, protocol: spoken }
}

/** `instance` is another word for `machine`; `"{name}"` in either is the capture of that name. */
const withoutAlias = ({ instance, ...target }: TargetInput, at: string): Omit<TargetInput, "instance"> => {
  if (instance !== undefined && target.machine !== undefined) throw invalid(`${at}.instance`, "absent beside machine")
  const { machine = instance, ...rest } = target
  if (machine === undefined) return rest
  const capture = /^\{(.+)\}$/.exec(machine)?.[1]
  if (capture === undefined && /[{}]/.test(machine))
    throw invalid(`${at}.machine`, "an id, or {name} of a capture alone")
  return capture === undefined ? { ...rest, machine } : { ...rest, capture }
}

/** A host and a port, with nothing that a front would read as something else. */
const readAddress = (
  text: string,
  { protocol }: DeclaredMatch,
  at: string,
): Pick<Extract<DeclaredTarget, { readonly kind: "url" }>, "host" | "port" | "protocol"> => {
  const accepted = protocol === "http" ? "http://host:port, https:// or h2c://" : `${protocol}://host:port`
  const parts = /^([a-z\d]+):\/\/(\[[\da-fA-F:.]+\]|[^:/?#@[\]]+)(?::(\d{1,5}))?\/?$/.exec(text)
  const [, scheme = "", authority = "", given] = parts ?? []
  const allowed = protocol === "http" ? ["http", "https", "h2c"] : [protocol]
  if (parts === null || !allowed.includes(scheme)) throw invalid(at, `${accepted}, without a path and credentials`)
  // The WHATWG parser knows every spelling of an address: `0x7f.1` becomes `127.0.0.1`.
  const url = URL.canParse(`http://${authority}`) ? new URL(`http://${authority}`) : undefined
  const host = url?.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "") ?? ""
  const isName = /^(?:[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?\.)*[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?$/.test(host)
  if (url === undefined || !(isName || host.includes(":"))) throw invalid(at, accepted)
  const port =
    given === undefined ? ({ http: 80, https: 443, h2c: 80 } as Record<string, number>)[scheme] : Number(given)
  if (port === undefined || port < 1 || port > 65_535) throw invalid(at, `${accepted}, with a port from 1 to 65535`)
  return { host, port, protocol: scheme as DeclaredTarget["protocol"] }
}
