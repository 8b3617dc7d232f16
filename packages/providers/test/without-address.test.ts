/** Machines that no URL leads to: their endpoints bring the way there along, as the stub of a Durable Object does. */
import { request as httpRequest } from "node:http"
import type { IncomingMessage } from "node:http"
import { Readable } from "node:stream"
import type { ReadableStream as NodeStream } from "node:stream/web"
import { SendFailure } from "@project-ingress/forward/fetch"
import { afterAll, describe, expect, it } from "vitest"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import { local } from "../src/adapters/local.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { providerSuite } from "../src/testing.ts"
import type { TestRunner } from "../src/testing.ts"
import { localFixture } from "./conformance-fixtures.ts"

/** What a stub does: takes a request and gives the answer as it is, following and decoding nothing. */
const stubOf =
  (origin: string) =>
  async (request: Request): Promise<Response> => {
    const { method, signal, headers, url } = request
    const { hostname, port } = new URL(origin)
    const path = url.slice("http://machine.invalid".length)
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = { hostname, port, method, path, signal, headers: Object.fromEntries(headers), agent: false }
      const onward = httpRequest(options, resolve)
      onward.on("error", (error: NodeJS.ErrnoException) => {
        if (signal.aborted) reject(signal.reason as Error)
        else reject(error.code === "ECONNREFUSED" ? new SendFailure("refused", "no", error) : error)
      })
      if (request.body === null) onward.end()
      else Readable.fromWeb(request.body as NodeStream).pipe(onward)
    })
    const { rawHeaders, statusCode: status = 0 } = answer
    const fields = new Headers()
    for (let i = 0; i < rawHeaders.length; i += 2) fields.append(rawHeaders[i]!, rawHeaders[i + 1]!)
    const empty = [204, 205, 304].includes(status) || method === "HEAD"
    return new Response(empty ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>), {
      status,
      headers: fields,
    })
  }

const stubs = (): MachineProvider => {
  const places = local()
  return {
    type: "stubs",
    // Outside of Workers no WebSocket passes through a function, and Fetch has no trailers.
    capabilities: { ...places.capabilities, webSocket: false, carries: { trailers: false, duplex: false } },
    resolve: async (machine, options) => {
      const { origin, epoch } = await places.resolve(machine, options)
      return { origin: "http://machine.invalid", fetch: stubOf(origin), epoch, ttlMs: 60_000 }
    },
  }
}

const { provider: _, close, ...fixture } = await localFixture()
afterAll(close)
const known = (machine: Machine): Machine => ({ ...machine, type: "stubs" })

describe("keeps the laws", async () => {
  const runner: TestRunner = it
  // Laws that want what such a machine has not are no tests here.
  const test = Object.assign((name: string, run: () => Promise<void>) => runner(name, run), { skip: () => {} })
  await providerSuite(test, () => ({
    ...fixture,
    provider: stubs(),
    machine: known(fixture.machine),
    wrong: {},
    get other() {
      return known(fixture.other!)
    },
    restart: async () => known(await fixture.restart!()),
    swap: async () => known(await fixture.swap!()),
  }))
})

describe("a machine without an address", () => {
  const signal = new AbortController().signal
  const to = (fetch: (request: Request) => Promise<Response>) =>
    machineFetcher(
      { ...stubs(), resolve: async () => ({ origin: "http://machine.invalid", fetch, epoch: "1", ttlMs: 0 }) },
      known(fixture.machine),
    )

  it("cannot open a WebSocket outside of Workers, and says so before anything is sent", async () => {
    let asked = 0
    const fetcher = to(async () => new Response(null, { status: asked++ }))
    await expect(fetcher.connect(new Request("http://app.test/ws", { signal }))).rejects.toMatchObject({
      _tag: "ProviderUnavailable",
      reason: "unsupported",
    })
    expect(asked).toBe(0)
  })

  it("is asked like one with an address: the path, the target and no redirect followed", async () => {
    let seen: Request | undefined
    const fetcher = to(async (request) => {
      seen = request
      return new Response("from the platform", { status: 503 })
    })
    await expect(fetcher(new Request("http://app.test/a//b?c"))).rejects.toMatchObject({ _tag: "ProviderUnavailable" })
    expect([seen!.url, seen!.redirect]).toEqual(["http://machine.invalid/a//b?c", "manual"])
    expect(seen!.headers.get("x-iterate-proxy-target-host")).toBe("3000__app.test")
  })

  it.each([
    ["rejects", () => Promise.reject(new TypeError("no such stub"))],
    [
      "throws",
      () => {
        throw new TypeError("no such stub")
      },
    ],
  ])("may have acted on a request whose function %s", async (_, fetch) => {
    await expect(to(fetch)(new Request("http://app.test/"))).rejects.toMatchObject({ _tag: "UpstreamFailed" })
  })
})
