type Part = Readonly<Record<string, unknown>>

// `envoy-api.ts` has checked the shapes before anything is read here.
const part = (of: Part, name: string): Part | undefined => of[name] as Part | undefined
const list = (of: Part, name: string): readonly Part[] => (of[name] ?? []) as readonly Part[]
const texts = (of: Part | undefined, name: string): readonly string[] | undefined =>
  of?.[name] as readonly string[] | undefined
const text = (of: Part, name: string): string | undefined => of[name] as string | undefined
const number = (of: Part, name: string): number | undefined => of[name] as number | undefined

export interface Visit {
  readonly port: number
  /** A datagram. */
  readonly udp?: boolean
  /** The server name of its ClientHello, `""` for one without. Absent: the connection does not speak TLS. */
  readonly sni?: string
  readonly client?: string
  readonly host?: string
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

export type Outcome =
  | { readonly kind: "refused" | "closed" }
  | { readonly kind: "status"; readonly status: number; readonly text: string }
  | { readonly kind: "redirect"; readonly to: string }
  | {
      readonly kind: "clusters"
      readonly names: readonly string[]
      /** Fields of the request. */
      readonly removed: readonly string[]
      /** Fields of the response, if it is changed. */
      readonly response?: { readonly set: Readonly<Record<string, string>>; readonly removed: readonly string[] }
    }

/**
 * What Envoy does with a request, by its documentation: the filter chain, the virtual host, the first route that matches, and RBAC. Of an
 * exported static configuration.
 */
export const interpret = (configuration: unknown, visit: Visit): Outcome => {
  const listener = list(part(configuration as Part, "static_resources")!, "listeners").find((each) => {
    const address = part(part(each, "address")!, "socket_address")!
    return number(address, "port_value") === visit.port && (address["protocol"] === "UDP") === (visit.udp === true)
  })
  if (listener === undefined) return { kind: "refused" }
  if (visit.udp === true) {
    const proxy = part(list(listener, "listener_filters")[0]!, "typed_config")!
    const action = part(part(part(proxy, "matcher")!, "on_no_match")!, "action")!
    return { kind: "clusters", names: clusters(part(action, "typed_config")!), removed: [] }
  }
  const chain = chainOf(list(listener, "filter_chains"), visit)
  if (chain === undefined) return { kind: "closed" }
  for (const filter of list(chain, "filters")) {
    const name = text(filter, "name")!.replace("envoy.filters.network.", "")
    const config = part(filter, "typed_config")!
    if (name === "rbac" && !isAllowed(part(config, "rules")!, visit)) return { kind: "closed" }
    if (name === "tcp_proxy") return { kind: "clusters", names: clusters(config), removed: [] }
    // What ends no TLS takes its bytes for HTTP, which they are not.
    const isReadable = (chain["transport_socket"] !== undefined) === (visit.sni !== undefined)
    if (name === "http_connection_manager") return isReadable ? respond(config, visit) : { kind: "closed" }
  }
  // Without filters.
  return { kind: "closed" }
}

/** Server name first (exact, then the longest `*.`), then the transport. */
const chainOf = (chains: readonly Part[], { sni }: Visit): Part | undefined => {
  const suffixes = (sni ?? "").split(".").map((_, at, all) => `*.${all.slice(at + 1).join(".")}`)
  const candidates = sni === undefined || sni === "" ? [undefined] : [sni, ...suffixes, undefined]
  const transport = sni === undefined ? "raw_buffer" : "tls"
  for (const candidate of candidates) {
    const found = chains.filter((chain) => {
      const names = texts(part(chain, "filter_chain_match"), "server_names")
      return candidate === undefined ? names === undefined : names?.includes(candidate) === true
    })
    if (found.length === 0) continue
    // Once a server name has matched, no other one is looked for.
    return found.find((chain) =>
      [undefined, transport].includes(text(part(chain, "filter_chain_match") ?? {}, "transport_protocol")),
    )
  }
  return undefined
}

const respond = (manager: Part, visit: Visit): Outcome => {
  const host = hostOf(part(manager, "route_config")!, visit.host ?? "")
  const route = list(host, "routes").find((each) => matches(part(each, "match")!, visit))
  if (route === undefined) return { kind: "status", status: 404, text: "" }
  const rbac = part(part(route, "typed_per_filter_config") ?? {}, "envoy.filters.http.rbac")
  if (rbac !== undefined && !isAllowed(part(part(rbac, "rbac")!, "rules")!, visit)) {
    return { kind: "status", status: 403, text: "RBAC" }
  }
  const direct = part(route, "direct_response")
  if (direct !== undefined) {
    return { kind: "status", status: number(direct, "status")!, text: text(part(direct, "body")!, "inline_string")! }
  }
  const redirect = part(route, "redirect")
  if (redirect !== undefined) {
    const port = number(redirect, "port_redirect")
    const authority = visit.host!.replace(/:\d+$/, "") + (port === undefined ? "" : `:${port}`)
    return { kind: "redirect", to: `https://${authority}${visit.path ?? "/"}` }
  }
  const removed = texts(route, "request_headers_to_remove") ?? []
  const set = list(route, "response_headers_to_add").map((each) => part(each, "header")!)
  const unset = texts(route, "response_headers_to_remove") ?? []
  const values = set.map((each) => [text(each, "key")!, text(each, "value")!.replaceAll("%%", "%")] as const)
  const response = { set: Object.fromEntries(values), removed: unset }
  const names = clusters(part(route, "route")!)
  return { kind: "clusters", names, removed, ...(set.length + unset.length === 0 ? {} : { response }) }
}

/** Exact, then the longest `*.suffix`, then `*`; without the port, as the table says. */
const hostOf = (table: Part, authority: string): Part => {
  const isPortIgnored = table["ignore_port_in_host_matching"] === true
  const host = (isPortIgnored ? authority.replace(/:\d+$/, "") : authority).toLowerCase()
  const domain = (each: Part): string => texts(each, "domains")![0]!
  const hosts = list(table, "virtual_hosts")
  const [longest] = hosts
    .filter(
      (each) =>
        domain(each).startsWith("*.") && host.endsWith(domain(each).slice(1)) && host.length >= domain(each).length,
    )
    .toSorted((a, b) => domain(b).length - domain(a).length)
  return hosts.find((each) => domain(each) === host) ?? longest ?? hosts.find((each) => domain(each) === "*")!
}

const matches = (match: Part, visit: Visit): boolean => {
  const path = (visit.path ?? "/").replace(/\?.*$/s, "")
  const [prefix, exact, separated] = ["prefix", "path", "path_separated_prefix"].map((name) => text(match, name))
  if (prefix !== undefined && !path.startsWith(prefix)) return false
  if (exact !== undefined && path !== exact) return false
  if (separated !== undefined && path !== separated && !path.startsWith(`${separated}/`)) return false
  return list(match, "headers").every((each) => {
    const value = fieldOf(visit, text(each, "name")!)
    const isMatch = value !== undefined && isText(part(each, "string_match")!, value)
    return isMatch !== (each["invert_match"] === true)
  })
}

const fieldOf = ({ host, path = "/", method = "GET", headers = {} }: Visit, name: string): string | undefined =>
  ({ ":authority": host, ":path": path, ":method": method })[name] ?? headers[name]

const isText = (matcher: Part, value: string): boolean => {
  const [exact, prefix] = ["exact", "prefix"].map((name) => text(matcher, name))
  if (exact !== undefined) return value === exact
  if (prefix !== undefined) return value.startsWith(prefix)
  // RE2 has its flags in front, and a matcher takes the whole value.
  const [, flags = "", source = ""] = /^(?:\(\?(i)\))?(.*)$/s.exec(text(part(matcher, "safe_regex")!, "regex")!)!
  return new RegExp(`^(?:${source})$`, flags).test(value)
}

const clusters = (action: Part): readonly string[] => {
  const one = text(action, "cluster")
  return one === undefined
    ? list(part(action, "weighted_clusters")!, "clusters").map((each) => text(each, "name")!)
    : [one]
}

const isAllowed = (rules: Part, { client = "192.0.2.1", sni = "" }: Visit): boolean =>
  Object.values(part(rules, "policies") as Readonly<Record<string, Part>>).some(
    (policy) =>
      list(policy, "permissions").some(
        (each) => each["any"] === true || isText(part(each, "requested_server_name")!, sni),
      ) && list(policy, "principals").some((each) => each["any"] === true || inRange(part(each, "remote_ip")!, client)),
  )

/** Of IPv4: enough for tests. */
const inRange = (range: Part, client: string): boolean => {
  const value = (ip: string): number => ip.split(".").reduce((sum, each) => sum * 256 + Number(each), 0)
  const size = 2 ** (32 - number(range, "prefix_len")!)
  return Math.floor(value(text(range, "address_prefix")!) / size) === Math.floor(value(client) / size)
}
