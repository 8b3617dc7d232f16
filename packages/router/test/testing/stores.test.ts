/** The laws of route stores, for every store of this package that needs nothing outside this process. */
import { describe, it } from "vitest"
import { memoryStore } from "../../src/stores/memory.ts"
import type { RouteInput } from "../../src/stores/memory.ts"
import { routeStoreSuite } from "../../src/testing.ts"
import { simpleFixture } from "./memory-fixture.ts"

/** So that a source that hangs costs a test less. */
const lookupTimeoutMs = 1_000

describe("a store of a few lines", () => {
  routeStoreSuite(it, simpleFixture(), { lookupTimeoutMs: 200 })
})

describe("memoryStore", () => {
  const store = memoryStore()
  const skip = { "version.older": "it counts versions itself: the last write is the newest" }
  routeStoreSuite(
    it,
    { open: () => store, put: (key, record) => store.attach(key, record as RouteInput), remove: (key) => store.detach(key) },
    { lookupTimeoutMs, skip },
  )
})
