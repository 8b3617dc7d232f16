import { once } from "node:events"
import { existsSync, readdirSync, readFileSync, watch } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { assertMessage } from "./envoy-api.ts"

interface Response {
  readonly version_info: string
  readonly resources: readonly { readonly name: string }[]
}

/** An Envoy as far as watched files and `/config_dump` go: it reads a file when one of its folder was moved into place. */
export interface WatchingEnvoy {
  readonly url: string
  /** What it took over, in order: `cds a,b`, `rds ingress_routes_80`, `lds ingress_listener_80`. */
  readonly taken: string[]
  /** References to what was not there at that time. */
  readonly missing: readonly string[]
  /** Set: listeners are refused for that reason. */
  refusal: string | undefined
  /** As often as that, it says that new clusters wait for their first look-up. */
  warmings: number
  /** Set: nothing is taken over any more. */
  isStuck: boolean
  close(): Promise<void>
}

export const watchingEnvoy = async (folder: string): Promise<WatchingEnvoy> => {
  const taken: string[] = []
  const missing: string[] = []
  let clusters: Response = { version_info: "", resources: [] }
  let listeners: Response = { version_info: "", resources: [] }
  const tables = new Map<string, Response>()
  let failed: { version_info: string; details: string } | undefined

  const namesIn = (value: unknown, key: string): readonly string[] =>
    Array.from(JSON.stringify(value).matchAll(new RegExp(`"${key}":"([^"]+)"`, "g")), ([, name]) => name!)
  const require = (referring: unknown): void => {
    const known = new Set(clusters.resources.map(({ name }) => name))
    missing.push(...namesIn(referring, "cluster").filter((name) => !known.has(name)))
  }
  const read = (path: string): Response | undefined => {
    if (!existsSync(join(folder, path))) return undefined
    const value: unknown = JSON.parse(readFileSync(join(folder, path), "utf8"))
    assertMessage("envoy.service.discovery.v3.DiscoveryResponse", value)
    return value as Response
  }
  const take = (kind: string, response: Response): void =>
    void taken.push(`${kind} ${response.resources.map(({ name }) => name).join(",")}`)

  const readTable = (name: string): void => {
    const table = read(`rds/${name}.json`)
    if (table === undefined) {
      missing.push(name)
      return
    }
    if (table.version_info === tables.get(name)?.version_info) return
    tables.set(name, table)
    if (envoy.warmings > 0) missing.push(`${name} before its clusters are ready`)
    require(table)
    take("rds", table)
  }
  const load = (kind: "cds" | "lds" | "rds"): void => {
    if (envoy.isStuck) return
    const subscribed = namesIn(listeners, "route_config_name")
    if (kind === "rds") return subscribed.forEach(readTable)
    const response = read(`${kind}/${kind}.json`)
    const before = kind === "cds" ? clusters : listeners
    if (response === undefined || response.version_info === before.version_info) return
    if (kind === "cds") {
      clusters = response
      take(kind, response)
      // What is removed must not be referred to any more.
      for (const table of tables.values()) require(table)
      return
    }
    if (envoy.refusal !== undefined) {
      failed = { version_info: response.version_info, details: envoy.refusal }
      return
    }
    listeners = response
    require(response)
    take(kind, response)
    namesIn(response, "route_config_name").forEach(readTable)
    for (const name of tables.keys()) if (!namesIn(response, "route_config_name").includes(name)) tables.delete(name)
  }

  const dump = () => ({
    configs: [
      {
        "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
        version_info: clusters.version_info,
        dynamic_warming_clusters: envoy.warmings-- > 0 ? [{ version_info: clusters.version_info }] : [],
      },
      {
        "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
        version_info: listeners.version_info,
        dynamic_listeners: failed === undefined ? [] : [{ name: "l", error_state: failed }],
      },
      {
        "@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump",
        dynamic_route_configs: Array.from(tables, ([name, { version_info, resources }]) => ({
          version_info,
          route_config: { ...resources[0], name },
        })),
      },
    ],
  })
  const server = createServer((_, response) => {
    const value = dump()
    assertMessage("envoy.admin.v3.ConfigDump", value)
    response.end(JSON.stringify(value))
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const watchers = (["cds", "rds", "lds"] as const)
    .filter((kind) => readdirSync(folder).includes(kind))
    .map((kind) =>
      watch(join(folder, kind), (event, name) => event === "rename" && name?.endsWith(".json") === true && load(kind)),
    )
  const envoy: WatchingEnvoy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    taken,
    missing,
    refusal: undefined,
    warmings: 0,
    isStuck: false,
    close: async () => {
      for (const watcher of watchers) watcher.close()
      server.close()
      server.closeAllConnections()
      await once(server, "close")
    },
  }
  load("cds")
  load("lds")
  return envoy
}
