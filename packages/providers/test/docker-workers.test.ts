import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { expect, it } from "vitest"

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
    const bundle = await build({
      entryPoints: [fileURLToPath(new URL("docker-worker.ts", import.meta.url))],
      bundle: true,
      format: "esm",
      write: false,
      // As wrangler leaves them.
      external: ["node:*"],
      conditions: ["@project-ingress/source", "workerd"],
    })
    const script = bundle.outputFiles[0]!.text
    const worker = new Miniflare(
      convertV4MiniflareOptions({
        cf: false,
        modules: true,
        script,
        compatibilityDate: "2026-01-01",
        compatibilityFlags,
      }),
    )
    const at = await worker.ready
    try {
      for (const host of [
        "unix:///var/run/docker.sock",
        `tcp://127.0.0.1:${(engine.address() as AddressInfo).port}`,
        "https://127.0.0.1:2376",
      ]) {
        const answer = await fetch(new URL(`/?host=${encodeURIComponent(host)}`, at))
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
