import type { RouteRecord, RouteStore } from "@project-ingress/router"

/** What is used of a Workers KV namespace. */
export interface KV {
  get(key: string, type: "json"): Promise<unknown>
}

/** Routes in Workers KV. Eventual: an attachment reaches every place in a minute or so. A KV that fails is "unknown". */
export const kvRoutes = (kv: KV): RouteStore => ({
  get: async (key) => {
    const record = (await kv.get(key, "json")) as RouteRecord | null
    return record === null ? { status: "miss" } : { status: "hit", record }
  },
})
