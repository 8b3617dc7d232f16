// The router in workerd, in front of the machine proxy.
import { build } from "esbuild"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"

const bundle = await build({
  entryPoints: [new URL("../../packages/router/test/hosts/worker.ts", import.meta.url).pathname],
  bundle: true,
  format: "esm",
  write: false,
  conditions: ["@project-ingress/source", "workerd"],
  external: ["node:*"],
})
const worker = new Miniflare(
  convertV4MiniflareOptions({
    cf: false,
    modules: true,
    script: bundle.outputFiles[0]!.text,
    compatibilityDate: "2026-11-01",
    bindings: { SETUP: JSON.parse(process.env["SETUP"]!) },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: Number(process.env["PORT"]) }],
  }),
)
await worker.ready
