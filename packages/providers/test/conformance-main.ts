// Run by conformance-runtimes.test.ts: the suite in the runner of its runtime, node:test, bun:test or Deno.test. For `local`,
// whose machines run here, or for `docker`, whose machines were started by another process.
import { docker } from "../src/docker.ts"
import { providerSuite } from "../src/testing.ts"
import type { SuiteOptions, TestRunner } from "../src/testing.ts"
import { localFixture } from "./conformance-fixtures.ts"
import { remoteFixture } from "./conformance-remote.ts"
import type { Remote } from "./conformance-remote.ts"

const fromDocker = ({ engine, ...remote }: Remote & { readonly engine: string }) =>
  remoteFixture(docker({ host: engine, env: {} }), remote)

interface Deno {
  test(options: { name: string; fn: () => Promise<void>; sanitizeOps: boolean; sanitizeResources: boolean }): void
}
const { Deno } = globalThis as { Deno?: Deno }
const bun = "bun" in globalThis.process.versions

const load = async (name: string): Promise<TestRunner> => ((await import(name)) as { readonly test: TestRunner }).test
const test: TestRunner =
  Deno !== undefined
    ? // The suite keeps its machines and connections from one test to the next.
      (name, fn) => Deno.test({ name, fn, sanitizeOps: false, sanitizeResources: false })
    : await load(bun ? "bun:test" : "node:test")

const skip: NonNullable<SuiteOptions["skip"]> =
  Deno !== undefined
    ? { "http.gzip": "Deno's fetch decodes what it is given, and the fetcher says so" }
    : bun
      ? { "http.path-slashes": "Bun's fetch drops the first of two slashes at the beginning of a path" }
      : {}

const given = globalThis.process.env["CONFORMANCE_DOCKER"]
const { fixture, close } =
  given === undefined
    ? await localFixture().then((fixture) => ({ fixture, close: fixture.close }))
    : { fixture: fromDocker(JSON.parse(given) as Remote & { readonly engine: string }), close: async () => {} }
const { tried } = await providerSuite(test, () => fixture, { skip })
void test(`tried ${tried.length} laws`, close)
