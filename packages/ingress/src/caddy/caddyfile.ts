import type { ExportProblem } from "../fronts/front.ts"
import type { CaddyMatch, CaddyModel, CaddyProxy, CaddyRoute, CaddyServer } from "./caddy-model.ts"
import { ACME_PATH, NOT_FOUND, resolverAddress, UNAVAILABLE } from "./caddy-json.ts"
import type { CaddyCertificates, CaddyOptions } from "./caddy-options.ts"
import { CaddyfileWriter, placeholderToken, token } from "./caddyfile-writer.ts"
import { authority, regexLiteral } from "./literals.ts"

/**
 * The model as a Caddyfile. Each server is one site, so that the order of routes is ours: Caddy's adapter would sort sites and
 * `handle` blocks by rules of its own, and `respond` after them.
 */
export const caddyfile = (
  model: CaddyModel,
  options: CaddyOptions,
): { readonly text: string; readonly problems: readonly ExportProblem[] } => {
  const writer = new CaddyfileWriter()
  const problems: ExportProblem[] = []
  globalOptions(writer, model, options)
  for (const server of model.servers) {
    const { port } = server
    writer.block([`(ingress-${port})`], () => {
      if (options.listenAddress !== undefined) writer.line("bind", safe(options.listenAddress))
      for (const [index, route] of server.routes.entries()) writeRoute(writer, `r${index}`, route, options, problems)
      writer.block(["route"], () => respond(writer, 404, NOT_FOUND))
    })
    sites(writer, server, model, options)
  }
  return { text: writer.text, problems }
}

/** What has been checked to need no more than quotes. */
const safe = (value: string): string => {
  const written = token(value)
  if (written === undefined) throw new Error("exportCaddyfile: a value cannot be written")
  return written
}

const globalOptions = (writer: CaddyfileWriter, { servers, certificates: plan }: CaddyModel, options: CaddyOptions) => {
  const { admin = { listen: "localhost:2019" }, storage, certificates } = options
  const listening = (port: number) => servers.find((server) => server.port === port)?.listenPort
  writer.block([], () => {
    if (admin.origins === undefined) writer.line("admin", safe(admin.listen))
    else {
      writer.block(["admin", safe(admin.listen)], () => writer.line("origins", ...admin.origins!.map(safe)))
    }
    if (storage !== undefined) {
      writer.block(["storage", "file_system"], () => writer.line("root", safe(storage)))
    }
    if (servers.length === 0) return
    writer.line("auto_https", servers.some(({ tls }) => tls) ? "disable_redirects" : "off")
    for (const [name, port] of [
      ["http_port", 80],
      ["https_port", 443],
    ] as const) {
      const at = listening(port)
      if (at !== undefined && at !== port) writer.line(name, String(at))
    }
    if (certificates?.issuer === "internal") writer.line("skip_install_trust")
    if (certificates?.ask !== undefined && plan.onDemand.length > 0) {
      writer.block(["on_demand_tls"], () => writer.line("ask", safe(certificates.ask!)))
    }
    for (const { tls, port, listenPort } of servers) {
      if (!tls || port === listenPort) continue
      writer.block(["servers", authority(options.listenAddress ?? "", listenPort)], () =>
        writer.line("protocols", "h1", "h2"),
      )
    }
  })
}

/** Names in a site's address are what Caddy orders certificates for; `https://:443` takes the rest. */
const sites = (
  writer: CaddyfileWriter,
  server: CaddyServer,
  { certificates: plan }: CaddyModel,
  options: CaddyOptions,
) => {
  const { listenPort: port, tls, routes } = server
  const use = () => writer.line("import", `ingress-${server.port}`)
  if (!tls) {
    writer.block([`http://:${port}`], use)
    return
  }
  const { certificates } = options
  const hosts = new Set(routes.map(({ match }) => match.host))
  // A wildcard may stand on another port than the names that it covers.
  const names = plan.subjects.map(({ name }) => name).filter((name) => isNeeded(name, hosts, plan))
  const everything = `https://:${port}`
  const isOnDemand = certificates?.ask !== undefined && plan.onDemand.length > 0
  const addresses = names.map((name) => `https://${name}:${port}`)
  const first = isOnDemand ? addresses : [...addresses, everything]
  if (first.length > 0) {
    writer.block([first.join(", ")], () => {
      if (certificates !== undefined && names.length > 0) tlsBlock(writer, certificates, false)
      use()
    })
  }
  if (!isOnDemand) return
  writer.block([everything], () => {
    tlsBlock(writer, certificates, true)
    use()
  })
}

const isNeeded = (name: string, hosts: ReadonlySet<string>, { covered }: CaddyModel["certificates"]): boolean =>
  hosts.has(name) || covered.some(({ name: other, by }) => by === name && hosts.has(other))

const tlsBlock = (writer: CaddyfileWriter, { issuer }: CaddyCertificates, isOnDemand: boolean): void => {
  writer.block(["tls"], () => {
    if (isOnDemand) writer.line("on_demand")
    if (issuer === "internal") {
      writer.line("issuer", "internal")
      return
    }
    const { email, directory, dns } = issuer
    writer.block(["issuer", "acme"], () => {
      if (directory !== undefined) writer.line("dir", safe(directory))
      writer.line("email", safe(email))
      if (dns !== undefined) writer.line("dns", dns.provider, `{env.${dns.tokenVariable ?? "CLOUDFLARE_API_TOKEN"}}`)
    })
  })
}

