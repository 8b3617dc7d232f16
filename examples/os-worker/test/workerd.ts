import { fileURLToPath } from "node:url"
import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import type { RouteKey } from "@project-ingress/router"
import { d1Registry } from "@project-ingress/router/stores/d1"
import type { D1Binding } from "@project-ingress/router/stores/d1"
import type { MachineInput } from "@project-ingress/router/stores/memory"
import { build } from "esbuild"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"

/** The Worker, running in workerd. */
export interface RunningWorker {
  /** Where it listens: `http://127.0.0.1:<port>`, or `https:` with `tls`. Ask it with a `Host`, or use names under `localhost`. */
  readonly url: string
  readonly attach: (key: RouteKey, record: MachineInput) => Promise<void>
  readonly detach: (key: RouteKey) => Promise<void>
  readonly dispose: () => Promise<void>
}

export interface WorkerSetup {
  readonly signing: SigningKey
  /** Default: a free one. */
  readonly port?: number
  /** What projects live under. Default `localhost`: browsers resolve every name under it to this computer. */
  readonly domain?: string
  /** How old a route may be, in ms. Default 0: `attach` and `detach` write below the router, which sees them at once. */
  readonly routeMaxAgeMs?: number
  /** A folder with what D1, KV and the cache hold, so that another Worker finds it. Default: kept in memory. */
  readonly state?: string
  /** The Worker's file. Default: the example's. */
  readonly entry?: string
  /** Terminates TLS by this key and certificate, in PEM. Default: plain HTTP. */
  readonly tls?: { readonly key: string; readonly cert: string }
}

/** What the control plane's callers bear in tests. */
export const API_TOKEN = "a-token-of-the-tests"

/** Bundles the Worker as `wrangler deploy` would and starts it. */
export const startWorker = async (setup: WorkerSetup): Promise<RunningWorker> => {
  const { signing, port = 0, domain = "localhost", routeMaxAgeMs = 0, state, tls } = setup
  const { entry = fileURLToPath(new URL("../src/index.ts", import.meta.url)) } = setup
  const bundle = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    platform: "neutral",
    target: "es2023",
    mainFields: ["module", "main"],
    conditions: ["@project-ingress/source", "workerd", "worker", "browser"],
    logLevel: "silent",
  })
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: bundle.outputFiles[0]!.text,
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["enable_request_signal"],
      host: "127.0.0.1",
      port,
      ...(tls === undefined ? {} : { httpsKey: tls.key, httpsCert: tls.cert }),
      cf: false,
      d1Databases: ["DB"],
      kvNamespaces: ["ROUTES"],
      ...(state === undefined ? {} : { resourcePersistencePath: state }),
      bindings: {
        DOMAIN: domain,
        SIGNING_KEY: JSON.stringify(signing),
        INGRESS_PROXY_API_TOKEN: API_TOKEN,
        ROUTE_MAX_AGE_MS: String(routeMaxAgeMs),
      },
    }),
  )
  const { port: bound } = await miniflare.ready
  const url = `${tls === undefined ? "http" : "https"}://127.0.0.1:${bound}`
  // miniflare's own type needs Cloudflare's, which do not go with the DOM's.
  const database = (await miniflare.getD1Database("DB")) as unknown as D1Binding
  await d1Registry(database, { grammar: defineGrammar({ domains: [domain] }) }).migrate()
  let epoch = 0
  const run = (query: string, ...values: string[]) => database.batch([database.prepare(query).bind(...values)])
  return {
    url,
    // Below the registry: any key, of a machine that may run anywhere.
    attach: async (key, record) => {
      epoch += 1
      const routed = JSON.stringify({ kind: "machine", ...record, epoch })
      await run(
        "insert or replace into project_ingress_routes values (?1, cast(?2 as integer), ?3)",
        key,
        `${epoch}`,
        routed,
      )
    },
    detach: async (key) => {
      await run("delete from project_ingress_routes where key = ?1", key)
    },
    dispose: () => miniflare.dispose(),
  }
}
