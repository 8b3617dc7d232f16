import { http2, isIp, upstreamTls } from "./clusters.ts"
import { extension, socketAddress } from "./json.ts"
import type { Message } from "./json.ts"
import { watchedFile } from "./listeners.ts"
import type { EnvoyOptions } from "./options.ts"
import { readEndpoint } from "./options.ts"

/** No rule's cluster: what comes after the `_` there is hexadecimal. */
export const COLLECTOR = "otel_collector"

/**
 * What is pushed: connections, requests, the health of targets, listeners and clusters, memory and other resources. Whatever else Envoy
 * counts is not even kept.
 */
const METRICS = [
  // Connections.
  { safe_regex: { regex: "(?:listener|http|tcp|udp)\\..*downstream_(?:cx|sess)_.*" } },
  // Requests, and errors among them.
  { safe_regex: { regex: "http\\..*downstream_rq_.*" } },
  // Targets: whether they are there, their connections, responses and retries.
  { safe_regex: { regex: "cluster\\..*\\.(?:upstream_(?:cx|rq)|membership|health_check)[_.].*" } },
  // Listeners and clusters as such.
  { safe_regex: { regex: "(?:listener_manager|cluster_manager)\\..*" } },
  // Memory and the like.
  { prefix: "server." },
] as const

/** What Envoy starts with: all of its configuration, or where the rest is. */
export const bootstrap = (
  options: EnvoyOptions,
  listeners: readonly Message[],
  clusters: readonly Message[],
): Message => {
  const { telemetry, folder } = options
  const collector = telemetry === undefined ? [] : [collectorCluster(telemetry.endpoint, options)]
  const isStatic = options.mode === "static"
  const fixed = { listeners: isStatic ? listeners : [], clusters: [...(isStatic ? clusters : []), ...collector] }
  return {
    node: { id: "project-ingress", cluster: "project-ingress" },
    ...admin(options),
    static_resources: Object.fromEntries(Object.entries(fixed).filter(([, of]) => of.length > 0)),
    ...(isStatic
      ? {}
      : {
          dynamic_resources: {
            cds_config: watchedFile(`${folder!}/cds`, "cds.json"),
            lds_config: watchedFile(`${folder!}/lds`, "lds.json"),
          },
        }),
    ...(telemetry === undefined ? {} : metrics(telemetry.serviceName)),
  }
}

const admin = ({ admin = {} }: EnvoyOptions): Message =>
  admin === false ? {} : { admin: { address: socketAddress(admin.address ?? "127.0.0.1", admin.port ?? 9901) } }

const metrics = (serviceName: string): Message => ({
  stats_config: {
    stats_matcher: { inclusion_list: { patterns: METRICS } },
    stats_tags: [{ tag_name: "service.name", fixed_value: serviceName }],
  },
  stats_sinks: [
    extension("envoy.stat_sinks.open_telemetry", "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig", {
      grpc_service: { envoy_grpc: { cluster_name: COLLECTOR } },
      emit_tags_as_attributes: true,
    }),
  ],
})

/** A static one: a sink starts before any cluster of a watched file is there. */
const collectorCluster = (endpoint: string, options: EnvoyOptions): Message => {
  const { host, port, isTls } = readEndpoint(endpoint)!
  return {
    name: COLLECTOR,
    type: isIp(host) ? "STATIC" : "STRICT_DNS",
    connect_timeout: "5s",
    load_assignment: {
      cluster_name: COLLECTOR,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(host, port) } }] }],
    },
    ...(isTls ? { transport_socket: upstreamTls(host, options) } : {}),
    ...http2,
  }
}
