import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { expect, it } from "vitest"
import { startWorker } from "./runtimes.ts"

// With Node's modules workerd has a node:http, which would send something.
it.each([[[]], [["nodejs_compat"]]])(
  "docker can be in a Worker's bundle, and says that it does not run there, with the flags %j",
  { timeout: 30_000 },
  async (compatibilityFlags) => {
    const asked: unknown[] = []
    const engine = createServer(({ url }, response) => {
      asked.push(url)
      response.end("{}")
    }).listen(0, "127.0.0.1")
    await once(engine, "listening")
    const worker = await startWorker("docker-worker.ts", { compatibilityFlags })
    try {
      for (const host of [
        "unix:///var/run/docker.sock",
        `tcp://127.0.0.1:${(engine.address() as AddressInfo).port}`,
        "https://127.0.0.1:2376",
      ]) {
        const answer = await fetch(new URL(`/?host=${encodeURIComponent(host)}`, worker.url))
        expect(await answer.json()).toEqual(
          Array(4).fill("ProviderUnavailable: docker runs on Node, Bun and Deno, not on Workers"),
        )
      }
      expect(asked).toEqual([])
    } finally {
      await worker.dispose()
      engine.close()
    }
  },
)
