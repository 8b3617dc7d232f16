import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { bundleWorker } from "./bundle-worker.ts"
import type { WorkerEntry } from "./bundle-worker.ts"

/** What a Worker responds to one request, as JSON. */
export const inWorkerd = async (entry: WorkerEntry): Promise<unknown> => {
  const script = await bundleWorker(entry)
  const options = { modules: true, script, compatibilityDate: "2026-11-01", cf: false } as const
  const workerd = new Miniflare(convertV4MiniflareOptions(options))
  try {
    return await (await workerd.dispatchFetch("http://worker/")).json()
  } finally {
    await workerd.dispose()
  }
}
