/** The laws of storages, in every place where a storage can be. */
import { afterAll, beforeAll, describe, it } from "vitest"
import { ingressStorageSuite } from "../../src/testing.ts"
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
