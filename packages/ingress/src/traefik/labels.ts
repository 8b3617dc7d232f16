import type { ExportProblem } from "../fronts/front.ts"
import type { DeclaredIngress, DeclaredRule, DeclaredTarget } from "../resource/ingress.ts"
import { matchPort } from "../resource/ingress.ts"
import { labelPairs, mapOf } from "./check/read-labels.ts"
import { composeText } from "./compose.ts"
import { httpRouters } from "./http-routers.ts"
import { NotExpressible } from "./not-expressible.ts"
import { checkTraefikOptions } from "./options.ts"
import type { TraefikOptions } from "./options.ts"
import { MAX_RANK } from "./priority.ts"
import { ranksOf } from "./ranks.ts"
import { healthCheckOf } from "./services.ts"

/** A rule whose target is a service of a compose file. */
export interface LabelledRule {
  /** The service's name in the compose file. */
  readonly service: string
  /** The port that it listens on in its container. */
  readonly port: number
  /** What it speaks. Default `http`. */
  readonly protocol?: "http" | "https" | "h2c"
  readonly rule: Omit<DeclaredRule, "targets">
}

/** What `traefikLabels` gives. */
export interface Labelled {
  /** The compose file with labels; the given one itself if nothing was added. */
  readonly compose: Readonly<Record<string, unknown>>
  readonly problems: readonly ExportProblem[]
}

/**
 * A compose file whose services carry Traefik's labels for these rules; labels that are there stay. Routers are `<project>-<service>-<port>`.
 * Rules for TCP and UDP are only enabled here: their routers belong into files, where their entry points are.
 *
 * A rule of a service that is not there, or that labels cannot say, is left out and reported.
 *
 * @throws {TypeError} for a project whose name is not as an ingress's, and for invalid options
 */
