// Bundled and run in workerd by worker.test.ts: stores that live longer than the requests that ask them.
import type { Lookup, LookupOptions, RouteKey } from "../../src/router.ts"
import { cacheApi } from "../../src/stores/cache-api.ts"
import type { CacheBinding } from "../../src/stores/cache-api.ts"
import { layeredStore } from "../../src/stores/layered.ts"
import type { LayeredStore } from "../../src/stores/layered.ts"

declare const caches: { readonly default: CacheBinding }

interface Context {
  waitUntil(work: Promise<unknown>): void
}

const reads: Record<string, number> = {}
const versions: Record<string, number> = {}
let authorityMs = 0

/** Takes its time by a timer, which ends with the request that set it. */
const authority = {
  get: async (key: RouteKey): Promise<Lookup> => {
    reads[key] = (reads[key] ?? 0) + 1
    const version = versions[key]
    await new Promise((resolve) => setTimeout(resolve, authorityMs))
    if (version === undefined) return { status: "miss" }
    return { status: "hit", record: { kind: "removed", version, epoch: 0 }, layer: "authority" }
  },
}

// Before any request: nothing here may use a clock, a timer, random numbers or the network.
const memoryOnly = layeredStore({ authority, softMs: 50, revalidateMs: 60_000 })
const withCache = (): LayeredStore =>
  layeredStore({ authority, caches: [cacheApi(caches.default)], softMs: 60_000, revalidateMs: 60_000 })
let cached: LayeredStore | undefined

export default {
  async fetch(request: Request, _: unknown, context: Context): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url)
    const key = (searchParams.get("key") ?? "p:misha") as RouteKey
    const options: LookupOptions = {
      signal: new AbortController().signal,
      ...(searchParams.has("kept") ? { waitUntil: (work) => context.waitUntil(work) } : {}),
    }
    switch (pathname) {
      case "/authority":
        if (searchParams.has("version")) versions[key] = Number(searchParams.get("version"))
        authorityMs = Number(searchParams.get("ms") ?? authorityMs)
        return Response.json(reads[key] ?? 0)
      case "/leave":
        // The response is sent while the read goes on.
        void memoryOnly.get(key, options)
        return new Response("left")
      case "/stampede": {
        const looked = await Promise.all(Array.from({ length: 1_000 }, async () => memoryOnly.get(key, options)))
        return Response.json([...new Set(looked.map(({ status }) => status))])
      }
      case "/get":
        return Response.json(await memoryOnly.get(key, options))
      case "/new-isolate":
        cached = undefined
        return new Response()
      case "/cached":
        return Response.json(await (cached ??= withCache()).get(key, options))
      case "/refresh":
        return Response.json(await (cached ??= withCache()).get(key, { ...options, refresh: true }))
      case "/put":
        await caches.default.put(
          `https://routes.project-ingress.invalid/v1/${encodeURIComponent(key)}`,
          new Response(await request.text(), { headers: { "cache-control": "max-age=60" } }),
        )
        return new Response()
      case "/entry": {
        const url = `https://routes.project-ingress.invalid/v1/${encodeURIComponent(key)}`
        return (await caches.default.match(url)) ?? new Response("none", { status: 404 })
      }
      default:
        return new Response("no such path", { status: 404 })
    }
  },
}
