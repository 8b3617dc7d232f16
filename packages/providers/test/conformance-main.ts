// Run by conformance-runtimes.test.ts: the suite in the runner of its runtime, node:test, bun:test or Deno.test. For a fixture
// of another process, or for `local` with machines of this one.
import { providerSuite } from "../src/testing.ts"
import type { SuiteOptions, TestRunner } from "../src/testing.ts"
import { localFixture } from "./conformance-fixtures.ts"
import { remoteFixture } from "./conformance-remote.ts"
import type { Remote } from "./conformance-remote.ts"

export interface Given extends Pick<SuiteOptions, "skip"> {
  readonly remote?: Remote
}

interface Deno {
  test(options: { name: string; fn: () => Promise<void>; sanitizeOps: boolean; sanitizeResources: boolean }): void
}
const { Deno } = globalThis as { Deno?: Deno }

const load = async (name: string): Promise<TestRunner> => ((await import(name)) as { readonly test: TestRunner }).test
const test: TestRunner =
  Deno !== undefined
    ? // The suite keeps its machines and connections from one test to the next.
      (name, fn) => Deno.test({ name, fn, sanitizeOps: false, sanitizeResources: false })
    : await load("bun" in globalThis.process.versions ? "bun:test" : "node:test")

const { remote, skip = {} } = JSON.parse(globalThis.process.env["CONFORMANCE"]!) as Given
const here = remote === undefined ? await localFixture() : undefined
const report = await providerSuite(test, () => here ?? remoteFixture(remote!), { skip })
void test(`tried ${report.tried.length} laws`, async () => void (await here?.close()))
console.log(`registered ${JSON.stringify(report)}`)
