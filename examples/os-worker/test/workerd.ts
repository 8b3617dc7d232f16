import { fileURLToPath } from "node:url"
import type { SigningKey } from "@project-ingress/forward"
import type { RouteKey } from "@project-ingress/router"
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
  /** Terminates TLS by this key and certificate, in PEM. Default: plain HTTP. */
  readonly tls?: { readonly key: string; readonly cert: string }
}

// miniflare's own type needs Cloudflare's, which do not go with the DOM's.
interface Namespace {
  readonly put: (key: string, value: string) => Promise<void>
  readonly delete: (key: string) => Promise<void>
}

/** Bundles the Worker as `wrangler deploy` would and starts it. */
export const startWorker = async (setup: WorkerSetup): Promise<RunningWorker> => {
  const { signing, port = 0, domain = "localhost", tls } = setup
  const bundle = await build({
    entryPoints: [fileURLToPath(new URL("../src/index.ts", import.meta.url))],
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
      kvNamespaces: ["ROUTES"],
      bindings: { DOMAIN: domain, SIGNING_KEY: JSON.stringify(signing) },
    }),
  )
  const { port: bound } = await miniflare.ready
  const routes = (await miniflare.getKVNamespace("ROUTES")) as unknown as Namespace
  let epoch = 0
  return {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${bound}`,
    attach: (key, record) => {
      epoch += 1
      return routes.put(key, JSON.stringify({ kind: "machine", ...record, version: epoch, epoch }))
    },
    detach: (key) => routes.delete(key),
    dispose: () => miniflare.dispose(),
  }
}
