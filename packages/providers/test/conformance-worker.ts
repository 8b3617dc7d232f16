// Bundled and run by conformance-runtimes.test.ts in workerd, with a runner of its own: the machines are outside.
import { local } from "../src/local.ts"
import { providerSuite } from "../src/testing.ts"
import type { LawName, SuiteOptions, SuiteReport } from "../src/testing.ts"
import { url } from "../src/url.ts"
import { remoteFixture } from "./conformance-remote.ts"
import type { Remote } from "./conformance-remote.ts"

export interface Asked extends Pick<SuiteOptions, "skip"> {
  readonly adapter: "local" | "url"
  readonly remote: Remote
  /** The law to try. A request for each: workerd gives one request six connections, and laws leave answers open. */
  readonly law?: LawName
}
export interface Outcome extends SuiteReport {
  readonly error?: string | undefined
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { adapter, remote, skip = {}, law } = (await request.json()) as Asked
    const provider = adapter === "local" ? local() : url({ headers: { "x-front-door": remote.secrets![0]! } })
    const tests = new Map<string, () => Promise<void>>()
    const report = await providerSuite(
      (title, run) => tests.set(title.split(":")[0]!, run),
      () => remoteFixture(provider, remote),
      { skip },
    )
    const error = law === undefined ? undefined : await tests.get(law)!().then(() => undefined, String)
    return Response.json({ ...report, error } satisfies Outcome)
  },
}
