// Run by mutants.test.ts with `node --test`: the laws in another runner than vitest.
import { test } from "node:test"
import { memoryStore } from "../../src/stores/memory.ts"
import { routeStoreSuite } from "../../src/testing.ts"

const store = memoryStore()
routeStoreSuite(
  test,
  { open: () => store, put: (key, record) => store.attach(key, record), remove: store.detach },
  { skip: { "version.older": "it counts versions itself" } },
)
