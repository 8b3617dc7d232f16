import { afterAll, describe, it } from "vitest"
import { providerSuite } from "../src/testing.ts"
import type { TestRunner } from "../src/testing.ts"
import { dockerFixture } from "./conformance-docker.ts"
import { localFixture, urlFixture } from "./conformance-fixtures.ts"
import { engineMissing } from "./engine.ts"

// Without `it.skip`, so that a law which is left out tells the reporter its reason.
const runner: TestRunner = it
const test: TestRunner = (name, run) => runner(name, run)

describe("local", async () => {
  const fixture = await localFixture()
  afterAll(fixture.close)
  await providerSuite(test, () => fixture)
})

describe("url", async () => {
  const fixture = await urlFixture()
  afterAll(fixture.close)
  await providerSuite(test, () => fixture)
})

const missing = await engineMissing()
describe.skipIf(missing !== undefined)(`docker${missing === undefined ? "" : `: ${missing}`}`, async () => {
  const fixture = missing === undefined ? await dockerFixture() : await localFixture()
  afterAll(fixture.close, 30_000)
  await providerSuite(test, () => fixture)
})
