// Bundled and run by conformance-runtimes.test.ts in workerd, with a runner of its own: the machines are outside.
import { providerSuite } from "../src/testing.ts"
import type { LawName, SuiteOptions, SuiteReport } from "../src/testing.ts"
import { remoteFixture } from "./conformance-remote.ts"
import type { Remote } from "./conformance-remote.ts"

export interface Asked extends Pick<SuiteOptions, "skip"> {
  readonly remote: Remote
  /** The law to try. A request for each: workerd gives one request six connections, and laws leave answers open. */
  readonly law?: LawName
}
export interface Outcome extends SuiteReport {
  readonly error?: string | undefined
}

// One suite for all requests about a fixture, so that what was said in one law is still known in the last.
const suites = new Map<string, SuiteReport & { readonly tests: ReadonlyMap<string, () => Promise<void>> }>()

export default {
  async fetch(request: Request): Promise<Response> {
    const { remote, skip = {}, law } = (await request.json()) as Asked
    let suite = suites.get(remote.origin)
    if (suite === undefined) {
      const tests = new Map<string, () => Promise<void>>()
      const report = await providerSuite(
        (title, run) => tests.set(title.split(":")[0]!, run),
        () => remoteFixture(remote),
        { skip },
      )
      suites.set(remote.origin, (suite = { ...report, tests }))
    }
    const { tests, tried, skipped } = suite
    const error = law === undefined ? undefined : await tests.get(law)!().then(() => undefined, String)
    return Response.json({ tried, skipped, error } satisfies Outcome)
  },
}
