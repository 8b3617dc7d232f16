// Bundled and run by workers.test.ts in workerd: one fetcher for all requests, as a Worker's module scope has it.
import { machineFetcher } from "../src/fetcher.ts"
import type { MachineFetcher } from "../src/fetcher.ts"

const fetchers = new Map<string, MachineFetcher>()

export default {
  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url)
    const origin = url.searchParams.get("origin")!
    const machine = url.searchParams.get("machine")!
    let fetcher = fetchers.get(machine)
    if (fetcher === undefined) {
      fetcher = machineFetcher(
        {
          type: "api",
          capabilities: { runtimes: ["workerd"], webSocket: true, wake: "none", ports: "any", eatenHeaders: [] },
          // Real I/O, bound to the request that asks.
          async resolve(_, { signal }) {
            const found = await fetch(`${origin}/resolve/${machine}`, { signal })
            return { origin: await found.text(), epoch: "1", cacheForMs: 60_000 }
          },
        },
        { id: machine, type: "api", externalId: machine, metadata: {} },
      )
      fetchers.set(machine, fetcher)
    }
    try {
      return await fetcher(new Request("https://app.example.test/", { headers: request.headers }))
    } catch (error) {
      return new Response(String(error), { status: 500 })
    }
  },
}
