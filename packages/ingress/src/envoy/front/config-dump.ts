import { withoutSecrets } from "../../fronts/secrets.ts"
import { FrontRefused, PortInUse } from "../../resource/errors.ts"

/** The versions of what Envoy runs: those that were in its files. */
export interface RunningVersions {
  readonly clusters: string | undefined
  readonly listeners: string | undefined
  /** By the name of the table. */
  readonly routes: ReadonlyMap<string, string>
}

/** What Envoy runs now. */
export interface Running extends RunningVersions {
  /** Clusters that wait for their first look-up or health check: until then, requests to them fail. */
  readonly warming: number
}

/** The part of `envoy.admin.v3.ConfigDump` that is read here. */
interface Dump {
  readonly configs?: readonly {
    readonly "@type"?: string
    readonly version_info?: string
    readonly dynamic_warming_clusters?: readonly unknown[]
    readonly dynamic_route_configs?: readonly {
      readonly version_info?: string
      readonly route_config?: { readonly name?: string }
    }[]
    readonly dynamic_listeners?: readonly {
      readonly error_state?: { readonly details?: string; readonly version_info?: string }
    }[]
  }[]
}

/** How a dump is read. */
export interface DumpOptions {
  /** For errors. */
  readonly front: string
  /** The version of listeners that Envoy was given. */
  readonly wanted: string
  /** What must not be shown of Envoy's reasons. */
  readonly secrets: readonly string[]
  readonly signal: AbortSignal
}

/** More is no dump of ours: 256 bytes of it would be a dump's of 500 000 routes. */
const MAX_BYTES = 256 * 1024 * 1024

/**
 * Asks Envoy's admin API what it runs.
 *
 * @throws {PortInUse | FrontRefused} (rejects) if Envoy has refused a listener of `wanted`
 * @throws {Error} (rejects) if there is no such response
 */
export const runningVersions = async (
  admin: string,
  { front, wanted, secrets, signal }: DumpOptions,
): Promise<Running> => {
  const response = await fetch(new URL("/config_dump", admin), { signal, redirect: "manual" })
  const length = Number(response.headers.get("content-length") ?? 0)
  if (!response.ok || length > MAX_BYTES) {
    await response.body?.cancel()
    throw new Error(`Envoy's admin API responded ${response.status} to /config_dump`)
  }
  const { configs = [] } = (await response.json()) as Dump
  const of = (kind: string) => configs.find((config) => config["@type"]?.endsWith(`.${kind}ConfigDump`) === true)
  for (const { error_state: error } of of("Listeners")?.dynamic_listeners ?? []) {
    if (error === undefined || error.version_info !== wanted) continue
    const port = /address already in use/i.test(error.details ?? "") ? /:(\d{1,5})['\s:]/.exec(error.details!) : null
    if (port !== null) throw new PortInUse({ front, port: Number(port[1]) })
    const cause = withoutSecrets(error.details ?? "", secrets).slice(0, 2_000)
    throw new FrontRefused({ front, reason: "has refused a listener", cause })
  }
  const routes = (of("Routes")?.dynamic_route_configs ?? []).map(
    ({ version_info: version = "", route_config: table }) => [table?.name ?? "", version] as const,
  )
  return {
    clusters: of("Clusters")?.version_info,
    warming: of("Clusters")?.dynamic_warming_clusters?.length ?? 0,
    listeners: of("Listeners")?.version_info,
    routes: new Map(routes),
  }
}
