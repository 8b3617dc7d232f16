// The router in workerd, in front of the machine proxy.
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { bundleWorker } from "../../test/bundle-worker.ts"

const script = await bundleWorker(new URL("../../packages/router/test/hosts/worker.ts", import.meta.url))
const worker = new Miniflare(
  convertV4MiniflareOptions({
    cf: false,
    modules: true,
    script,
    compatibilityDate: "2026-11-01",
    bindings: { SETUP: JSON.parse(process.env["SETUP"]!) },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: Number(process.env["PORT"]) }],
  }),
)
await worker.ready
