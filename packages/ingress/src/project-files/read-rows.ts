import type { DeclaredRule } from "../resource/ingress.ts"
import type { PlacedRule } from "./collisions.ts"
import { shown } from "./egress-checks.ts"
import { sha256Hex } from "../resource/sha256.ts"
import { isIPv4 } from "./ip-address.ts"
import type { ProjectProblem } from "./project-problem.ts"
import type { IngressRow } from "./project-schema.ts"
import type { ExposedService } from "./projects.ts"
import type { ProjectSource } from "./project-source.ts"
import { rowRules } from "./row-rules.ts"

interface Rows {
  readonly ingresses: readonly { readonly name: string; readonly rules: readonly DeclaredRule[] }[]
  /** By project. */
  readonly services: ReadonlyMap<string, readonly ExposedService[]>
  readonly placed: readonly PlacedRule[]
  readonly problems: readonly ProjectProblem[]
}

/** The rows of every project. Those of a disabled one are checked, and declare nothing. */
export const readRows = async (sources: readonly ProjectSource[]): Promise<Rows> => {
  const problems: ProjectProblem[] = []
  const placed: PlacedRule[] = []
  const ingresses: { readonly name: string; readonly rules: readonly DeclaredRule[] }[] = []
  const services = new Map<string, readonly ExposedService[]>()
  const claimed = new Map<string, string>()
  for (const source of sources) {
    const rows = source.content.ingress ?? []
    problems.push(...projectProblems(source))
    const addresses = pinned(source, claimed, problems)
    const exposed = new Map<string, { rules: DeclaredRule[]; labelled: DeclaredRule[]; host: string }>()
    const all: DeclaredRule[] = []
    for (const [at, row] of rows.entries()) {
      const report = (path: readonly (string | number)[], sentence: string): ProjectProblem =>
        source.source!.problem(["ingress", at, ...path], sentence)
      const missing = serviceProblem(source, row)
      if (missing !== undefined) problems.push(report(["service"], missing))
      const service = row.service ?? ""
      const host = source.content.host ?? addresses.get(service) ?? (await aliasOf(source.name, service || "service"))
      const { rules, problems: wrong } = await rowRules(row, host)
      problems.push(...wrong.map(({ path, sentence }) => report(path, sentence)))
      if (source.content.enabled === false) continue
      all.push(...rules)
      placed.push(
        ...rules.map((rule) => ({
          rule,
          at: source.name,
          problem: (why: string) => report([], `must be free: ${why}`),
        })),
      )
      if (source.compose === undefined) continue
      const entry = exposed.get(service) ?? { rules: [], labelled: [], host }
      entry.rules.push(...rules)
      if (row.hostport === undefined) entry.labelled.push(...rules.filter(({ match }) => match.protocol === "http"))
      exposed.set(service, entry)
    }
    if (all.length > 0) ingresses.push({ name: source.ingress, rules: all })
    const found = [...exposed].toSorted(([a], [b]) => (a < b ? -1 : 1))
    services.set(
      source.name,
      found.map(([service, { host, rules, labelled }]) => ({
        project: source.name,
        service,
        host,
        pinned: addresses.has(service),
        rules,
        labelled,
      })),
    )
  }
  return { ingresses, services, placed, problems }
}

/** An alias in the shared network that only this service has: `web` may be in many projects. A label of a name has 63 characters. */
const aliasOf = async (project: string, service: string): Promise<string> => {
  const alias = `${project}--${service}`
  const isUnique = alias === alias.toLowerCase() && alias.length <= 63 && alias.split("--").length === 2
  return isUnique ? alias : `service-${(await sha256Hex(`${project}:${service}`)).slice(0, 12)}`
}

const projectProblems = ({ content, compose, source }: ProjectSource): readonly ProjectProblem[] => {
  if (source === undefined) return []
  if (content.host && compose !== undefined)
    return [source.problem(["host"], "must be absent beside docker-compose.yml")]
  if (!content.host && compose === undefined && (content.ingress ?? []).length > 0) {
    return [source.problem(["host"], "must be present without docker-compose.yml")]
  }
  return []
}

const serviceProblem = ({ compose, content }: ProjectSource, { service }: IngressRow): string | undefined => {
  if (compose === undefined) {
    return service && content.host ? "must be absent in a project with host" : undefined
  }
  if (!service) return "must be present"
  const found = compose.services.get(service)
  if (found === undefined)
    return `must be one of docker-compose.yml: ingress references unknown service: ${shown(service)}`
  const mode = found["network_mode"]
  return mode === undefined || mode === null
    ? undefined
    : "must be of a service without network_mode, which cannot join proxynet"
}

/** The network that the front and the services of all projects share, and what of it is taken: the gateway and a resolver. */
const SUBNET = /^172\.20\./
const RESERVED = new Set(["172.20.0.0", "172.20.0.1", "172.20.0.253", "172.20.255.255"])

/** The addresses that services have in the shared network. */
const pinned = (
  { name, content, source }: ProjectSource,
  claimed: Map<string, string>,
  problems: ProjectProblem[],
): ReadonlyMap<string, string> => {
  const addresses = new Map<string, string>()
  for (const [at, { service, ipv4_address: address }] of (content.ingress ?? []).entries()) {
    if (address === undefined) continue
    const report = (sentence: string): void =>
      void problems.push(source!.problem(["ingress", at, "ipv4_address"], sentence))
    if (service === undefined) {
      report("must be absent without service")
      continue
    }
    const before = addresses.get(service)
    const owner = claimed.get(address)
    if (!isIPv4(address)) report("must be an IPv4 address")
    else if (!SUBNET.test(address)) report("must be in 172.20.0.0/16, the subnet of proxynet")
    else if (RESERVED.has(address)) report(`must be free: ${address} is reserved`)
    else if (before !== undefined && before !== address) report(`must be ${before}, as in another row of the service`)
    else if (owner !== undefined && owner !== `${name}:${service}`) report(`must be free: ${owner} has ${address}`)
    else {
      addresses.set(service, address)
      claimed.set(address, `${name}:${service}`)
    }
  }
  return addresses
}
