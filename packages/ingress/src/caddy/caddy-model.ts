import type { HeaderRules } from "@project-ingress/router"
import { certificatePlan } from "../certificates/certificate-plan.ts"
import type { CertificatePlan } from "../certificates/certificate-plan.ts"
import type { ExportInput, ExportProblem } from "../fronts/front.ts"
import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import { matchPort } from "../resource/ingress.ts"
import { compareRules } from "../resource/precedence.ts"
import type { CaddyOptions } from "./caddy-options.ts"
import { pathRegex } from "./literals.ts"
import { readUpstream } from "./upstream.ts"
import type { CaddyUpstream } from "./upstream.ts"

/** What Caddy shall do, before it is written as JSON or as a Caddyfile. */
export interface CaddyModel {
  /** By port. */
  readonly servers: readonly CaddyServer[]
  /** For the servers with TLS. */
  readonly certificates: CertificatePlan
  readonly problems: readonly ExportProblem[]
  /** Whether a required header's value is in it. */
  readonly hasSecrets: boolean
}

/** One server for each port of visitors. */
export interface CaddyServer {
  /** The port that visitors connect to. */
  readonly port: number
  /** The port that Caddy listens on. */
  readonly listenPort: number
  readonly tls: boolean
  /** The first one that matches takes the request. */
  readonly routes: readonly CaddyRoute[]
}

/** Which requests, and what becomes of them. */
export interface CaddyRoute {
  /** The name of the ingress, and which rule: `rules.0`. */
  readonly ingress: string
  readonly at: string
  readonly match: CaddyMatch
  readonly action:
    | CaddyProxy
    /** To https on this port of visitors. */
    | { readonly kind: "redirect"; readonly port: number }
    /** The rule cannot be carried out now, and its requests are no other rule's. */
    | { readonly kind: "unavailable" }
    /** No rule of the hostname takes the request, and a wider pattern, which may be another owner's, must not. */
    | { readonly kind: "not-found" }
}

