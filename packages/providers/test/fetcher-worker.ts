// Bundled and run by workers.test.ts in workerd: one fetcher for all requests, as a Worker's module scope has it.
import { MachineNotRunning } from "../src/contract/errors.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { MachineFetcher } from "../src/transport/machine-fetcher.ts"

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
          capabilities: { runtimes: ["workerd"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
          // Real I/O, bound to the request that asks.
          async resolve(_, { signal }) {
            const found = await fetch(`${origin}/resolve/${machine}`, { signal })
            const text = await found.text()
            if (found.status === 409) throw new MachineNotRunning({ provider: "api", machine, state: text })
            return { origin: text, epoch: "1", ttlMs: 60_000 }
          },
          async start(_, { signal }) {
            await fetch(`${origin}/start/${machine}`, { signal })
          },
        },
        { id: machine, type: "api", externalId: machine, metadata: {} },
        { resolveTimeoutMs: 300_000 },
      )
      fetchers.set(machine, fetcher)
    }
    // Ends its request while its question is under way, and all its I/O with it.
    if (url.searchParams.has("leave")) {
      fetcher(new Request("https://app.example.test/")).catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, 100))
      return new Response("left")
    }
    // Computes for longer than a request that is alive may give no sign of it. No clock moves meanwhile.
    if (url.searchParams.has("compute")) {
      let sum = 0
      for (let i = 0; i < 3e8; i++) sum = (sum * 31 + i) | 0
      return new Response(String(sum))
    }
    // Talks with the machine over a WebSocket of its own.
    if (url.searchParams.has("connect")) {
      try {
        const socket = await fetcher.connect(new Request(`https://app.example.test/${url.searchParams.get("connect")}`))
        const said = new Promise<string>((resolve) => {
          socket.addEventListener("message", ({ data }) => resolve(String(data)))
        })
        socket.send("hello")
        const answer = await said
        socket.close(1000)
        return new Response(answer)
      } catch (error) {
        return new Response(String(error))
      }
    }
    try {
      return await fetcher(new Request("https://app.example.test/", { headers: request.headers }))
    } catch (error) {
      return new Response(String(error), { status: 500 })
    }
  },
}
