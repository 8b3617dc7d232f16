import type { GeneratedFile } from "@project-ingress/ingress"
import { readYaml } from "./declared.ts"

/** A request as Traefik sees it. */
export interface Visit {
  /** Where the visitor connects to. */
  readonly port: number
  readonly tls: boolean
  readonly host: string
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
}

/** What comes of it: where it goes with which weights, or a response of Traefik's. */
export type Outcome =
  | { readonly to: readonly (readonly [address: string, weight: number])[]; readonly removed: readonly string[] }
  | { readonly status: 301 | 403 | 404; readonly port?: string }

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
  const all = { http: {}, tcp: {} } as Named<Record<string, Record<string, unknown>>>
  let entryPoints: Named<{ readonly address: string }> = {}
  for (const { path, text } of files) {
    const document = readYaml(text, { intAsBigInt: true }) as unknown as Named<Named<Named<unknown>>>
    if (path === "traefik/traefik.yml") entryPoints = document["entryPoints"] as unknown as typeof entryPoints
    else {
      for (const protocol of ["http", "tcp"]) {
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
  return (visit: Visit): Outcome => {
    const stream = matching("tcp", visit)
    const router = stream ?? matching("http", visit)
    if (router === undefined) return { status: 404 }
    const protocol = stream === undefined ? "http" : "tcp"
    const removed: string[] = []
    for (const name of router.middlewares ?? []) {
      const middleware = (all[protocol]!["middlewares"] as Named<Named<Named<unknown>>>)[name]!
      const sources = middleware["ipAllowList"]?.["sourceRange"]
      if (Array.isArray(sources) && sources.length === 1 && sources[0] === "255.255.255.255/32") return { status: 403 }
      if (middleware["redirectScheme"] !== undefined) {
        const { port } = middleware["redirectScheme"] as { readonly port?: string }
        return { status: 301, ...(port === undefined ? {} : { port }) }
      }
      removed.push(...Object.keys(middleware["headers"]?.["customRequestHeaders"] ?? {}))
    }
    return { to: addresses(all[protocol]!["services"] as Named<Service>, router.service, 1), removed }
  }
}

interface Service {
  readonly loadBalancer?: { readonly servers: readonly { readonly url?: string; readonly address?: string }[] }
  readonly weighted?: { readonly services: readonly { readonly name: string; readonly weight: number }[] }
}

const addresses = (services: Named<Service>, name: string, weight: number): (readonly [string, number])[] => {
  const { loadBalancer, weighted } = services[name]!
  if (weighted !== undefined) return weighted.services.flatMap((each) => addresses(services, each.name, each.weight))
  return loadBalancer!.servers.map(({ url, address }) => [url ?? address!, weight] as const)
}

type Matchers = Named<(first: string, second: string) => boolean>

/** Reads a rule from the left: `!` before `&&` before `||`. */
const isTrue = (rule: string, { host, path, method, headers }: Visit): boolean => {
  const labels = (pattern: string): boolean =>
    pattern.startsWith("*.") ? host.slice(host.indexOf(".")) === pattern.slice(1) : host === pattern
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
