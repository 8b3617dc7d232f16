/** The laws of registries, in every place where a registry can be. */
import { afterAll, beforeAll, describe, it, vi } from "vitest"
import { everything } from "../../../../test/requirements.ts"
import { registryLaws, routeRegistrySuite } from "../../src/testing.ts"
import type { RegistryFixture } from "../../src/testing.ts"
import { engines } from "./engines.ts"
import type { Engine } from "./engines.ts"

/** 200 writers on D1 take long where other tests run beside them. */
const LAW_TIMEOUT_MS = 300_000
vi.setConfig({ testTimeout: LAW_TIMEOUT_MS })

for (const { name, notifies, missing, start } of engines)
  describe.skipIf(missing !== "")(`in ${name}${missing}`, () => {
    let engine: Engine
    beforeAll(async () => void (engine = await start()))
    afterAll(() => engine?.close())
    const fixture: RegistryFixture = { open: (options) => engine.open(options), empty: () => engine.empty(), notifies }
    // PGlite has a single connection: what would be many writers at once is one after the other.
    const races = Object.keys(registryLaws).filter((law) => name === "PGlite" && law.startsWith("race."))
    const skip = Object.fromEntries(races.map((law) => [law, "one connection has no races"]))
    routeRegistrySuite(it, fixture, { writers: everything ? 200 : 30, skip, lawTimeoutMs: LAW_TIMEOUT_MS })
  })
