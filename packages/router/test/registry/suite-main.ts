// Run by suite.test.ts with `node --test`: the laws in another runner than vitest.
import { test } from "node:test"
import { memoryRegistry } from "../../src/stores/memory.ts"
import { routeRegistrySuite } from "../../src/testing.ts"
import type { AnyRegistry } from "../../src/testing.ts"

let registry: AnyRegistry | undefined
routeRegistrySuite(test, {
  open: (options) => {
    const { pollMs: _, ...accepted } = options
    return (registry ??= memoryRegistry(accepted))
  },
  empty: () => {
    registry = undefined
  },
  notifies: true,
})
