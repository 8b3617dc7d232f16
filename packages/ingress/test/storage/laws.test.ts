/** The laws of storages, in every place where a storage can be. */
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { bundleWorker } from "../../../../test/bundle-worker.ts"
import { ingressStorageSuite, storageLaws } from "../../src/testing.ts"
import { engines } from "./engines.ts"
import type { Engine } from "./engines.ts"

for (const { name, start } of engines)
  describe(`in ${name}`, () => {
    let engine: Engine
    beforeAll(async () => void (engine = await start()))
    afterAll(() => engine?.close())
    ingressStorageSuite(
      it,
      { open: () => engine.open(), empty: () => engine.empty() },
      { lawTimeoutMs: 120_000, writers: 5 },
    )
  })

it("in D1, in a Worker", async () => {
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundleWorker(new URL("d1-laws-worker.ts", import.meta.url)),
      compatibilityDate: "2026-11-01",
      d1Databases: ["ROUTES"],
    }),
  )
  try {
    const response = await worker.dispatchFetch("http://laws.example.com/")
    const laws = Object.entries(storageLaws).map(([name, claim]) => [`${name}: ${claim}`, "holds"])
    expect(await response.json()).toEqual(laws)
  } finally {
    await worker.dispose()
  }
})
