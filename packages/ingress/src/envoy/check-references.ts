import { nameOf } from "./json.ts"
import type { Json, Message } from "./json.ts"

interface Rds {
  readonly route_config_name: string
}

/** What an export consists of. */
export interface EnvoyResources {
  readonly listeners: readonly Message[]
  readonly routes: readonly Message[]
  readonly clusters: readonly Message[]
}

/**
 * What the decoding of Envoy's messages does not find, and Envoy refuses or carries out differently: a name that is not unique or leads
 * nowhere, a domain in two virtual hosts, filter chains with one match, no router filter, `*` in the middle of a domain.
 *
 * @throws {Error} naming the first one. What `exportEnvoy` gives has none.
 */
export const checkReferences = ({ listeners, routes, clusters }: EnvoyResources): void => {
  const known = unique(clusters, "cluster")
  const tables = unique(routes, "route configuration")
  unique(listeners, "listener")
  for (const resource of [...listeners, ...routes]) {
    visit(resource, (message) => {
      const { cluster, rds, virtual_hosts: hosts, http_filters: filters } = message
      if (typeof cluster === "string") require(known, cluster, "cluster")
      for (const each of weighted(message)) require(known, nameOf(each), "cluster")
      if (rds !== undefined) require(tables, (rds as Message & Rds).route_config_name, "route configuration")
      if (hosts !== undefined) checkDomains(hosts as readonly Message[])
      if (filters !== undefined) checkFilters(filters as readonly Message[])
    })
  }
  for (const listener of listeners) {
    checkChains(nameOf(listener), (listener["filter_chains"] ?? []) as readonly Message[])
  }
}

const unique = (resources: readonly Message[], kind: string): ReadonlySet<string> => {
  const names = new Set<string>()
  for (const name of resources.map(nameOf)) {
    if (names.has(name)) throw new Error(`two of Envoy's resources are the ${kind} ${name}`)
    names.add(name)
  }
  return names
}

const require = (known: ReadonlySet<string>, name: string, kind: string): void => {
  if (!known.has(name)) throw new Error(`there is no ${kind} ${name}`)
}

const weighted = ({ weighted_clusters: weights }: Message): readonly Message[] =>
  weights === undefined ? [] : ((weights as Message)["clusters"] as readonly Message[])

const checkDomains = (hosts: readonly Message[]): void => {
  unique(hosts, "virtual host")
  const domains = new Set<string>()
  for (const domain of hosts.flatMap(({ domains }) => domains as readonly string[])) {
    if (domains.has(domain)) throw new Error(`two virtual hosts have the domain ${domain}`)
    if (domain.includes("*") && !/^\*(?:[.-][^*]+)?$/.test(domain)) throw new Error(`${domain} is no domain of Envoy's`)
    domains.add(domain)
  }
}

const checkFilters = (filters: readonly Message[]): void => {
  if (filters.at(-1)?.["name"] !== "envoy.filters.http.router") throw new Error("the last filter is not the router")
}

const checkChains = (listener: string, chains: readonly Message[]): void => {
  const matches = new Set<string>()
  for (const { filter_chain_match: match = {} } of chains) {
    const { server_names: names = [""], ...rest } = match as Message
    for (const name of names as readonly string[]) {
      const key = JSON.stringify([name, rest])
      if (matches.has(key)) throw new Error(`two filter chains of ${listener} match ${name || "everything"}`)
      matches.add(key)
      if (name.includes("*") && !/^\*\.[^*]+$/.test(name)) throw new Error(`${name} is no server name of Envoy's`)
    }
  }
}

const visit = (value: Json | undefined, each: (message: Message) => void): void => {
  if (typeof value !== "object" || value === null) return
  if (Array.isArray(value)) {
    for (const item of value as readonly Json[]) visit(item, each)
    return
  }
  each(value as Message)
  for (const item of Object.values(value)) visit(item, each)
}
