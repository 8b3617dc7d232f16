// @ts-expect-error -- workerd's own module; its types would be everybody's globals
import { DurableObject } from "cloudflare:workers"
// Bundled and run by conformance-runtimes.test.ts in workerd, with a runner of its own: the machines are outside.
import { providerSuite } from "../src/testing.ts"
import type { LawName, SuiteOptions, SuiteReport } from "../src/testing.ts"
import type { ContainerNamespace } from "../src/adapters/cloudflare/container.ts"
import { bound, remoteFixture } from "./conformance-remote.ts"
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

/**
 * As `Sandbox` does, a class that extends `Container`: sends a request on to the port of `containerFetch`, and a request to
 * `fetch` to the port of its field, if it is a handshake, else to one that its path chooses. The container is outside, at the
 * second half of the object's name.
 */
export class FakeContainer extends DurableObject {
  readonly #name: string
  readonly #host: string
  constructor(state: { readonly id: { readonly name: string } }, env: unknown) {
    super(state, env)
    const [name = "", host = ""] = state.id.name.split("@")
    this.#name = name
    this.#host = host
  }
  fetch(request: Request): Promise<Response> {
    const port = request.headers.get("cf-container-target-port")
    const handshake = request.headers.get("upgrade") === "websocket" && request.headers.get("connection") === "Upgrade"
    const chosen = /^\/proxy\/(\d+)/.exec(new URL(request.url).pathname)?.[1] ?? "3000"
    return this.#send(request, handshake && port !== null ? port : chosen)
  }
  containerFetch(request: Request, port: number): Promise<Response> {
    return this.#send(request, String(port))
  }
  #send(request: Request, port: string): Promise<Response> {
    const headers = new Headers(request.headers)
    headers.set("x-container", this.#name)
    headers.set("x-container-port", port)
    return fetch(this.#host + request.url.slice("http://container.invalid".length), new Request(request, { headers }))
  }
  async getState(): Promise<unknown> {
    return (await fetch(`${this.#host}/state`, { headers: { "x-container": this.#name } })).json()
  }
}

export default {
  async fetch(request: Request, env: { readonly CONTAINERS: ContainerNamespace }): Promise<Response> {
    bound.containers = env.CONTAINERS
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
