import type { GeneratedFile } from "@project-ingress/ingress"
import { cidrMatcher } from "@project-ingress/router/internal"
import { readYaml } from "./declared.ts"

/** A request as Traefik sees it. */
export interface Visit {
  /** Where the visitor connects to. */
  readonly port: number
  readonly tls: boolean
  readonly protocol?: "http" | "tcp" | "udp"
  /** As in the request: in any case, with a port or a root dot. */
  readonly host: string
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  /** Default 127.0.0.1. */
  readonly client?: string
}

/** What comes of it: where it goes with which weights, or a response of Traefik's. */
export type Outcome =
  | { readonly to: Targets; readonly removed: readonly string[] }
  | { readonly to: Targets; readonly removed: readonly string[]; readonly response: Named<string> }
  | { readonly status: number; readonly port?: string }

type Targets = readonly (readonly [address: string, weight: number])[]

interface Router {
  readonly entryPoints: readonly string[]
  readonly rule?: string
  readonly priority?: number | bigint
  readonly middlewares?: readonly string[]
  readonly service: string
  readonly tls?: object
}

type Named<Value> = Readonly<Record<string, Value>>

/** Traefik's matching as its documentation has it: TCP routers of the entry point first, then by priority, TLS and plain text apart. */
export const traefikOf = (files: readonly GeneratedFile[]) => {
  const all = { http: {}, tcp: {}, udp: {} } as Named<Record<string, Record<string, unknown>>>
  let entryPoints: Named<{ readonly address: string }> = {}
  for (const { path, text } of files) {
    const document = readYaml(text, { intAsBigInt: true }) as unknown as Named<Named<Named<unknown>>>
    if (path === "traefik/traefik.yml") entryPoints = document["entryPoints"] as unknown as typeof entryPoints
    else {
      for (const protocol of ["http", "tcp", "udp"]) {
        for (const [section, entries] of Object.entries(document[protocol] ?? {})) {
          all[protocol]![section] = { ...all[protocol]![section], ...entries }
        }
      }
    }
  }
  const matching = (protocol: "http" | "tcp", visit: Visit): Router | undefined => {
    const listening = Object.entries(entryPoints).find(([, { address }]) => address === `:${visit.port}`)?.[0]
    const routers = Object.values((all[protocol]!["routers"] ?? {}) as Named<Router>).filter(
      ({ entryPoints: names, tls, rule }) =>
        names.includes(listening ?? "") && (tls !== undefined) === visit.tls && isTrue(rule!, visit),
    )
    const sorted = routers.toSorted((a, b) => (BigInt(b.priority!) > BigInt(a.priority!) ? 1 : -1))
    // Traefik does not say which one then takes it.
    if (sorted.length > 1 && BigInt(sorted[0]!.priority!) === BigInt(sorted[1]!.priority!)) throw new Error("a tie")
    return sorted[0]
  }
  return (given: Visit): Outcome => {
    // Traefik compares names in lower case and without the port.
    const visit = { ...given, host: given.host.toLowerCase().replace(/:\d+$/, "") }
    if (visit.protocol === "udp") {
      const listening = Object.entries(entryPoints).find(([, { address }]) => address === `:${visit.port}/udp`)?.[0]
      const udp = Object.values((all["udp"]!["routers"] ?? {}) as Named<Router>)
      const found = udp.find(({ entryPoints: names }) => names.includes(listening ?? ""))
      if (found === undefined) return { status: 404 }
      return { to: addresses(all["udp"]!["services"] as Named<Service>, found.service, 1), removed: [] }
    }
    const stream = matching("tcp", visit)
    const router = stream ?? matching("http", visit)
    if (router === undefined) return { status: 404 }
    const protocol = stream === undefined ? "http" : "tcp"
    const removed: string[] = []
    const response: Record<string, string> = {}
    for (const name of router.middlewares ?? []) {
      const middleware = (all[protocol]!["middlewares"] as Named<Named<Named<unknown>>>)[name]!
      const { sourceRange, rejectStatusCode = 403n } = (middleware["ipAllowList"] ?? {}) as unknown as AllowList
      if (sourceRange !== undefined && !cidrMatcher("test", sourceRange)(visit.client ?? "127.0.0.1")) {
        return { status: Number(rejectStatusCode) }
      }
      if (middleware["redirectScheme"] !== undefined) {
        const { port } = middleware["redirectScheme"] as { readonly port?: string }
        return { status: 301, ...(port === undefined ? {} : { port }) }
      }
      removed.push(...Object.keys(middleware["headers"]?.["customRequestHeaders"] ?? {}))
      Object.assign(response, middleware["headers"]?.["customResponseHeaders"])
    }
    const to = addresses(all[protocol]!["services"] as Named<Service>, router.service, 1)
    return { to, removed, ...(Object.keys(response).length === 0 ? {} : { response }) }
  }
}

interface AllowList {
  readonly sourceRange?: readonly string[]
  readonly rejectStatusCode?: bigint
}

interface Service {
  readonly loadBalancer?: { readonly servers: readonly { readonly url?: string; readonly address?: string }[] }
  readonly weighted?: { readonly services: readonly { readonly name: string; readonly weight: number | bigint }[] }
}

const addresses = (services: Named<Service>, name: string, weight: number): (readonly [string, number])[] => {
  const { loadBalancer, weighted } = services[name]!
  if (weighted !== undefined)
    return weighted.services.flatMap((each) => addresses(services, each.name, Number(each.weight)))
  return loadBalancer!.servers.map(({ url, address }) => [url ?? address!, weight] as const)
}

type Matchers = Named<(first: string, second: string) => boolean>

/** Reads a rule from the left: `!` before `&&` before `||`. */
const isTrue = (rule: string, { host, path, method, headers }: Visit): boolean => {
  // An expression sees a root dot, a name does not.
  const plain = host.replace(/\.$/, "")
  const labels = (pattern: string): boolean =>
    pattern.startsWith("*.") ? plain.slice(plain.indexOf(".")) === pattern.slice(1) : plain === pattern
  const matchers: Matchers = {
    Host: labels,
    HostRegexp: (text) => new RegExp(text).test(host),
    HostSNI: (name) => name === "*" || labels(name),
    HostSNIRegexp: (text) => new RegExp(text).test(host),
    Path: (text) => path === text,
    PathPrefix: (text) => path.startsWith(text),
    Method: (text) => method === text,
    Header: (name, value) => headers[name.toLowerCase()] === value,
  }
  const tokens = [...rule.matchAll(/`[^`]*`|[A-Za-z]+|&&|\|\||[!(),]/g)].map(([token]) => token)
  const value = (): string => tokens.shift()!.slice(1, -1)
  const term = (): boolean => {
    const token = tokens.shift()!
    if (token === "!") return !term()
    if (token === "(") {
      const inner = either()
      tokens.shift()
      return inner
    }
    tokens.shift()
    const first = value()
    const second = tokens.shift() === "," ? value() : undefined
    if (second !== undefined) tokens.shift()
    return matchers[token]!(first, second ?? "")
  }
  const both = (): boolean => {
    let result = term()
    while (tokens[0] === "&&") {
      tokens.shift()
      result = term() && result
    }
    return result
  }
  const either = (): boolean => {
    let result = both()
    while (tokens[0] === "||") {
      tokens.shift()
      result = both() || result
    }
    return result
  }
  const result = either()
  if (tokens.length > 0) throw new Error(`the rule ${rule} goes on`)
  return result
}