export const traefikLabels = (
  project: string,
  compose: Readonly<Record<string, unknown>>,
  rules: readonly LabelledRule[],
  options: TraefikOptions = {},
): Labelled => {
  checkTraefikOptions("traefikLabels", options)
  if (!/^[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/.test(project)) {
    throw new TypeError("traefikLabels: project must be 1 to 63 lower-case letters, digits and inner hyphens")
  }
  const services = mapOf(compose["services"])
  const problems: ExportProblem[] = []
  const added = new Map<string, Map<string, string>>()
  const unknown = new Set<string>()
  const ranks = ranksInProject(project, rules)
  const counts = new Map<string, number>()
  for (const [index, labelled] of rules.entries()) {
    const { service, port, rule } = labelled
    if (!Object.hasOwn(services, service)) {
      if (!unknown.has(service)) {
        const reason = `references unknown service: ${service.slice(0, 64)}`
        problems.push({ kind: "unresolved", ingress: project, field: `rules.${index}.service`, reason })
      }
      unknown.add(service)
      continue
    }
    const labels = added.get(service) ?? new Map([["traefik.enable", "true"]])
    const base = `${project}-${escapedName(service)}-${port}`
    const count = counts.get(base) ?? 0
    counts.set(base, count + 1)
    try {
      if (rule.match.protocol === "http") {
        const own = ruleLabels(labelled, count === 0 ? base : `${base}_${count + 1}`, ranks[index]!, options)
        for (const [name, value] of own) labels.set(name, value)
      }
      added.set(service, labels)
    } catch (cause) {
      if (!(cause instanceof NotExpressible)) throw cause
      const { kind, field, reason } = cause
      problems.push({ kind, ingress: project, field: `rules.${index}.${field}`, reason })
    }
  }
  if (added.size === 0) return { compose, problems }
  const labelled = Object.entries(services).map(([name, definition]) => {
    const labels = added.get(name)
    return [name, labels === undefined ? definition : withLabels(mapOf(definition), labels)] as const
  })
  return { compose: { ...compose, services: Object.fromEntries(labelled) }, problems }
}

interface Ranks {
  readonly rank: number
  readonly redirectRank: number
}

/** As if the project were one ingress. */
const ranksInProject = (project: string, rules: readonly LabelledRule[]): readonly Ranks[] => {
  const ingress: DeclaredIngress = { id: project, name: project, version: 1, createdAt: 0, updatedAt: 0, rules: [] }
  const claims = rules.flatMap(({ rule }, index) => {
    const claim = { ingress, rule: { ...rule, targets: NO_TARGETS }, index }
    return [
      { ...claim, port: matchPort(rule), isRedirect: false },
      ...(rule.redirectHttp === true ? [{ ...claim, port: 80, isRedirect: true }] : []),
    ]
  })
  const ranks = ranksOf(claims)
  return rules.map((_, index) => {
    const of = (isRedirect: boolean): number => {
      const claim = claims.find((each) => each.index === index && each.isRedirect === isRedirect)
      return claim === undefined ? 0 : Math.min(ranks.get(claim)!, MAX_RANK + 1)
    }
    return { rank: of(false), redirectRank: of(true) }
  })
}
const NO_TARGETS: readonly DeclaredTarget[] = []

/** Without `-` alone and without dots, which split labels: no two projects and services share a name. */
const escapedName = (service: string): string =>
  service.replace(/[-_.]/g, (each) => ({ "-": "--", _: "__", ".": "_d" })[each]!)

const ruleLabels = (
  { port, protocol = "http", rule }: LabelledRule,
  name: string,
  { rank, redirectRank }: Ranks,
  options: TraefikOptions,
): readonly (readonly [string, string])[] => {
  if (rule.requireHeader !== undefined) {
    throw new NotExpressible("requireHeader", "would stand in labels, which everybody on the computer can read")
  }
  if (protocol === "https" && options.upstreamTls !== undefined) {
    throw new NotExpressible("protocol", "needs a servers transport, which labels cannot declare")
  }
  const names = { name, service: name, rank, redirectName: `${name}-redirect`, redirectRank }
  const { routers, middlewares } = httpRouters(rule, names, options)
  const loadbalancer = {
    server: { port, ...(protocol === "http" ? {} : { scheme: protocol }) },
    ...(rule.healthCheck === undefined ? {} : { healthcheck: healthCheckOf(rule.healthCheck) }),
  }
  const declared = Object.keys(middlewares).length === 0 ? {} : { middlewares }
  const tree = { http: { routers, ...declared, services: { [name]: { loadbalancer } } } }
  const labels: [string, string][] = []
  flatten(tree, ["traefik"], labels)
  return labels
}

/** One label for each leaf. A list is one label, its parts between commas; a list of maps has an index. */
const flatten = (value: unknown, path: readonly string[], labels: [string, string][]): void => {
  if (Array.isArray(value)) {
    if (value.every((each) => typeof each === "string")) {
      if (value.some((each) => each.includes(",")))
        throw new NotExpressible("match", "holds a comma, which splits a label")
      labels.push([path.join("."), value.join(",")])
      return
    }
    for (const [at, each] of value.entries()) flatten(each, [...path.slice(0, -1), `${path.at(-1)}[${at}]`], labels)
    return
  }
  if (typeof value !== "object" || value === null) {
    labels.push([path.join("."), String(value)])
    return
  }
  const own = path.at(-1)
  // A section that is there by being named; `tls=true` stands beside `tls.certresolver=…`.
  if (own === "tls" || Object.keys(value).length === 0) labels.push([path.join("."), "true"])
  for (const [key, each] of Object.entries(value)) {
    const isField = own === "customrequestheaders" || own === "customresponseheaders"
    if (isField && !/^[\w-]+$/.test(key))
      throw new NotExpressible("responseHeaders", "has a name that labels cannot have")
    // The names of routers, services and middlewares stay as they are, at the third place.
    flatten(each, [...path, path.length === 3 || isField ? key : key.toLowerCase()], labels)
  }
}

/** With labels as a list, those that are there first; ours replace an earlier generation of the same names. */
const withLabels = (
  definition: Readonly<Record<string, unknown>>,
  labels: ReadonlyMap<string, string>,
): Readonly<Record<string, unknown>> => {
  const kept = Array.isArray(definition["labels"])
    ? definition["labels"].filter((label: unknown) => !(typeof label === "string" && labels.has(label.split("=")[0]!)))
    : labelPairs(definition["labels"]).flatMap(([name, value]) => (labels.has(name) ? [] : [`${name}=${value}`]))
  const own = [...labels]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${composeText(value)}`)
  return { ...definition, labels: [...kept, ...own] }
}
