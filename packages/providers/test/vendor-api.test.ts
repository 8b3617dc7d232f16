import { inspect } from "node:util"
import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import { vendorApi } from "../src/adapter-kit/vendor-api.ts"
import type { VendorApiOptions, VendorRequest } from "../src/adapter-kit/vendor-api.ts"
import { answer as reply, listen } from "./fakes/http.ts"

const signal = new AbortController().signal
const apiKey = "canary-key"
const machine = { type: "acme", externalId: "m1" }
const headers = { authorization: `Bearer ${apiKey}` }
const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => error,
  )
const shown = (failure: unknown): string =>
  inspect(failure, { depth: 20, showHidden: true }) + String(failure) + JSON.stringify(failure)

type Send = NonNullable<VendorApiOptions["fetch"]>
const apiOf = (fetch: Send, more: Partial<VendorApiOptions> = {}) =>
  vendorApi({ apiBase: "https://api.example/v1", secrets: { apiKey }, headers, fetch, ...more })
const ask = (fetch: Send, more?: Partial<VendorApiOptions>) =>
  apiOf(fetch, more).request(machine, { path: "/machines/m1", signal })
const says = (status: number, body?: string, headers?: Record<string, string>): Send => {
  return async () => new Response(body ?? null, { status, ...(headers === undefined ? {} : { headers }) })
}

describe("a question", () => {
  const asked = async (question: Partial<VendorRequest>, more?: Partial<VendorApiOptions>) => {
    const seen: unknown[] = []
    const fetch: Send = async (url, init) => {
      seen.push({ url, ...init })
      return new Response()
    }
    await apiOf(fetch, more).request(machine, { path: "/machines/m1", signal, ...question })
    return seen
  }

  it("goes below the base with the secrets, and follows nobody", async () => {
    expect(await asked({ path: "/machines/m%2F1?all=1" })).toEqual([
      {
        url: "https://api.example/v1/machines/m%2F1?all=1",
        method: "GET",
        headers: { accept: "application/json", ...headers },
        redirect: "manual",
        signal,
      },
    ])
  })

  it("has a body of JSON when it is given one", async () => {
    expect(await asked({ method: "POST", body: { name: "m1" } })).toMatchObject([
      { method: "POST", body: `{"name":"m1"}`, headers: { "content-type": "application/json" } },
    ])
  })

  it("says what it accepts once, whatever the case of its name", async () => {
    const [seen] = await asked({}, { headers: { Accept: "application/vnd.acme+json" } })
    expect(seen).toHaveProperty("headers", { accept: "application/vnd.acme+json" })
  })

  it.each(["/machines/..", "/machines/../start", "/machines/.", "/machines/m 1", "/a\\b", "@evil.example/", "x"])(
    "is never about something else: %s",
    async (path) => {
      const seen = await caught(asked({ path: path as VendorRequest["path"] }))
      expect(seen).toMatchObject({ _tag: "MachineRecordInvalid", machine: "m1", field: "externalId" })
    },
  )

  it("takes the secrets to no redirect's end", async () => {
    const visits: string[] = []
    const elsewhere = await listen((request, response) => {
      visits.push(request.url!)
      reply(response, 200, {})
    })
    const api = await listen((_, response) => reply(response, 307, undefined, { location: elsewhere.origin }))
    const answer = await vendorApi({ apiBase: api.origin, secrets: { apiKey }, headers }).request(machine, {
      path: "/x",
      signal,
    })
    expect([answer.status, answer.ok, visits]).toEqual([307, false, []])
    expect(answer.failure()).toMatchObject({ _tag: "ProviderUnavailable", reason: "HTTP 307" })
    await Promise.all([api.close(), elsewhere.close()])
  })
})

