import { afterAll, describe, expect, it } from "vitest"
import { providerSuite } from "../src/testing.ts"
import type { TestRunner } from "../src/testing.ts"
import { adapters, lanes, skipOf } from "./conformance-adapters.ts"

// Without `it.skip`, so that a law which is left out tells the reporter its reason.
const runner: TestRunner = it
const test: TestRunner = (name, run) => runner(name, run)

// Not at the end of each adapter's laws, which `-t` may leave out: its machines run by then.
const closing: (() => Promise<unknown>)[] = []
afterAll(() => Promise.all(closing.map((close) => close())), 30_000)

describe.each(lanes)("%s", { concurrent: true }, async (_, names) => {
  for (const name of names) {
    const adapter = adapters[name]
    const missing = await adapter.missing?.()
    describe.skipIf(missing !== undefined)(
      `${name}${missing === undefined ? "" : `: ${missing}`}`,
      { concurrent: false },
      async () => {
        const fixture = await (missing === undefined ? adapter : adapters.local).fixture()
        closing.push(fixture.close)
        it("is proved wherever it says that it runs", () => {
          expect(fixture.provider.capabilities.runtimes).toEqual(adapter.runtimes)
        })
        if (adapter.runtimes.includes("node")) {
          await providerSuite(test, () => fixture, { skip: skipOf(adapter, "node") })
        }
      },
    )
  }
})
