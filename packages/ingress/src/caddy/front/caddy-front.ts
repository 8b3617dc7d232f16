import { accept, checkOptions } from "@project-ingress/router/internal"
import type { ExportInput, Front, FrontPlan } from "../../fronts/front.ts"
import { FrontRefused, PortInUse } from "../../resource/errors.ts"
import type { CaddyConfig } from "../caddy-json.ts"
import type { CaddyOptions } from "../caddy-options.ts"
import { checkCaddyOptions } from "../caddy-options.ts"
import { checkCaddyConfig } from "../check-config.ts"
import { exportCaddy } from "../export-caddy.ts"
import { AdminRefused, adminApi, isAdminAddress, isLocal } from "./admin-api.ts"
import type { RunningConfig } from "./admin-api.ts"
import { canonical, configDiff, isForeign } from "./config-diff.ts"
import { bindFailure, listenersOf, probeListeners } from "./listeners.ts"
import { validateByBinary } from "./validate-binary.ts"

/** What `caddyFront` accepts. */
export interface CaddyFrontOptions {
  /** `http://127.0.0.1:2019`, the default, or `unix//run/caddy/admin.sock`. */
  readonly admin?: string
  /** The `Host` that is sent to a Unix socket: one of the `origins` in Caddy's `admin` block, without which 2.6 refuses. Default: empty. */
  readonly origin?: string
  /** What is generated. Its `admin` is not used: the running Caddy's own stays. */
  readonly export?: CaddyOptions
  /** True: a running configuration that was not generated here is replaced. Default false: it is refused. */
  readonly adopt?: boolean
  /** The path of a `caddy` of the same version and modules: `validate` then runs `caddy validate`. Default: checks of our own alone. */
  readonly binary?: string
  /**
   * Whether new ports are tried before Caddy is given them: right where this process has Caddy's network. Default: where `admin` is of
   * loopback or a Unix socket. Say false for a container whose admin port is published there.
   */
  readonly probeListeners?: boolean
}

/**
 * A running Caddy as a front of `createIngresses`. The whole configuration is replaced, guarded by its ETag, and only if it is still
 * what was planned on. What is not generated stays as it runs: `admin`, `logging`, and `storage` unless the options say one.
 *
 * WebSockets end at every change in Caddy 2.6; requests do not.
 *
 * @throws {TypeError} for an option that is invalid
 */
export const caddyFront = (options: CaddyFrontOptions = {}): Front => {
  checkOptions("caddyFront", options, {
    admin: (value) =>
      typeof value === "string" && isAdminAddress(value) ? undefined : "http://host:port or unix//path",
    origin: (value) => (typeof value === "string" && /^[\w.:[\]-]+$/.test(value) ? undefined : "a host"),
    export: accept.object,
    adopt: accept.boolean,
    binary: accept.string,
    probeListeners: accept.boolean,
  })
  const { admin = "http://127.0.0.1:2019", origin, export: exportOptions = {}, adopt = false, binary } = options
  const { probeListeners: probes = isLocal(admin) } = options
  checkCaddyOptions("caddyFront", exportOptions)
  const api = adminApi(admin, origin)

  const plan = async (input: ExportInput, { signal }: { readonly signal: AbortSignal }): Promise<FrontPlan> => {
    const { config, problems } = exportCaddy(input, exportOptions)
    const running = await api.read(signal)
    const next = merged(config, running.document, exportOptions)
    const text = canonical(next)
    return {
      problems,
      diff: configDiff(running.document, next),
      validate: async (signal) => {
        if (isForeign(running.document) && !adopt) {
          const reason = "runs a configuration that was not generated here; adopt: true replaces it"
          throw new FrontRefused({ front: "caddy", reason })
        }
        const [wrong] = problems.some(({ kind }) => kind === "unsupported") ? [] : checkCaddyConfig(next)
        if (wrong !== undefined) throw new FrontRefused({ front: "caddy", reason: wrong })
        if (binary !== undefined) await validateByBinary(binary, next, signal)
        if (probes) await probeListeners(listenersOf(running.document), listenersOf(next))
      },
      apply: (signal) => api.replace(next, running.etag, signal).catch(refused),
      readBack: async (signal) => {
        const { document } = await api.read(signal)
        if (canonical(document) !== text) throw new Error("Caddy runs another configuration than the planned one")
      },
      rollBack: async (signal) => {
        const current = await api.read(signal)
        const now = canonical(current.document)
        if (now === canonical(running.document)) return
        if (now !== text) throw changed()
        await api.replace(previous(running), current.etag, signal).catch(refused)
      },
    }
  }
  return { name: "caddy", plan }
}

/**
 * A document without the running `admin` block, or with another one, would move the admin API, even if Caddy refuses it: 2.6.2 and
 * 2.11.4. `null` would as well.
 */
const merged = (config: CaddyConfig, running: unknown, { storage }: CaddyOptions): CaddyConfig => {
  const { admin: _, ...generated } = config
  const kept = typeof running === "object" && running !== null ? (running as Record<string, unknown>) : {}
  const keys = ["admin", "logging", ...(storage === undefined ? ["storage"] : [])]
  return { ...generated, ...Object.fromEntries(keys.filter((key) => key in kept).map((key) => [key, kept[key]])) }
}

const previous = ({ document }: RunningConfig): unknown => document ?? {}

const changed = (): FrontRefused =>
  new FrontRefused({ front: "caddy", reason: "was changed by somebody else meanwhile; plan again" })

/** What Caddy says may quote the configuration, and so goes into `cause`. */
const refused = (error: unknown): never => {
  if (!(error instanceof AdminRefused)) throw error
  if (error.status === 412) throw changed()
  const bind = bindFailure(error.text)
  if (bind !== undefined) throw new PortInUse({ front: "caddy", port: bind.port })
  const cause = new Error(error.text)
  throw new FrontRefused({ front: "caddy", reason: `refused the configuration (${error.status})`, cause })
}