describe("an API", () => {
  it.each([
    "https://api.example",
    "https://api.example/",
    "https://api.example:8443/v1/",
    "http://localhost:3000",
    "http://api.localhost",
    "http://127.0.0.1:1/v1",
    "http://[::1]:1",
    "http://_api.internal:4280/v1",
  ])("may be at %s", (apiBase) => {
    expect(() => apiOf(fetch, { apiBase })).not.toThrow()
  })

  it.each([
    "http://api.example",
    "http://localhost.example",
    "http://127.0.0.1.example",
    "https://u:canary@api.example",
    "https://api.example?canary",
    "https://api.example/?",
    "https://api.example/#canary",
    "https://api.example\\canary",
    "https://",
    "https://api.example:99999",
    "ftp://api.example",
    "api.example",
    "",
    undefined,
  ])("may not be at %s, which is not repeated", (apiBase) => {
    const make = () => apiOf(fetch, { apiBase: apiBase as string })
    expect(make).toThrow(TypeError)
    expect(make).toThrow(/^vendorApi: apiBase must be (?!.*canary)/)
  })

  it("may be anywhere for who wants its secrets in the clear", () => {
    expect(() => apiOf(fetch, { apiBase: "http://api.example", secretsInTheClear: true })).not.toThrow()
    expect(() => apiOf(fetch, { apiBase: "ftp://api.example", secretsInTheClear: true })).toThrow(
      /^vendorApi: apiBase must be/,
    )
  })

  it.each(["", " canary", "canary canary", "canary\r\nx: y", "canäry", undefined])(
    "has no secret that is %j, and does not repeat it",
    (secret) => {
      for (const secrets of [{ apiKey: secret as string }, { apiKey: [apiKey, secret as string] }]) {
        expect(() => apiOf(fetch, { secrets })).toThrow(/^vendorApi: secrets\.apiKey must be visible ASCII(?!.*canary)/)
      }
    },
  )

  it.each([{ "x y": "canary" }, { "x-key": "canary\r\nx: y" }, { "x-key": "" }, { "x-key": "canäry" }])(
    "is sent no headers that are none, and does not repeat them: %j",
    (headers) => {
      expect(() => apiOf(fetch, { headers })).toThrow(/^vendorApi: headers must be (?!.*canary)/)
    },
  )
})

describe("an answer", () => {
  it("is one whatever its status", async () => {
    const answer = await ask(says(404, `{"error":"none"}`, { "x-id": "1" }))
    expect(answer).toMatchObject({ status: 404, ok: false, text: `{"error":"none"}`, json: { error: "none" } })
    expect(answer.headers.get("X-Id")).toBe("1")
    expect(answer.where).toEqual({ provider: "acme", machine: "m1" })
    expect(await ask(says(204))).toMatchObject({ status: 204, ok: true, text: "", json: undefined })
    expect(await ask(says(200, "<html>"))).toMatchObject({ ok: true, text: "<html>", json: undefined })
  })

  it("is a redirect that the runtime hides", async () => {
    const hidden = Object.defineProperty(new Response(null), "type", { value: "opaqueredirect" })
    const answer = await ask(async () => hidden)
    expect(answer).toMatchObject({ status: 0, ok: false })
    expect(answer.failure()).toMatchObject({ _tag: "ProviderUnavailable", reason: "HTTP 3xx" })
  })

  it("without an end is read up to 4 MiB", async () => {
    let cancelled = false
    const endless = new ReadableStream<Uint8Array>({
      pull: (body) => body.enqueue(new Uint8Array(1_000_000).fill(120)),
      cancel: () => {
        cancelled = true
        return new Promise(() => {})
      },
    })
    const { text } = await ask(async () => new Response(endless))
    expect([text.length, cancelled]).toEqual([4 * 1024 * 1024, true])
  })

  const later = { "retry-after": "7" }
  it.each([
    [401, {}, { _tag: "ProviderAuth" }],
    [403, {}, { _tag: "ProviderAuth" }],
    [404, {}, { _tag: "MachineNotFound" }],
    [409, {}, { _tag: "MachineStarting", retryAfterMs: undefined }],
    [409, later, { _tag: "MachineStarting", retryAfterMs: 7_000 }],
    [429, {}, { _tag: "ProviderRateLimited", retryAfterMs: undefined }],
    [429, later, { _tag: "ProviderRateLimited", retryAfterMs: 7_000 }],
    [302, {}, { _tag: "ProviderUnavailable", reason: "HTTP 302" }],
    [400, {}, { _tag: "ProviderUnavailable", reason: "HTTP 400" }],
    [500, {}, { _tag: "ProviderUnavailable", reason: "HTTP 500" }],
    [503, later, { _tag: "ProviderUnavailable", reason: "HTTP 503" }],
  ] as const)("of %i %j is %j", async (status, headers, failure) => {
    const answer = await ask(says(status, undefined, headers))
    const named = { ...failure, provider: "acme", machine: "m1" }
    expect(answer.failure()).toMatchObject(named)
    expect(answer.failure()).not.toHaveProperty("cause")
    expect(() => answer.decode(Schema.Unknown)).toThrow(expect.objectContaining(named))
  })

  const Found = Schema.Struct({ state: Schema.String })
  it("is its JSON, as a schema has it", async () => {
    expect((await ask(says(200, `{"state":"up","more":1}`))).decode(Found)).toEqual({ state: "up" })
    expect((await ask(says(204))).decode(Schema.Unknown)).toBeUndefined()
  })

  it.each(["", "<html>", "[]", `{"state":1}`, `{"state":`])("that is %j is not understood", async (body) => {
    const answer = await ask(says(200, body), { causeOf: ({ text }) => text })
    const failure = await caught(Promise.resolve().then(() => answer.decode(Found)))
    expect(failure).toMatchObject({ ...answer.where, reason: "invalid response" })
    expect(failure).not.toHaveProperty("cause")
  })

  it("tells nothing of itself by its failure, unless it is asked to", async () => {
    const body = `{"message":"${apiKey} and a token of somebody"}`
    const answer = await ask(says(500, body))
    expect(shown(answer.failure())).not.toMatch(/canary|somebody/)
  })

  it("tells what it is asked to, without the secrets and not at length", async () => {
    const secrets = { apiKey, pair: ["canary-one", "canary-two"] }
    const causeOf: VendorApiOptions["causeOf"] = ({ status, text }) => `${status}: ${text}`
    const failure = (text: string) => ask(says(500, text), { secrets, causeOf }).then((answer) => answer.failure())
    const success = await ask(says(200, `{"env":"somebody's"}`), { causeOf })
    expect(success.where).toEqual({ provider: "acme", machine: "m1" })
    const told = await failure(`${apiKey} ${apiKey} canary-one,canary-two`)
    expect(told).toMatchObject({ message: "acme machine m1 cannot be reached: HTTP 500" })
    expect(told.cause).toEqual(new Error("500: … … …,…"))
    const long = await failure(`${"x".repeat(990)}${apiKey}${"y".repeat(5_000)}`)
    expect((long.cause as Error).message).toHaveLength(1_000)
    expect(shown([told, long])).not.toMatch(/cana/)
  })
})

