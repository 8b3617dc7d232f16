/** The same router in front of the same vendor, on sockets and in workerd. */
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { bundleWorker } from "../../../../test/bundle-worker.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { keys } from "../fakes.ts"
import { vendorRouter } from "./vendor-router.ts"

/** A listening host. */
export interface WakingHost {
  readonly port: number
  readonly close: () => Promise<void>
}

export const wakingHosts: Readonly<Record<"Node" | "workerd", (vendor: string) => Promise<WakingHost>>> = {
  Node: async (vendor) => {
    const router = vendorRouter(vendor, keys.signing, { machines: { holdMs: 1_500 } })
    const { port, close } = await serveNode(router).listen({ hostname: "127.0.0.1" })
    return { port, close: () => close({ deadlineMs: 0 }) }
  },
  workerd: async (vendor) => {
    const workerd = new Miniflare(
      convertV4MiniflareOptions({
        modules: true,
        script: await bundleWorker(new URL("worker.ts", import.meta.url)),
        compatibilityDate: "2026-11-01",
        compatibilityFlags: ["enable_request_signal"],
        host: "127.0.0.1",
        port: 0,
        cf: false,
        bindings: { VENDOR: vendor, SIGNING_KEY: JSON.stringify(keys.signing) },
      }),
    )
    const { port } = await workerd.ready
    return { port: Number(port), close: () => workerd.dispose() }
  },
}
