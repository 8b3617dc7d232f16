import type { DeclaredRule, HostnamePattern } from "../resource/ingress.ts"
import { matchPort } from "../resource/ingress.ts"
import { certificateOf } from "./certificates.ts"
import { entryPointOf } from "./entry-points.ts"
import { NotExpressible } from "./not-expressible.ts"
import type { TraefikOptions } from "./options.ts"
import { nobody } from "./nobody.ts"
import { priorityOf, unmatchedPriority } from "./priority.ts"
import { headerText, httpRuleText, plainValue, readVersion } from "./rule-text.ts"

/** Where tokens of ACME are asked for, which no redirect may take away: the authority follows none to a certificate that is not there yet. */
const ACME_PATH = "/.well-known/acme-challenge/"
/** Traefik's own, for routers whose middlewares respond. */
const NO_SERVICE = "noop@internal"

/** What the routers of one rule are named, and which rules go before them. */
export interface RouterNames {
  /** Unique among routers, and among middlewares. */
  readonly name: string
  /** Absent: its targets cannot be dialled now, and requests are 503. */
  readonly service?: string
  readonly rank: number
  /** Of the router that redirects. */
  readonly redirectName: string
  readonly redirectRank: number
}

/** Routers and middlewares of one HTTP rule: the one to its target, one for requests without the required field, one that redirects. */
export const httpRouters = (
  rule: Omit<DeclaredRule, "targets">,
  { name, service, rank, redirectName, redirectRank }: RouterNames,
  options: TraefikOptions,
): { readonly routers: Record<string, object>; readonly middlewares: Record<string, object> } => {
  const { match, tls = false, redirectHttp = false, requireHeader, proxyProtocol } = rule
  if (proxyProtocol !== undefined) throw new NotExpressible("proxyProtocol", "is for TCP only in Traefik")
  const version = readVersion(options.version)
  const text = httpRuleText(match, version)
  const routers: Record<string, object> = {}
  const middlewares = ruleMiddlewares(rule, name, options)
  if (service === undefined) middlewares[`${name}_unavailable`] = nobody(503)
  const led = { service: service ?? NO_SERVICE }
  const shared = {
    entryPoints: [entryPointOf(matchPort(rule), "tcp", options).name],
    ...(tls ? { tls: certificateOf(match.hostname, options.acme) } : {}),
  }
  const { entryPoints, ...rest } = shared
  if (requireHeader === undefined) {
    routers[name] = {
      entryPoints,
      rule: text,
      priority: priorityOf(match, rank, 1),
      ...attached(Object.keys(middlewares)),
      ...led,
      ...rest,
    }
  } else {
    if (requireHeader.value === undefined) {
      throw new NotExpressible("requireHeader.value", "is needed by Traefik, which knows no hashes")
    }
    const allow = Object.keys(middlewares).filter((each) => each.endsWith("_allow"))
    routers[name] = {
      entryPoints,
      rule: `${text} && ${headerText(requireHeader.name, requireHeader.value, "requireHeader")}`,
      priority: priorityOf(match, rank, 2),
      ...attached(Object.keys(middlewares)),
      ...led,
      ...rest,
    }
    middlewares[`${name}_deny`] = nobody()
    routers[`${name}_deny`] = {
      entryPoints,
      rule: text,
      priority: priorityOf(match, rank, 1),
      middlewares: [...allow, `${name}_deny`],
      service: NO_SERVICE,
      ...rest,
    }
  }
  if (redirectHttp) {
    const port = matchPort(rule)
    middlewares[redirectName] = {
      redirectScheme: { scheme: "https", ...(port === 443 ? {} : { port: String(port) }), permanent: true },
    }
    routers[redirectName] = {
      entryPoints: ["web"],
      rule: `${text} && !PathPrefix(\`${ACME_PATH}\`)`,
      priority: priorityOf(match, redirectRank, 0),
      middlewares: [redirectName],
      service: NO_SERVICE,
    }
  }
  return { routers, middlewares }
}

/** A router for requests of a hostname that none of its rules takes: 404. */
export const unmatchedRouter = (
  hostname: HostnamePattern,
  entryPoint: string,
  { isTls, middleware }: { readonly isTls: boolean; readonly middleware: string },
  options: TraefikOptions,
): object => ({
  entryPoints: [entryPoint],
  rule: httpRuleText({ protocol: "http", hostname }, readVersion(options.version)),
  priority: unmatchedPriority(hostname),
  middlewares: [middleware],
  service: NO_SERVICE,
  ...(isTls ? { tls: {} } : {}),
})

const attached = (middlewares: readonly string[]): { readonly middlewares?: readonly string[] } =>
  middlewares.length === 0 ? {} : { middlewares }

const ruleMiddlewares = (
  { allowCidrs, requireHeader, responseHeaders }: Omit<DeclaredRule, "targets">,
  name: string,
  { trustedIps }: TraefikOptions,
): Record<string, object> => {
  const middlewares: Record<string, object> = {}
  if (allowCidrs !== undefined) {
    const proxies = trustedIps?.forwardedHeaders ?? []
    middlewares[`${name}_allow`] = {
      ipAllowList: {
        sourceRange: allowCidrs,
        ...(proxies.length === 0 ? {} : { ipStrategy: { excludedIPs: proxies } }),
      },
    }
  }
  // An empty value removes a field.
  const request = requireHeader === undefined ? undefined : { [requireHeader.name]: "" }
  const response = [
    ...(responseHeaders?.remove ?? []).map((field) => [field, ""] as const),
    ...Object.entries(responseHeaders?.set ?? {}).map(([field, value]) => {
      const at = `responseHeaders.set.${field}`
      if (value === "") throw new NotExpressible(at, "is empty, which removes a field in Traefik")
      return [field, plainValue(value, at)] as const
    }),
  ]
  for (const [field] of response) plainValue(field, "responseHeaders")
  if (request === undefined && response.length === 0) return middlewares
  middlewares[`${name}_headers`] = {
    headers: {
      ...(request === undefined ? {} : { customRequestHeaders: request }),
      ...(response.length === 0 ? {} : { customResponseHeaders: Object.fromEntries(response.toSorted(byName)) }),
    },
  }
  return middlewares
}

const byName = ([a]: readonly [string, string], [b]: readonly [string, string]): number => (a < b ? -1 : 1)
