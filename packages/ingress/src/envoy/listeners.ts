import { clusterFields } from "./clusters.ts"
import { extension, nameOf, socketAddress, typed } from "./json.ts"
import type { Json, Message } from "./json.ts"
import { networks } from "./networks.ts"
import type { EnvoyCertificate, EnvoyOptions } from "./options.ts"
import { certificateOf, serverName } from "./plan-rules.ts"
import type { PlannedConnection, PlannedPort, PlannedRoute } from "./planned-rules.ts"
import { wildcardRegex } from "./routes.ts"
import { virtualHosts } from "./virtual-hosts.ts"

/** The listeners of a port, TCP before UDP, and the routes that they refer to. */
export interface PortMessages {
  readonly listeners: readonly Message[]
  /** Referred to by name; empty where routes are part of their listener. */
  readonly routes: readonly Message[]
}

export const portMessages = (planned: PlannedPort, options: EnvoyOptions): PortMessages => {
  const { port, plain, tls, names, tcp, udp } = planned
  const isStatic = options.mode === "static"
  const plainTable = table(`ingress_routes_${port}`, plain)
  // Without a certificate there is no handshake, and what a rule says of its hostname is still there for the others'.
  const groups = certificateGroups(tls, options, isStatic)
  const tlsTable = groups.length === 0 ? undefined : table(`ingress_routes_${port}_tls`, tls)
  const isMixed = tlsTable !== undefined || names.size > 0
  const chains = [
    // Only a connection that begins with TLS has a server name; one without is no TLS, or has no name that a rule is for.
    ...(plainTable === undefined
      ? []
      : [
          {
            ...(isMixed ? { filter_chain_match: { transport_protocol: "raw_buffer" } } : {}),
            filters: [connectionManager(`ingress_http_${port}`, plainTable, options)],
          },
        ]),
    ...(tlsTable === undefined
      ? []
      : groups.map(({ certificates, names }) => ({
          filter_chain_match: { server_names: names },
          filters: [connectionManager(`ingress_https_${port}`, tlsTable, options)],
          transport_socket: downstreamTls(certificates, ["h2", "http/1.1"]),
        }))),
    ...[...names].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, each]) => namedChain(name, each, port, options)),
    ...(tcp === undefined ? [] : [{ filters: tcpFilters(tcp, port) }]),
  ]
  const { listenAddress = "0.0.0.0" } = options
  // A chain without filters closes: with nothing else it would be a listener for nobody.
  const isIdle = chains.every((chain: Message) => (chain["filters"] as readonly Json[]).length === 0)
  return {
    routes: isStatic ? [] : [plainTable, tlsTable].filter((each) => each !== undefined),
    listeners: [
      ...(isIdle
        ? []
        : [
            {
              name: `ingress_listener_${port}`,
              address: socketAddress(listenAddress, port),
              ...(isMixed ? { listener_filters: [TLS_INSPECTOR] } : {}),
              filter_chains: chains,
            },
          ]),
      ...(udp === undefined ? [] : [udpListener(udp, listenAddress, port)]),
    ],
  }
}

const TLS_INSPECTOR = extension(
  "envoy.filters.listener.tls_inspector",
  "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
)

/** The routes of a listener, or `undefined` if it would have none. */
const table = (name: string, planned: readonly PlannedRoute[]): Message | undefined => {
  if (planned.length === 0) return undefined
  return {
    name,
    // `Host: example.com:8081` is for `example.com`, and reaches the target as it was sent.
    ignore_port_in_host_matching: true,
    // What a client says of itself and of proxies before is replaced.
    request_headers_to_add: [
      overwritten("x-forwarded-for", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
      overwritten("x-forwarded-host", "%REQ(:AUTHORITY)%"),
    ],
    request_headers_to_remove: ["forwarded", "x-forwarded-port", "x-real-ip"],
    virtual_hosts: virtualHosts(planned),
  }
}

const overwritten = (key: string, value: string): Message => ({
  header: { key, value },
  append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
})

const connectionManager = (name: string, routes: Message, options: EnvoyOptions): Message => {
  const manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
  return extension("envoy.filters.network.http_connection_manager", manager, {
    stat_prefix: name,
    ...(options.mode === "static"
      ? { route_config: routes }
      : {
          rds: {
            route_config_name: routes["name"],
            config_source: watchedFile(`${options.folder!}/rds`, `${nameOf(routes)}.json`),
          },
        }),
    // Its rules are those of each route; without any it lets everybody in.
    http_filters: [
      extension("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC"),
      extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", {
        suppress_envoy_headers: true,
      }),
    ],
    upgrade_configs: [{ upgrade_type: "websocket" }],
    use_remote_address: true,
    xff_num_trusted_hops: options.trustedHops ?? 0,
    skip_xff_append: true,
    generate_request_id: false,
    server_header_transformation: "PASS_THROUGH",
    request_headers_timeout: "60s",
    // By default 5 minutes, in which many a stream of events says nothing.
    stream_idle_timeout: "3600s",
  })
}