const writeRoute = (
  writer: CaddyfileWriter,
  name: string,
  { match, action, ingress, at }: CaddyRoute,
  options: CaddyOptions,
  problems: ExportProblem[],
): void => {
  writer.block([`@${name}`], () => matchers(writer, match, action.kind === "redirect"))
  // Inside `route` the order is the written one; elsewhere `respond` would come after the proxy, and never run.
  writer.block(["route", `@${name}`], () => {
    if (action.kind === "unavailable") respond(writer, 503, UNAVAILABLE)
    else if (action.kind === "not-found") respond(writer, 404, NOT_FOUND)
    else if (action.kind === "redirect") {
      const port = action.port === 443 ? "" : `:${action.port}`
      writer.line("redir", placeholderToken(`https://{http.request.host}${port}{http.request.uri}`), "301")
    } else {
      writeProxy(writer, name, action, options, (field, reason) =>
        problems.push({ kind: "unsupported", ingress, field: `${at}.${field}`, reason }),
      )
    }
  })
}

const matchers = (writer: CaddyfileWriter, { host, path, method, headers = {} }: CaddyMatch, isRedirect: boolean) => {
  writer.line("host", safe(host))
  if (isRedirect) {
    writer.line("protocol", "http")
    writer.line("not", "path", ACME_PATH)
  }
  if (path !== undefined) writer.line("path_regexp", safe(path))
  if (method !== undefined) writer.line("method", safe(method))
  for (const [field, value] of Object.entries(headers)) writer.line("header_regexp", safe(field), equal(value))
}

const equal = (value: string): string => safe(`^${regexLiteral(value)}$`)

const respond = (writer: CaddyfileWriter, status: number, body: string): void => {
  writer.line("header", "Content-Type", "`text/plain; charset=utf-8`")
  writer.line("respond", placeholderToken(body), String(status))
}

const writeProxy = (
  writer: CaddyfileWriter,
  name: string,
  { allowCidrs, requireHeader, responseHeaders, upstream }: CaddyProxy,
  options: CaddyOptions,
  refuse: (field: string, reason: string) => void,
): void => {
  if (allowCidrs !== undefined) {
    writer.line(`@${name}-network`, "not", "remote_ip", ...allowCidrs.map(safe))
    writer.line("respond", `@${name}-network`, "403")
  }
  if (requireHeader !== undefined) {
    writer.line(`@${name}-header`, "not", "header_regexp", safe(requireHeader.name), equal(requireHeader.value))
    writer.line("respond", `@${name}-header`, "403")
  }
  if (responseHeaders !== undefined) {
    const { set = {}, remove = [] } = responseHeaders
    writer.block(["header"], () => {
      writer.line("defer")
      for (const [field, value] of Object.entries(set)) {
        const written = token(value)
        if (written === undefined)
          refuse("responseHeaders.set", "has a value that a Caddyfile cannot write; use its JSON")
        // A command, `import` of a file even.
        else if (isCommand(field))
          refuse("responseHeaders.set", "has a name that a Caddyfile reads as a command; use its JSON")
        else writer.line(safe(field), written)
      }
      for (const field of remove) writer.line(safe(`-${field}`))
    })
  }
  const { destination, protocol, healthCheck } = upstream
  const addresses = destination.kind === "addresses" ? destination.dial.map(safe) : []
  writer.block(["reverse_proxy", ...addresses], () => {
    if (destination.kind === "dynamic") {
      writer.block(["dynamic", "a"], () => {
        writer.line("name", placeholderToken(destination.name))
        writer.line("port", String(destination.port))
        writer.line("refresh", "5s")
        if (options.resolver !== undefined) writer.line("resolvers", safe(resolverAddress(options.resolver)))
      })
    }
    if (addresses.length > 1) writer.line("lb_policy", "round_robin")
    if (requireHeader !== undefined) writer.line("header_up", safe(`-${requireHeader.name}`))
    if (healthCheck !== undefined) {
      const uri = token(healthCheck.uri)
      if (uri === undefined) refuse("healthCheck.path", "has characters that a Caddyfile cannot write; use its JSON")
      else writer.line("health_uri", uri)
      writer.line("health_interval", `${healthCheck.intervalMs}ms`)
      writer.line("health_timeout", `${Math.min(healthCheck.intervalMs, 5_000)}ms`)
      if (healthCheck.status !== undefined) writer.line("health_status", String(healthCheck.status))
    }
    if (options.streamCloseDelayMs !== undefined) writer.line("stream_close_delay", `${options.streamCloseDelayMs}ms`)
    if (protocol !== "http") {
      writer.block(["transport", "http"], () =>
        protocol === "https" ? writer.line("tls") : writer.line("versions", "h2c", "2"),
      )
    }
  })
}

const isCommand = (field: string): boolean => /^[+\-?>]|^(?:import|defer|match)$/.test(field)
