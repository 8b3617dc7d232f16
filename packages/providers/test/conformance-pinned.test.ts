import { afterAll, describe, expect, it } from "vitest"
import { providerSuite } from "../src/testing.ts"
import type { TestRunner } from "../src/testing.ts"
import { pinnedLocalFixture } from "./conformance-fixtures.ts"

// Without `it.skip`, so that a skipped law tells the reporter its reason.
const runner: TestRunner = it
const test: TestRunner = (name, run) => runner(name, run)

describe("local, by TLS with the machine's key pinned", { timeout: 120_000 }, async () => {
  const fixture = await pinnedLocalFixture()
  afterAll(() => fixture.close())
  it("has an https endpoint", async () => {
    const options = { port: 3000, signal: new AbortController().signal }
    expect((await fixture.provider.resolve(fixture.machine, options)).origin).toMatch(/^https:/)
  })
  await providerSuite(test, () => fixture, { lawTimeoutMs: 110_000 })
})
