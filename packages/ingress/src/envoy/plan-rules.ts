import type { ExportInput, ExportProblem } from "../fronts/front.ts"
import { matchPort } from "../resource/ingress.ts"
import type { DeclaredIngress, DeclaredRule, DeclaredTarget } from "../resource/ingress.ts"
import { compareRules } from "../resource/precedence.ts"
import { clusterNames } from "./cluster-names.ts"
import { destination } from "./clusters.ts"
import type { DialledAddress } from "./clusters.ts"
import type { EnvoyCertificate, EnvoyOptions } from "./options.ts"
import type { PlannedConnection, PlannedPort, PlannedRoute, PlannedRules } from "./planned-rules.ts"
import { pathText } from "./routes.ts"
import { suffixOf } from "./virtual-hosts.ts"

/** Where a redirect to https listens. */
const HTTP_PORT = 80

/** Sorts rules by the ports that they listen on, and finds what Envoy cannot express. */
export const planRules = (input: ExportInput, options: EnvoyOptions): PlannedRules => {
  const ports = new Map<number, PlannedPort>()
  const problems: ExportProblem[] = []
  const at = (port: number): PlannedPort => {
    const known = ports.get(port)
    if (known !== undefined) return known
    const planned: PlannedPort = { port, plain: [], tls: [], names: new Map(), tcp: undefined, udp: undefined }
    ports.set(port, planned)
    return planned
  }
  const redirects: { readonly port: number; readonly route: PlannedRoute }[] = []
  // In order of precedence, so that the later of two that cannot stand side by side is the one that is refused.
  for (const { ingress, rule, index, cluster } of rulesOf(input).toSorted(compareRules)) {
    const problem = (kind: ExportProblem["kind"], field: string, reason: string): void => {
      problems.push({ kind, ingress: ingress.name, field: `rules.${index}${field && `.${field}`}`, reason })
    }
    const found = problemsOf(rule, options)
    for (const [field, reason] of found) problem("unsupported", field, reason)
    const addresses = found.length > 0 ? [] : addressesOf(rule, input, problem)
    const isLeftOut = !addresses.some(({ weight }) => weight > 0)
    const target = destination(cluster, rule, addresses, options)
    const port = at(matchPort(rule))
    if (rule.match.protocol === "http") {
      const route = { ingress, rule, action: isLeftOut ? ("left out" as const) : target }
      if (rule.tls === true) port.tls.push(route)
      else port.plain.push(route)
      if (rule.redirectHttp === true) {
        redirects.push({ port: HTTP_PORT, route: { ingress, rule, action: { redirectTo: port.port } } })
      }
      continue
    }
    if (isLeftOut && rule.match.hostname === undefined) continue
    const conflict = takeConnection(port, { ingress, rule, destination: isLeftOut ? undefined : target })
    if (conflict !== undefined) problem("unsupported", "match", conflict)
  }
  // After the rules, because one that was declared for port 80 goes before a redirect of the same requests.
  for (const { port, route } of redirects) at(port).plain.push(route)
  for (const port of ports.values()) {
    const isShared = port.tcp !== undefined && (port.plain.length > 0 || port.tls.length > 0 || port.names.size > 0)
    if (!isShared) continue
    const { ingress, rule } = port.tcp!
    const reason = `takes all connections to port ${port.port}, which other rules share`
    problems.push({
      kind: "unsupported",
      ingress: ingress.name,
      field: `rules.${ingress.rules.indexOf(rule)}.match.port`,
      reason,
    })
    port.tcp = undefined
  }
  return { ports: [...ports.values()].toSorted((a, b) => a.port - b.port), problems }
}

const rulesOf = ({
  ingresses,
}: ExportInput): readonly {
  readonly ingress: DeclaredIngress
  readonly rule: DeclaredRule
  readonly index: number
  /** The name of its cluster. */
  readonly cluster: string
}[] => {
  // By name first: equal input gives equal output in whatever order it comes.
  const sorted = ingresses.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1))
  return sorted.flatMap((ingress) => {
    const names = clusterNames(ingress)
    return ingress.rules.map((rule, index) => ({ ingress, rule, index, cluster: names[index]! }))
  })
}