/** All that is given must match. */
export interface CaddyMatch {
  /** With `*` for captures. */
  readonly host: string
  /** A regular expression. */
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Requests go on to an app. */
export interface CaddyProxy {
  readonly kind: "proxy"
  readonly upstream: CaddyUpstream
  readonly allowCidrs?: readonly string[]
  readonly requireHeader?: { readonly name: string; readonly value: string }
  readonly responseHeaders?: HeaderRules
}

interface Entry {
  readonly ingress: DeclaredIngress
  readonly rule: DeclaredRule
  readonly at: string
  readonly isRedirect: boolean
}

/** What the rules come to: pure, in an order that does not depend on that of the input. */
export const caddyModel = (input: ExportInput, options: CaddyOptions): CaddyModel => {
  const problems: ExportProblem[] = []
  const report = ({ ingress, at }: Entry, field: string, reason: string, kind: ExportProblem["kind"] = "unsupported") =>
    problems.push({ kind, ingress: ingress.name, field: field === "" ? at : `${at}.${field}`, reason })
  const entries = input.ingresses.flatMap((ingress) =>
    ingress.rules.map((rule, index): Entry => ({ ingress, rule, at: `rules.${index}`, isRedirect: false })),
  )
  const isHttp = (entry: Entry): boolean => {
    const { protocol, hostname } = entry.rule.match
    if (protocol === "http" && hostname !== undefined) return true
    report(entry, "match.protocol", `${protocol} has no equivalent in Caddy without plugins`)
    return false
  }
  const http = entries.filter(isHttp).toSorted((a, b) => compareRules(a, b))
  const certificates = certificatePlan([{ rules: http.map(({ rule }) => rule) }], {
    wildcards: options.certificates?.issuer === "internal" || options.certificates?.issuer.dns !== undefined,
  })
  const tlsPorts = new Set(http.filter(({ rule }) => rule.tls).map(({ rule }) => matchPort(rule)))
  const routes = new Map<number, Entry[]>()
  const place = (port: number, entry: Entry) => {
    const placed = routes.get(port)
    if (placed === undefined) routes.set(port, [entry])
    else placed.push(entry)
  }
  for (const entry of http) {
    const { rule } = entry
    const port = matchPort(rule)
    if (rule.tls) reportCertificates(entry, certificates, options, report)
    if (!rule.tls && tlsPorts.has(port)) {
      report(entry, "match.port", `shares port ${port} with rules that have tls, and a server of Caddy has it or not`)
    } else place(port, entry)
  }
  for (const entry of http) {
    if (!entry.rule.redirectHttp) continue
    if (tlsPorts.has(80)) report(entry, "redirectHttp", "has no plain port 80 to redirect from: rules with tls use it")
    else place(80, { ...entry, isRedirect: true })
  }
  let hasSecrets = false
  const routeOf = (entry: Entry): CaddyRoute[] => {
    const match = readMatch(entry, report)
    if (match === undefined) return []
    const of = { ingress: entry.ingress.name, at: entry.at, match }
    if (entry.isRedirect) return [{ ...of, action: { kind: "redirect", port: matchPort(entry.rule) } }]
    const action = readAction(entry, input, report)
    if (action.kind === "proxy" && action.requireHeader !== undefined) hasSecrets = true
    return [{ ...of, action }]
  }
  const servers = [...routes].map(([port, placed]): CaddyServer => {
    // A rule's own requests come before redirects of equal rank; a stable sort keeps it so.
    const inOrder = placed.toSorted((a, b) => compareRules(a, b))
    return {
      port,
      listenPort: listenPort(port, options),
      tls: tlsPorts.has(port),
      routes: inOrder.flatMap((entry, index): CaddyRoute[] => {
        const host = hostOf(entry)
        // All rules of a hostname stand together.
        const isLast = inOrder[index + 1] === undefined || hostOf(inOrder[index + 1]!) !== host
        const { ingress, at } = entry
        const rest: CaddyRoute = { ingress: ingress.name, at, match: { host }, action: { kind: "not-found" } }
        return routeOf(entry).concat(isLast && !takesAll(entry) ? rest : [])
      }),
    }
  })
  return { servers: servers.toSorted((a, b) => a.port - b.port), certificates, problems, hasSecrets }
}

type Report = (entry: Entry, field: string, reason: string, kind?: ExportProblem["kind"]) => void

const listenPort = (port: number, { publicPorts = {} }: CaddyOptions): number =>
  Number(Object.entries(publicPorts).find(([, visitors]) => visitors === port)?.[0] ?? port)

const reportCertificates = (entry: Entry, plan: CertificatePlan, options: CaddyOptions, report: Report): void => {
  if (options.certificates === undefined) {
    report(entry, "tls", "needs the option certificates: ACME is not configured")
  } else if (options.certificates.ask === undefined && plan.onDemand.includes(entry.rule.match.hostname!.wildcard)) {
    report(
      entry,
      "match.hostname",
      "needs a certificate that cannot be ordered in advance: a DNS-01 provider (for one * in front), or ask",
    )
  }
}

const hostOf = ({ rule }: Entry): string => rule.match.hostname!.wildcard

/** Whether no request of its hostname is left for the rules after it. The last of a hostname is the least specific one. */
const takesAll = ({ rule: { match }, isRedirect }: Entry): boolean =>
  !isRedirect &&
  match.method === undefined &&
  match.headers === undefined &&
  (match.path === undefined || ("prefix" in match.path && match.path.prefix === "/"))

const readMatch = (entry: Entry, report: Report): CaddyMatch | undefined => {
  const { path, method, headers } = entry.rule.match
  const regex = path === undefined ? undefined : pathRegex(path)
  if (path !== undefined && regex === undefined) {
    if (!entry.isRedirect) {
      report(entry, "match.path", "is a path that no request has: Caddy decodes % and resolves //, . and .. first")
    }
    return undefined
  }
  return {
    host: hostOf(entry),
    ...(regex === undefined ? {} : { path: regex }),
    ...(method === undefined ? {} : { method }),
    ...(headers === undefined ? {} : { headers }),
  }
}

const readAction = (entry: Entry, input: ExportInput, report: Report): CaddyRoute["action"] => {
  const { rule } = entry
  let isPossible = true
  const refuse = (field: string, reason: string): void => {
    isPossible = false
    report(entry, field, reason)
  }
  if (rule.proxyProtocol !== undefined) refuse("proxyProtocol", "has no equivalent in Caddy 2.6")
  if (rule.passthrough) refuse("passthrough", "has no equivalent in Caddy without plugins")
  if (rule.requireHeader !== undefined && rule.requireHeader.value === undefined) {
    refuse("requireHeader", "has a hash only, and Caddy compares values")
  }
  const { set = {}, remove = [] } = rule.responseHeaders ?? {}
  if (remove.some(isPattern))
    refuse("responseHeaders.remove", "has a name with * at an end, which Caddy reads as a pattern")
  if (rule.requireHeader !== undefined && isPattern(rule.requireHeader.name)) {
    refuse("requireHeader.name", "has * at an end, which Caddy reads as a pattern")
  }
  const upstream = readUpstream(rule, input, {
    unsupported: refuse,
    unresolved: (field, reason) => report(entry, field, reason, "unresolved"),
  })
  if (upstream === undefined || !isPossible) return { kind: "unavailable" }
  const { allowCidrs, requireHeader } = rule
  const hasHeaders = Object.keys(set).length > 0 || remove.length > 0
  return {
    kind: "proxy",
    upstream,
    ...(allowCidrs === undefined ? {} : { allowCidrs }),
    ...(requireHeader === undefined
      ? {}
      : { requireHeader: { name: requireHeader.name, value: requireHeader.value! } }),
    ...(hasHeaders ? { responseHeaders: { set, remove } } : {}),
  }
}

/** Caddy's own syntax: `x-*` would take off every field that begins so. */
const isPattern = (name: string): boolean => name.startsWith("*") || name.endsWith("*")