describe("no answer", () => {
  it.each([
    ["ECONNREFUSED", Object.assign(new Error("x"), { code: "ECONNREFUSED" })],
    ["ENOTFOUND", new TypeError("fetch failed", { cause: Object.assign(new Error("x"), { code: "ENOTFOUND" }) })],
    ["ConnectionRefused", Object.assign(new Error("x"), { code: "ConnectionRefused" })],
    ["timeout", new DOMException("slow", "TimeoutError")],
    ["timeout", new TypeError("fetch failed", { cause: new DOMException("slow", "TimeoutError") })],
    ["no connection", new TypeError("fetch failed")],
    ["no connection", "thrown"],
    ["no connection", null],
    ["the API cannot be reached", Object.assign(new Error("x"), { code: "see http://api.example" })],
    ["the API cannot be reached", Object.assign(new Error("x"), { code: "CANARY_2" })],
  ])("is unavailable: %s", async (reason, error) => {
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- a `fetch` may reject with anything
    const failure = await caught(ask(() => Promise.reject(error), { secrets: { apiKey: ["CANARY_2"] } }))
    expect(failure).toMatchObject({ _tag: "ProviderUnavailable", provider: "acme", machine: "m1", reason })
  })

  it("is one that breaks off", async () => {
    const half = new ReadableStream({ pull: (body) => body.error(new Error("cut")) })
    expect(await caught(ask(async () => new Response(half)))).toMatchObject({ reason: "no connection" })
  })

  it("tells nothing that a `fetch` of one's own may have put into its error", async () => {
    const hostile: Send = (_, init) =>
      Promise.reject(Object.assign(new Error(JSON.stringify(init)), { init, code: apiKey, cause: init }))
    const failure = await caught(ask(hostile))
    expect(failure).toMatchObject({ _tag: "ProviderUnavailable", reason: "the API cannot be reached" })
    expect(shown(failure)).not.toContain("canary")
  })

  it("because nobody waits for it is the signal's reason", async () => {
    const gone = new AbortController()
    const reason = new Error("left")
    const slow: Send = () => {
      gone.abort(reason)
      return Promise.reject(new Error(apiKey))
    }
    expect(await caught(apiOf(slow).request(machine, { path: "/x", signal: gone.signal }))).toBe(reason)
  })
})
