import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { bundleWorker } from "./bundle-worker.ts"
import type { WorkerEntry } from "./bundle-worker.ts"

/** A Worker that runs in workerd, on a port of loopback. */
export interface StartedWorker {
  readonly port: number
  readonly dispose: () => Promise<void>
}

/** Starts a Worker whose environment is `bindings`. It gets what was sent: no proxy in front reads the hostname. */
export const startWorker = async (
  entry: WorkerEntry,
  bindings: Readonly<Record<string, unknown>>,
): Promise<StartedWorker> => {
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      host: "127.0.0.1",
      unsafeDirectSockets: [{ host: "127.0.0.1" }],
      modules: true,
      script: await bundleWorker(entry),
      compatibilityDate: "2026-11-01",
      bindings: bindings as Record<string, string>,
    }),
  )
  await worker.ready
  const { port } = await worker.unsafeGetDirectURL()
  return { port: Number(port), dispose: () => worker.dispose() }
}