/** Puts a rule of connections at its port, or says why it cannot stand beside what is there. */
const takeConnection = (port: PlannedPort, planned: PlannedConnection): string | undefined => {
  const { match } = planned.rule
  if (match.protocol === "udp") {
    if (port.udp !== undefined) return taken(`port ${port.port} of UDP`)
    port.udp = planned
  } else if (match.hostname === undefined) {
    if (port.tcp !== undefined) return taken(`port ${port.port}`)
    port.tcp = planned
  } else {
    const name = serverName(match.hostname.wildcard)
    if (port.names.has(name) || port.tls.some(({ rule }) => serverName(rule.match.hostname!.wildcard) === name)) {
      return taken(`connections for ${name} on port ${port.port}`)
    }
    port.names.set(name, planned)
  }
  return undefined
}

const taken = (what: string): string => `takes ${what}, which another rule takes`

/** As Envoy matches it: `*.` is any number of labels. */
export const serverName = (wildcard: string): string => (wildcard.includes("*") ? `*.${suffixOf(wildcard)}` : wildcard)

/** The certificate of a rule's hostname. */
export const certificateOf = (
  { match }: DeclaredRule,
  { certificates = {} }: EnvoyOptions,
): EnvoyCertificate | undefined => {
  const name = match.hostname?.wildcard ?? ""
  const keys = [name, name.replace(/^[^.]+/, "*")]
  const key = keys.find((each) => Object.hasOwn(certificates, each))
  return key === undefined ? undefined : certificates[key]
}

/** Every field of a rule that Envoy has no equivalent for, with the end of a sentence. */
const problemsOf = (
  rule: DeclaredRule,
  options: EnvoyOptions,
): readonly (readonly [field: string, reason: string])[] => {
  const { match, targets, requireHeader } = rule
  const found: (readonly [string, string])[] = []
  const name = match.hostname?.wildcard
  if (match.protocol !== "http" && name?.includes("*") === true && !/^\*\.[^*]+$/.test(name)) {
    found.push(["match.hostname", "is no server name of Envoy's, which has one * at most, in front"])
  }
  if (/[?#]/.test(pathText(match.path))) found.push(["match.path", "has ? or #, which no path of a request has"])
  if (rule.tls === true && certificateOf(rule, options) === undefined) {
    found.push(["tls", `needs a certificate: \`certificates\` has none for ${match.hostname?.text ?? "the port"}`])
  }
  if (requireHeader !== undefined && requireHeader.value === undefined) {
    found.push(["requireHeader", "needs its value: Envoy compares no hashes"])
  }
  if (match.protocol === "udp") {
    if (rule.allowCidrs !== undefined) found.push(["allowCidrs", "has no equivalent for UDP in Envoy"])
    if (rule.proxyProtocol !== undefined) found.push(["proxyProtocol", "has no equivalent for UDP in Envoy"])
  }
  if (match.protocol !== "http" && rule.healthCheck !== undefined) {
    found.push(["healthCheck", "is a request of HTTP, which a target of tcp or udp does not speak"])
  }
  for (const [at, target] of targets.entries()) {
    if (target.kind !== "capture") continue
    const reason =
      "is found at the time of the request, which Envoy does only by its dynamic forward proxy, not written here"
    found.push([targets.length === 1 ? "target.capture" : `targets.${at}.capture`, reason])
  }
  return found
}

/** Where the targets are dialled; those without an address are reported and left out. */
const addressesOf = (
  { targets }: DeclaredRule,
  { address }: ExportInput,
  problem: (kind: ExportProblem["kind"], field: string, reason: string) => void,
): readonly DialledAddress[] =>
  targets.flatMap((target, at) => {
    const host = hostOf(target, address)
    // A project's own port is nothing that an exporter knows.
    const { port, protocol, weight } = target
    const field = targets.length === 1 ? "target" : `targets.${at}`
    if (port === undefined) {
      problem("unsupported", `${field}.port`, "must be given: Envoy does not know a project's own port")
      return []
    }
    if (host === undefined) {
      problem("unresolved", field, "has no address now")
      return []
    }
    return [{ host, port, protocol, weight }]
  })

const hostOf = (target: DeclaredTarget, address: ExportInput["address"]): string | undefined => {
  if (target.kind === "url") return target.host
  return target.kind === "capture" ? undefined : address(target)
}
