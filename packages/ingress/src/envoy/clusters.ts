import type { DeclaredRule, TargetProtocol } from "../resource/ingress.ts"
import { extension, socketAddress, typed } from "./json.ts"
import type { Message } from "./json.ts"
import type { EnvoyOptions } from "./options.ts"

/** A target with the address that is dialled. */
export interface DialledAddress {
  readonly host: string
  readonly port: number
  readonly protocol: TargetProtocol
  readonly weight: number
}

/** What a route leads to: one cluster, or several by weight. */
export interface Destination {
  readonly clusters: readonly { readonly message: Message; readonly name: string; readonly weight: number }[]
}

/**
 * The clusters of one rule: one for all targets that are spoken to alike. `name` is unique, and no other rule's name begins with it and
 * `_`.
 */
export const destination = (
  name: string,
  rule: DeclaredRule,
  addresses: readonly DialledAddress[],
  options: EnvoyOptions,
): Destination => {
  const groups = new Map<string, DialledAddress[]>()
  // A weight of 0 takes nothing, and is no valid weight of Envoy's.
  for (const address of addresses.filter(({ weight }) => weight > 0)) {
    // A cluster has one server name, which the certificates of all its endpoints must be for.
    const group = address.protocol === "https" ? `https ${address.host}` : address.protocol
    groups.set(group, [...(groups.get(group) ?? []), address])
  }
  const clusters = [...groups.values()].map((group, at) => {
    const unique = groups.size === 1 ? name : `${name}_${at}`
    const weight = group.reduce((sum, each) => sum + each.weight, 0)
    return { name: unique, weight, message: cluster(unique, rule, group, options) }
  })
  return { clusters }
}

/** The fields of a route's or a TCP proxy's action. */
export const clusterFields = ({ clusters }: Destination): Message =>
  clusters.length === 1
    ? { cluster: clusters[0]!.name }
    : { weighted_clusters: { clusters: clusters.map(({ name, weight }) => ({ name, weight })) } }

const cluster = (
  name: string,
  rule: DeclaredRule,
  addresses: readonly DialledAddress[],
  options: EnvoyOptions,
): Message => {
  const { protocol, host } = addresses[0]!
  const isNamed = addresses.some((address) => !isIp(address.host))
  return {
    name,
    type: isNamed ? "STRICT_DNS" : "STATIC",
    // A machine that has moved is found by the next look-up, without a reload.
    ...(isNamed ? { dns_lookup_family: "V4_PREFERRED", dns_refresh_rate: "5s", respect_dns_ttl: true } : {}),
    connect_timeout: "5s",
    lb_policy: "ROUND_ROBIN",
    load_assignment: { cluster_name: name, endpoints: localities(addresses) },
    ...(addresses.length > 1
      ? {
          common_lb_config: {
            locality_weighted_lb_config: {},
            // Unhealthy ones get requests only if all are: by default, already if half of them are.
            healthy_panic_threshold: { value: 1 },
          },
        }
      : {}),
    // Envoy's own limit is 1024, which as many WebSockets reach.
    circuit_breakers: { thresholds: [{ max_connections: 65_536, max_pending_requests: 65_536, max_requests: 65_536 }] },
    ...(rule.healthCheck === undefined ? {} : { health_checks: [healthCheck(rule, addresses[0]!)] }),
    ...transport(rule, protocol, host, options),
    ...(protocol === "h2c" ? http2 : {}),
  }
}

/** A locality for each target: the weight is the target's, however many addresses its name has. */
const localities = (addresses: readonly DialledAddress[]): readonly Message[] =>
  addresses.map(({ host, port, weight }, at) => ({
    ...(addresses.length > 1 ? { locality: { sub_zone: `target-${at}` }, load_balancing_weight: weight } : {}),
    lb_endpoints: [{ endpoint: { address: socketAddress(host, port) } }],
  }))

export const http2: Message = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      { explicit_http_config: { http2_protocol_options: {} } },
    ),
  },
}

const healthCheck = ({ match, healthCheck }: DeclaredRule, { host, protocol }: DialledAddress): Message => {
  const { path, intervalMs = 10_000, statuses } = healthCheck!
  const literal = match.hostname?.wildcard.includes("*") === false ? match.hostname.text : undefined
  return {
    timeout: seconds(Math.min(intervalMs, 5_000)),
    interval: seconds(intervalMs),
    unhealthy_threshold: 2,
    healthy_threshold: 1,
    http_health_check: {
      host: literal ?? (host.includes(":") ? `[${host}]` : host),
      path,
      // Ends are exclusive.
      expected_statuses:
        statuses === undefined
          ? [{ start: 200, end: 400 }]
          : [...new Set(statuses)].toSorted((a, b) => a - b).map((status) => ({ start: status, end: status + 1 })),
      ...(protocol === "h2c" ? { codec_client_type: "HTTP2" } : {}),
    },
  }
}

const seconds = (ms: number): string => `${ms / 1_000}s`

/** TLS to the target, and the PROXY protocol outside of it. */
const transport = (
  { proxyProtocol }: DeclaredRule,
  protocol: TargetProtocol,
  host: string,
  options: EnvoyOptions,
): Message => {
  const tls = protocol === "https" ? upstreamTls(host, options) : undefined
  if (proxyProtocol === undefined) return tls === undefined ? {} : { transport_socket: tls }
  const inner =
    tls ?? extension("envoy.transport_sockets.raw_buffer", "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")
  return {
    transport_socket: extension(
      "envoy.transport_sockets.upstream_proxy_protocol",
      "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
      { config: { version: proxyProtocol === 1 ? "V1" : "V2" }, transport_socket: inner },
    ),
  }
}

/** TLS to a host, whose certificate must be for that host. */
export const upstreamTls = (host: string, { trustedCa, insecureTargets = false }: EnvoyOptions): Message =>
  extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
    // RFC 6066 §3: an address is no server name.
    ...(isIp(host) ? {} : { sni: host }),
    common_tls_context: insecureTargets
      ? {}
      : {
          validation_context: {
            trusted_ca: { filename: trustedCa ?? "/etc/ssl/certs/ca-certificates.crt" },
            match_typed_subject_alt_names: [{ san_type: isIp(host) ? "IP_ADDRESS" : "DNS", matcher: { exact: host } }],
          },
        },
  })

/** As `decodeIngress` writes them: a host whose last label is a number is an IPv4 address. */
export const isIp = (host: string): boolean => host.includes(":") || /^\d+(?:\.\d+){3}$/.test(host)
