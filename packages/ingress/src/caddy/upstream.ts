import type { HealthCheck } from "@project-ingress/router"
import type { ExportInput } from "../fronts/front.ts"
import type { DeclaredRule, DeclaredTarget, HostnamePattern } from "../resource/ingress.ts"
import { authority, isHostAddress } from "./literals.ts"

/** Where a rule's requests go. */
export interface CaddyUpstream {
  readonly protocol: "http" | "https" | "h2c"
  readonly destination:
    /** `host:port`, as often as its weight: round robin over them is what Caddy 2.6 has for weights. */
    | { readonly kind: "addresses"; readonly dial: readonly string[] }
    /** Looked up at the time of the request. `name` may have a placeholder. */
    | { readonly kind: "dynamic"; readonly name: string; readonly port: number }
  readonly healthCheck?: { readonly uri: string; readonly intervalMs: number; readonly status?: number }
}

/** Each target is written as often as its weight; more would make documents large. */
const MAX_SHARES = 100

/** Called with what is wrong. */
export interface UpstreamReport {
  readonly unsupported: (field: string, reason: string) => void
  readonly unresolved: (field: string, reason: string) => void
}

/** What the targets of a rule come to; `undefined` if there is none that requests can be sent to, which was reported. */
export const readUpstream = (
  rule: DeclaredRule,
  input: ExportInput,
  report: UpstreamReport,
): CaddyUpstream | undefined => {
  const targets = rule.targets.map((target, index) => ({ target, field: `targets.${index}` }))
  const counted = targets.filter(({ target }) => target.weight > 0)
  const [first] = counted
  if (first === undefined) return undefined
  const { protocol } = first.target
  if (protocol === "tcp" || protocol === "udp") {
    report.unsupported(`${first.field}.protocol`, `${protocol} has no equivalent in Caddy without plugins`)
    return undefined
  }
  if (counted.some(({ target }) => target.protocol !== protocol)) {
    report.unsupported("targets", "have several protocols, and a proxy handler of Caddy speaks one")
    return undefined
  }
  const healthCheck = rule.healthCheck === undefined ? undefined : readHealthCheck(rule.healthCheck, report)
  if (first.target.kind === "capture" || counted.some(({ target }) => target.kind === "capture")) {
    const destination = readCapture(rule, counted, input, report)
    return destination === undefined ? undefined : { protocol, destination }
  }
  const resolved = counted.flatMap(({ target, field }) => {
    const address = target.kind === "capture" ? undefined : dialled(target, field, input, report)
    return address === undefined ? [] : [{ address, weight: target.weight }]
  })
  if (resolved.length === 0) return undefined
  const divisor = resolved.map(({ weight }) => weight).reduce(greatestCommonDivisor)
  const shares = resolved.map(({ address, weight }) => ({ address, count: weight / divisor }))
  if (shares.reduce((sum, { count }) => sum + count, 0) > MAX_SHARES) {
    report.unsupported(
      "targets",
      `have weights that come to more than ${MAX_SHARES} equal shares, which Caddy 2.6 would have to list`,
    )
    return undefined
  }
  const dial = shares.flatMap(({ address, count }) => Array.from({ length: count }, () => address))
  return { protocol, destination: { kind: "addresses", dial }, ...(healthCheck === undefined ? {} : { healthCheck }) }
}

type Field = { readonly target: DeclaredTarget; readonly field: string }

const readCapture = (
  rule: DeclaredRule,
  counted: readonly Field[],
  { internalZone }: ExportInput,
  report: UpstreamReport,
): CaddyUpstream["destination"] | undefined => {
  if (counted.length > 1) {
    report.unsupported("targets", "have a capture beside others, and Caddy looks one name up")
    return undefined
  }
  if (rule.healthCheck !== undefined) {
    report.unsupported("healthCheck", "is not possible for a capture: Caddy checks addresses that it knows")
    return undefined
  }
  const [{ target, field }] = counted as [Field]
  if (target.kind !== "capture") return undefined
  if (internalZone === undefined || !isHostAddress(internalZone) || internalZone.includes(":")) {
    report.unsupported(`${field}.capture`, "needs the zone of the internal DNS responder")
    return undefined
  }
  const label = labelFromRight(rule.match.hostname!, target.capture)
  if (label === undefined) {
    report.unsupported(`${field}.capture`, "is no capture of match.hostname")
    return undefined
  }
  // With the dot at its end no search domain of the computer is tried.
  const zone = internalZone.replace(/\.$/, "")
  return { kind: "dynamic", name: `{http.request.host.labels.${label}}.${zone}.`, port: target.port }
}

/** Caddy counts labels from the right, from 0. */
const labelFromRight = ({ wildcard, captures }: HostnamePattern, capture: string): number | undefined => {
  const found = captures.find(({ name }) => name === capture)
  return found === undefined ? undefined : wildcard.split(".").length - 1 - found.label
}

const dialled = (
  target: Exclude<DeclaredTarget, { readonly kind: "capture" }>,
  field: string,
  input: ExportInput,
  report: UpstreamReport,
): string | undefined => {
  if (target.port === undefined) {
    report.unsupported(`${field}.port`, "is needed: Caddy does not know the project's own port")
    return undefined
  }
  const host = target.kind === "url" ? target.host : input.address(target)
  if (host === undefined) {
    report.unresolved(field, "has no address now")
    return undefined
  }
  if (!isHostAddress(host)) {
    report.unsupported(field, "has an address that is neither an IP address nor a name")
    return undefined
  }
  return authority(host, target.port)
}

const readHealthCheck = (
  { path, intervalMs = 10_000, statuses }: HealthCheck,
  report: UpstreamReport,
): CaddyUpstream["healthCheck"] => {
  if (statuses !== undefined && statuses.length > 1) {
    report.unsupported("healthCheck.statuses", "has several, and Caddy expects one status, or 200 to 399")
  }
  const [status] = statuses ?? []
  // Braces would be placeholders in some versions; for the app they are the same.
  const uri = path.replaceAll("{", "%7B").replaceAll("}", "%7D")
  return { uri, intervalMs, ...(status === undefined ? {} : { status }) }
}

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b))
