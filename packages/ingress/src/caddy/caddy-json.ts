import type { CaddyCertificates, CaddyOptions } from "./caddy-options.ts"
import type { CaddyMatch, CaddyModel, CaddyProxy, CaddyRoute, CaddyServer } from "./caddy-model.ts"
import { authority, placeholderLiteral, regexLiteral } from "./literals.ts"
import type { CaddyUpstream } from "./upstream.ts"

/** A configuration of Caddy: JSON. */
export type CaddyConfig = { readonly [key: string]: unknown }

/** Says that a configuration was generated here. Caddy takes `@id` out before it reads the rest, and shows it again. */
export const GENERATED_ID = "project-ingress"

export const NOT_FOUND = "Not Found: no ingress configured for hostname {http.request.host}"
export const UNAVAILABLE = "Service Unavailable: the target of this hostname has no address"
export const ACME_PATH = "/.well-known/acme-challenge/*"
const TEXT = { "Content-Type": ["text/plain; charset=utf-8"] }

/** Writes the model as Caddy's JSON, in an order of keys of its own that is always the same. */
export const caddyJson = (model: CaddyModel, options: CaddyOptions): CaddyConfig => {
  const { admin = { listen: "localhost:2019" }, storage } = options
  return {
    "@id": GENERATED_ID,
    admin: { listen: admin.listen, ...(admin.origins === undefined ? {} : { origins: admin.origins }) },
    ...(storage === undefined ? {} : { storage: { module: "file_system", root: storage } }),
    ...(model.servers.length === 0 ? {} : { apps: apps(model, options) }),
  }
}

const apps = (model: CaddyModel, options: CaddyOptions): CaddyConfig => {
  const listening = (port: number) => model.servers.find((server) => server.port === port)?.listenPort
  const [httpPort, httpsPort] = [listening(80), listening(443)]
  const hasTls = model.servers.some(({ tls }) => tls)
  const { certificates } = options
  return {
    http: {
      // Where Caddy expects the HTTP challenge, and what it takes for plain HTTP.
      ...(httpPort === undefined || httpPort === 80 ? {} : { http_port: httpPort }),
      ...(httpsPort === undefined || httpsPort === 443 ? {} : { https_port: httpsPort }),
      servers: Object.fromEntries(model.servers.map((each) => [`ingress-${each.port}`, server(each, options)])),
    },
    ...(hasTls && certificates !== undefined ? tlsApps(model, certificates) : {}),
  }
}

const server = ({ port, listenPort, tls, routes }: CaddyServer, options: CaddyOptions): CaddyConfig => ({
  listen: [authority(options.listenAddress ?? "", listenPort)],
  routes: [...grouped(routes, options), { handle: [text(404, NOT_FOUND)] }],
  ...(tls
    ? // Without a policy of its own a server on another port than Caddy's HTTPS port would be plain.
      { tls_connection_policies: [{}], automatic_https: { disable_redirects: true, disable_certificates: true } }
    : { automatic_https: { disable: true } }),
  // `Alt-Svc` would name the listening port, which visitors of a balancer do not reach.
  ...(tls && port !== listenPort ? { protocols: ["h1", "h2"] } : {}),
})

/**
 * The most hostnames of a group. Above 100 Caddy searches its list by halves, and then, in 2.6, by case: `API.example.com` would avoid
 * its rule, and be a wildcard's.
 */
const GROUP = 100

/**
 * Routes for exact hostnames, which come first, in groups that are looked into if they have the hostname: a list of hostnames costs Caddy
 * much less than as many routes. A group that has no route for a request is passed, so that the order stays what it was.
 */
const grouped = (routes: readonly CaddyRoute[], options: CaddyOptions): CaddyConfig[] => {
  const written = routes.map((each) => route(each, options))
  const exact = routes.findIndex(({ match }) => match.host.includes("*"))
  const count = exact < 0 ? routes.length : exact
  if (count <= 2 * GROUP) return written
  const groups: CaddyConfig[] = []
  for (let at = 0; at < count; at += GROUP) {
    const end = Math.min(at + GROUP, count)
    const hosts = [...new Set(routes.slice(at, end).map(({ match }) => match.host))]
    groups.push({ match: [{ host: hosts }], handle: [{ handler: "subroute", routes: written.slice(at, end) }] })
  }
  return [...groups, ...written.slice(count)]
}

const route = ({ match, action }: CaddyRoute, options: CaddyOptions): CaddyConfig => {
  if (action.kind === "unavailable") {
    return { match: [matcher(match)], handle: [text(503, UNAVAILABLE)], terminal: true }
  }
  if (action.kind === "not-found") return { match: [matcher(match)], handle: [text(404, NOT_FOUND)], terminal: true }
  if (action.kind === "redirect") {
    const port = action.port === 443 ? "" : `:${action.port}`
    const location = `https://{http.request.host}${port}{http.request.uri}`
    const redirect = { handler: "static_response", status_code: 301, headers: { Location: [location] } }
    const exempt = { not: [{ path: [ACME_PATH] }] }
    return { match: [{ ...matcher(match), protocol: "http", ...exempt }], handle: [redirect], terminal: true }
  }
  const guards = guardRoutes(action)
  const handlers = [...headersHandler(action), proxyHandler(action, options)]
  const handle = guards.length === 0 ? handlers : [{ handler: "subroute", routes: [...guards, { handle: handlers }] }]
  return { match: [matcher(match)], handle, terminal: true }
}

