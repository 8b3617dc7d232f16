import type { Exported, ExportInput, GeneratedFile } from "../fronts/front.ts"
import { bootstrap, COLLECTOR } from "./bootstrap.ts"
import { checkReferences } from "./check-references.ts"
import { discoveryResponse } from "./discovery-response.ts"
import { nameOf } from "./json.ts"
import type { Message } from "./json.ts"
import { portMessages } from "./listeners.ts"
import { checkEnvoyOptions } from "./options.ts"
import type { EnvoyOptions } from "./options.ts"
import { planRules } from "./plan-rules.ts"
import { yamlText } from "../documents/yaml-text.ts"

/** Whoever reads them may read required headers, which are secrets. */
const MODE = 0o600

/**
 * Envoy's configuration for ingresses: `envoy.yaml`, or for files that Envoy watches `bootstrap.yaml`, `cds/cds.json`, `lds/lds.json` and
 * one file a table of routes, `rds/ingress_routes_80.json`. Equal input gives equal files. What Envoy cannot express is a problem, and
 * left out.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid, and if two ingresses have one name
 */
export const exportEnvoy = (input: ExportInput, options: EnvoyOptions): Exported => {
  checkEnvoyOptions(options)
  const names = new Set(input.ingresses.map(({ name }) => name))
  if (names.size !== input.ingresses.length) throw new TypeError("exportEnvoy: two ingresses have one name")
  const { ports, problems } = planRules(input, options)
  const messages = ports.map((port) => portMessages(port, options))
  const listeners = messages.flatMap(({ listeners }) => listeners)
  const routes = messages.flatMap(({ routes }) => routes)
  const clusters = ports
    .flatMap(({ plain, tls, names, tcp, udp }) => [
      plain.concat(tls).map(({ action }) => action),
      [...names.values(), tcp, udp].map((connection) => connection?.destination),
    ])
    .flat()
    .flatMap((action) => (typeof action === "object" && "clusters" in action ? action.clusters : []))
    .map(({ message }) => message)
    .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
  const start = bootstrap(options, listeners, clusters)
  checkReferences({ listeners, routes, clusters: [...clusters, ...staticClusters(start)] })
  const { format = "yaml" } = options
  const first = options.mode === "static" ? "envoy" : "bootstrap"
  const files = [
    file(`${first}.${format}`, start, format === "yaml"),
    ...(options.mode === "static"
      ? []
      : [
          file("cds/cds.json", discoveryResponse("envoy.config.cluster.v3.Cluster", clusters)),
          file("lds/lds.json", discoveryResponse("envoy.config.listener.v3.Listener", listeners)),
          ...routes.map((table) =>
            file(`rds/${nameOf(table)}.json`, discoveryResponse("envoy.config.route.v3.RouteConfiguration", [table])),
          ),
        ]),
  ]
  return { files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)), problems }
}

const file = (path: string, message: Message, isYaml = false): GeneratedFile => ({
  path,
  text: isYaml ? yamlText(message) : `${JSON.stringify(message, undefined, 2)}\n`,
  mode: MODE,
})

const staticClusters = (start: Message): readonly Message[] => {
  const { clusters = [] } = start["static_resources"] as { readonly clusters?: readonly Message[] }
  return clusters.filter((each) => nameOf(each) === COLLECTOR)
}
