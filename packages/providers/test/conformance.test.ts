import { afterAll, describe, expect, it } from "vitest"
import { everything } from "../../../test/requirements.ts"
import { providerSuite } from "../src/testing.ts"
import type { TestRunner } from "../src/testing.ts"
import { adapters, lanes, leaveOut, skipOf } from "./conformance-adapters.ts"

// Without `it.skip`, so that a skipped law tells the reporter its reason.
const runner: TestRunner = it
const test: TestRunner = (name, run) => runner(name, run)

// Not at the end of each adapter's laws, which `-t` may leave out: its machines run by then.
const closing: (() => Promise<unknown>)[] = []
afterAll(() => Promise.all(closing.map((close) => close())), 60_000)

// Generous, because a machine under load is slow; a law that is broken fails sooner.
const timeout = 120_000

describe.each(lanes)("%s", { concurrent: true, timeout }, async (_, names) => {
  for (const name of names) {
    const adapter = adapters[name]
    const missing = adapter.slow === true && !everything ? "runs by pnpm test:all" : await adapter.missing?.()
    if (missing !== undefined) leaveOut(`${name} keeps the laws`, missing)
    describe.each(missing === undefined ? [name] : [])("%s", { concurrent: false }, async () => {
      const fixture = await adapter.fixture()
      closing.push(fixture.close)
      it("is tested on every runtime that it declares", () => {
        expect(fixture.provider.capabilities.runtimes).toEqual(adapter.runtimes)
      })
      if (adapter.runtimes.includes("node")) {
        await providerSuite(test, () => fixture, { skip: skipOf(adapter, "node"), lawTimeoutMs: timeout - 10_000 })
      }
    })
  }
})