const matcher = ({ host, path, method, headers }: CaddyMatch): CaddyConfig => ({
  host: [host],
  ...(path === undefined ? {} : { path_regexp: { pattern: path } }),
  ...(method === undefined ? {} : { method: [method] }),
  ...(headers === undefined
    ? {}
    : { header_regexp: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, equal(value)])) }),
})

/** The matcher `header` would expand placeholders and read `*`. */
const equal = (value: string): CaddyConfig => ({ pattern: `^${regexLiteral(value)}$` })

const guardRoutes = ({ allowCidrs, requireHeader }: CaddyProxy): CaddyConfig[] => {
  const refused = (allowed: CaddyConfig): CaddyConfig => ({
    match: [{ not: [allowed] }],
    handle: [{ handler: "static_response", status_code: 403 }],
  })
  return [
    ...(allowCidrs === undefined ? [] : [refused({ remote_ip: { ranges: allowCidrs } })]),
    ...(requireHeader === undefined
      ? []
      : [refused({ header_regexp: { [requireHeader.name]: equal(requireHeader.value) } })]),
  ]
}

const headersHandler = ({ responseHeaders }: CaddyProxy): CaddyConfig[] => {
  if (responseHeaders === undefined) return []
  const { set = {}, remove = [] } = responseHeaders
  const values = Object.fromEntries(Object.entries(set).map(([name, value]) => [name, [placeholderLiteral(value)]]))
  const response = {
    deferred: true,
    ...(Object.keys(values).length === 0 ? {} : { set: values }),
    ...(remove.length === 0 ? {} : { delete: remove }),
  }
  return [{ handler: "headers", response }]
}

const proxyHandler = ({ upstream, requireHeader }: CaddyProxy, options: CaddyOptions): CaddyConfig => ({
  handler: "reverse_proxy",
  ...upstreams(upstream, options),
  ...(requireHeader === undefined ? {} : { headers: { request: { delete: [requireHeader.name] } } }),
  ...(upstream.healthCheck === undefined ? {} : { health_checks: { active: activeCheck(upstream.healthCheck) } }),
  ...(upstream.protocol === "http" ? {} : { transport: transport(upstream.protocol) }),
  ...(options.streamCloseDelayMs === undefined ? {} : { stream_close_delay: `${options.streamCloseDelayMs}ms` }),
})

const upstreams = ({ destination }: CaddyUpstream, { resolver }: CaddyOptions): CaddyConfig => {
  if (destination.kind === "addresses") {
    return {
      upstreams: destination.dial.map((dial) => ({ dial })),
      ...(destination.dial.length > 1 ? { load_balancing: { selection_policy: { policy: "round_robin" } } } : {}),
    }
  }
  return {
    dynamic_upstreams: {
      source: "a",
      name: destination.name,
      port: String(destination.port),
      // The time that the internal responder's records live.
      refresh: "5s",
      ...(resolver === undefined ? {} : { resolver: { addresses: [resolverAddress(resolver)] } }),
    },
  }
}

/** Without a network Caddy 2.6 asks by TCP. */
export const resolverAddress = (resolver: string): string => `udp/${resolver}`

const activeCheck = ({ uri, intervalMs, status }: NonNullable<CaddyUpstream["healthCheck"]>): CaddyConfig => ({
  uri,
  interval: `${intervalMs}ms`,
  timeout: `${Math.min(intervalMs, 5_000)}ms`,
  ...(status === undefined ? {} : { expect_status: status }),
})

const transport = (protocol: "https" | "h2c"): CaddyConfig =>
  protocol === "https" ? { protocol: "http", tls: {} } : { protocol: "http", versions: ["h2c", "2"] }

const text = (status: number, body: string): CaddyConfig => ({
  handler: "static_response",
  status_code: status,
  headers: TEXT,
  body,
})

const tlsApps = ({ certificates: plan }: CaddyModel, { issuer, ask }: CaddyCertificates): CaddyConfig => {
  const subjects = plan.subjects.map(({ name }) => name)
  const issuers = [issuerModule(issuer)]
  const isOnDemand = ask !== undefined && plan.onDemand.length > 0
  return {
    tls: {
      ...(subjects.length === 0 ? {} : { certificates: { automate: subjects } }),
      automation: {
        policies: [
          ...(subjects.length === 0 ? [] : [{ subjects, issuers }]),
          ...(isOnDemand ? [{ issuers, on_demand: true }] : []),
        ],
        ...(isOnDemand ? { on_demand: { ask } } : {}),
      },
    },
    ...(issuer === "internal" ? { pki: { certificate_authorities: { local: { install_trust: false } } } } : {}),
  }
}

const issuerModule = (issuer: CaddyCertificates["issuer"]): CaddyConfig => {
  if (issuer === "internal") return { module: "internal" }
  const { email, directory, dns } = issuer
  const token = `{env.${dns?.tokenVariable ?? "CLOUDFLARE_API_TOKEN"}}`
  return {
    module: "acme",
    ...(directory === undefined ? {} : { ca: directory }),
    email,
    ...(dns === undefined ? {} : { challenges: { dns: { provider: { name: dns.provider, api_token: token } } } }),
  }
}