/** A file that Envoy reads again when it, or another one of its folder, was moved into place. */
export const watchedFile = (folder: string, file: string): Message => ({
  resource_api_version: "V3",
  path_config_source: { path: `${folder}/${file}`, watched_directory: { path: folder } },
})

/**
 * The certificates of a listener and their server names. Envoy drains the connections of those filter chains alone that change, so each
 * certificate has its own; where routes are written into the chain, one for all, which Envoy chooses the certificate in by its names.
 */
const certificateGroups = (
  routes: readonly PlannedRoute[],
  options: EnvoyOptions,
  isOne: boolean,
): readonly { readonly certificates: readonly EnvoyCertificate[]; readonly names: readonly string[] }[] => {
  const certificates = new Map<string, EnvoyCertificate>()
  const byName = new Map<string, string>()
  for (const { rule } of routes) {
    const certificate = certificateOf(rule, options)
    if (certificate === undefined) continue
    const key = JSON.stringify([certificate.certFile, certificate.keyFile])
    certificates.set(key, certificate)
    const name = serverName(rule.match.hostname!.wildcard)
    // Routes go by hostname, whatever the server name was: one chain for each name is enough.
    if (!byName.has(name)) byName.set(name, key)
  }
  const names = [...byName.keys()].toSorted()
  const keys = [...certificates.keys()].toSorted()
  if (keys.length === 0) return []
  if (isOne) return [{ certificates: keys.map((key) => certificates.get(key)!), names }]
  const groups = new Map<string, string[]>()
  for (const name of names) groups.set(byName.get(name)!, [...(groups.get(byName.get(name)!) ?? []), name])
  return [...groups]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, names]) => ({ certificates: [certificates.get(key)!], names }))
}

const downstreamTls = (certificates: readonly EnvoyCertificate[], protocols: readonly string[]): Message =>
  extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    common_tls_context: {
      ...(protocols.length === 0 ? {} : { alpn_protocols: protocols }),
      tls_certificates: certificates.map(({ certFile, keyFile }) => ({
        certificate_chain: { filename: certFile },
        private_key: { filename: keyFile },
      })),
    },
  })

const namedChain = (name: string, connection: PlannedConnection, port: number, options: EnvoyOptions): Message => {
  const chain = { filter_chain_match: { server_names: [name] }, filters: tcpFilters(connection, port) }
  const certificate = connection.rule.tls === true ? certificateOf(connection.rule, options) : undefined
  if (certificate === undefined) return chain
  return { ...chain, transport_socket: downstreamTls([certificate], []) }
}

const tcpFilters = ({ rule, destination }: PlannedConnection, port: number): readonly Json[] => {
  if (destination === undefined) return []
  const { match, allowCidrs } = rule
  const wildcard = match.hostname?.wildcard
  // `server_names` takes any number of labels for `*`; one of them is meant.
  const isOneLabel = wildcard?.includes("*") === true
  const named = isOneLabel
    ? { requested_server_name: { safe_regex: { regex: `(?i)${wildcardRegex(wildcard)}` } } }
    : undefined
  const name = `ingress_tcp_${port}`
  return [
    ...(allowCidrs === undefined && named === undefined
      ? []
      : [
          extension("envoy.filters.network.rbac", "envoy.extensions.filters.network.rbac.v3.RBAC", {
            stat_prefix: name,
            rules: networks(allowCidrs ?? [], named),
          }),
        ]),
    extension("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {
      stat_prefix: name,
      ...clusterFields(destination),
    }),
  ]
}

const udpListener = ({ destination }: PlannedConnection, address: string, port: number): Message => ({
  name: `ingress_listener_${port}_udp`,
  address: socketAddress(address, port, "UDP"),
  udp_listener_config: {},
  listener_filters: [
    extension("envoy.filters.udp_listener.udp_proxy", "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig", {
      stat_prefix: `ingress_udp_${port}`,
      matcher: {
        on_no_match: {
          action: {
            name: "route",
            typed_config: typed("envoy.extensions.filters.udp.udp_proxy.v3.Route", {
              cluster: destination!.clusters[0]!.name,
            }),
          },
        },
      },
    }),
  ],
})
