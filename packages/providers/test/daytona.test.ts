import { inspect } from "node:util"
import * as Effect from "effect/Effect"
import type { SendFailure } from "@project-ingress/forward/fetch"
import { defaultHeaderNames, signTicket, requestHeaders } from "@project-ingress/forward"
import { forwardFetch } from "@project-ingress/forward/fetch"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { daytona, signedPreviewUrl } from "../src/adapters/daytona/daytona.ts"
import type { DaytonaOptions } from "../src/adapters/daytona/daytona.ts"
import { isProviderError } from "../src/contract/errors.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { Machine, PlatformResponse } from "../src/contract/machine-provider.ts"
import { makeMachines } from "../src/machines/machines.ts"
import { encapsulateHeaders } from "../src/transport/request-headers.ts"
import { fakeDaytona } from "./fakes/daytona-cloud.ts"
import type { FakeDaytona, FakeSandbox } from "./fakes/daytona-cloud.ts"
import { fakeMachine } from "./fakes/daytona-machine.ts"
import type { FakeMachine } from "./fakes/daytona-machine.ts"
import { answer, listen } from "./fakes/http.ts"

const signal = new AbortController().signal
const machineOf = (externalId: string): Machine => ({ id: "mach_1", type: "daytona", externalId, metadata: {} })
const ID = "11111111-2222-3333-4444-555555555555"
const KEY = "dtn_canary-key"
const TOKEN = "canarytokencanarytokencanarytoke"

/** An API that answers one thing, which is the state as well as the link, and what it was asked. */
const scripted = (status: number, body: unknown, headers: Record<string, string> = {}) => {
  const asked: { readonly url: string; readonly init: RequestInit }[] = []
  const options: DaytonaOptions = {
    apiKey: KEY,
    fetch: async (url, init) => {
      asked.push({ url, init })
      return new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers })
    },
  }
  return { asked, options, provider: daytona(options) }
}
const link = (url: unknown, token: unknown = TOKEN) => ({ sandboxId: "s", url, token })
const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error) => error,
  )

describe("what is asked of the API", () => {
  const provider = (body: unknown, more: Partial<DaytonaOptions> = {}) => {
    const script = scripted(200, body)
    return { ...script, provider: daytona({ ...script.options, ...more }) }
  }
  const seen = ({ asked }: ReturnType<typeof scripted>) => asked.map(({ url, init }) => `${init.method} ${url}`)

  it("is the state and one preview link, for the machine's proxy whichever port is wanted", async () => {
    const script = provider(link("https://8080-s.proxy.example"))
    await script.provider.resolve(machineOf("s"), { port: 4096, signal })
    expect(seen(script)).toEqual([
      "GET https://app.daytona.io/api/sandbox/s",
      "GET https://app.daytona.io/api/sandbox/s/ports/8080/preview-url",
    ])
    for (const { init } of script.asked) {
      expect(init.headers).toMatchObject({ authorization: `Bearer ${KEY}` })
      expect(init.headers).not.toHaveProperty("x-daytona-organization-id")
      expect(init.redirect).toBe("manual")
    }
  })

  it("is the sandbox for its state, and a POST each to start it and to keep it awake", async () => {
    const script = provider({ state: "started" }, { apiBase: "http://daytona.internal:3000/api/", organization: "org" })
    await script.provider.status!(machineOf("s"), { signal })
    await script.provider.start!(machineOf("s"), { signal })
    await script.provider.keepAlive!(machineOf(ID), { signal })
    expect(seen(script)).toEqual([
      "GET http://daytona.internal:3000/api/sandbox/s",
      "POST http://daytona.internal:3000/api/sandbox/s/start",
      `POST http://daytona.internal:3000/api/sandbox/${ID}/last-activity`,
    ])
    expect(
      script.asked.map(({ init }) => (init.headers as Record<string, string>)["x-daytona-organization-id"]),
    ).toEqual(["org", "org", "org"])
  })

  it.each(["", "..", ".", "a/b", "a?b", "a b", "a%2fb", "x".repeat(256)])("never has the id %j", async (id) => {
    const script = provider({})
    for (const ask of [
      script.provider.resolve(machineOf(id), { port: 1, signal }),
      script.provider.status!(machineOf(id), { signal }),
      script.provider.start!(machineOf(id), { signal }),
      script.provider.keepAlive!(machineOf(id), { signal }),
      signedPreviewUrl(script.options, machineOf(id), { port: 1 }),
    ]) {
      expect(await caught(ask)).toMatchObject({ _tag: "MachineRecordInvalid", field: "externalId" })
    }
    expect(script.asked).toEqual([])
  })

  it.each([
    ["apiKey", { apiKey: `${KEY}\r\nx: y` }],
    ["apiKey", { apiKey: "" }],
    ["organization", { organization: `${KEY} x` }],
    ["apiBase", { apiBase: `https://user:${KEY}@daytona.example` }],
    ["apiBase", { apiBase: `https://daytona.example/?key=${KEY}` }],
    ["apiBase", { apiBase: "ftp://daytona.example" }],
    ["api", { api: "v9" as "v0" }],
  ])("needs an %s that is one, and does not repeat it", (field, more) => {
    const make = () => daytona({ apiKey: KEY, ...more })
    expect(make).toThrow(TypeError)
    expect(make).toThrow(new RegExp(`^daytona: ${field} `))
    expect(make).not.toThrow(/canary/)
  })
})

describe("an endpoint", () => {
  const resolve = (body: unknown, more: Partial<DaytonaOptions> = {}) =>
    daytona({ ...scripted(200, body).options, ...more }).resolve(machineOf("s"), { port: 3000, signal })

  it("has the link's origin, what its edge wants to see and a digest for an epoch", async () => {
    const endpoint = await resolve(link("https://8080-S.proxy.eu.Example:8443/"))
    expect(endpoint).toEqual({
      origin: "https://8080-s.proxy.eu.example:8443",
      headers: {
        "X-Daytona-Preview-Token": TOKEN,
        "X-Daytona-Skip-Preview-Warning": "true",
        "X-Daytona-Disable-CORS": "true",
      },
      epoch: expect.stringMatching(/^[0-9a-f]{16}$/),
      ttlMs: 300_000,
    })
    const next = await resolve(link("https://8080-s.proxy.eu.example", TOKEN.toUpperCase()))
    expect(next.epoch).not.toBe(endpoint.epoch)
    expect((await resolve(link("https://other.example"))).epoch).toBe(endpoint.epoch)
  })

  it.each([
    ["http to an https API", link("http://8080-s.proxy.example")],
    ["credentials", link(`https://u:${TOKEN}@8080-s.proxy.example`)],
    ["a path", link("https://8080-s.proxy.example/x")],
    ["a query", link(`https://8080-s.proxy.example/?t=${TOKEN}`)],
    ["a backslash", link("https://8080-s.proxy.example\\@evil.example")],
    ["another scheme", link("file:///etc/passwd")],
    ["a port that is none", link("https://8080-s.proxy.example:99999")],
    ["no text", link(1)],
    ["a token that is no header", link("https://8080-s.proxy.example", `${TOKEN}\r\nx: y`)],
    ["an empty token", link("https://8080-s.proxy.example", "")],
    ["no token", { sandboxId: "s", url: "https://8080-s.proxy.example" }],
    ["no JSON", "<html>"],
    ["nothing", ""],
  ])("is never made of a link with %s", async (_, body) => {
    const failure = await caught(resolve(body))
    expect(failure).toMatchObject({ _tag: "ProviderUnavailable", reason: "invalid response" })
    expect(inspect(failure, { depth: 9, showHidden: true })).not.toMatch(/canary/)
  })

  it("may be http where the API is", async () => {
    const endpoint = await resolve(link("http://8080-s.localhost:4000"), { apiBase: "http://localhost:3000/api" })
    expect(endpoint.origin).toBe("http://8080-s.localhost:4000")
  })
})

describe("an answer of the API", () => {
  const envelope = (statusCode: number, error: string, message: string) => ({
    path: "/api/sandbox/s/ports/8080/preview-url",
    timestamp: "2026-11-20T00:00:00.000Z",
    statusCode,
    error,
    message,
  })
  const resolve = (script: ReturnType<typeof scripted>) =>
    caught(script.provider.resolve(machineOf("s"), { port: 3000, signal }))
  const start = (script: ReturnType<typeof scripted>) => caught(script.provider.start!(machineOf("s"), { signal }))

  // Y02, Y03, Y07, Y08 and §3.5.
  it.each([
    [404, envelope(404, "Not Found", "Sandbox with ID or name s not found"), { _tag: "MachineNotFound" }],
    [401, envelope(401, "Unauthorized", "Invalid credentials"), { _tag: "ProviderAuth" }],
    [403, envelope(403, "Forbidden", "no"), { _tag: "ProviderAuth" }],
    [409, envelope(409, "Conflict", "Sandbox state change in progress"), { _tag: "MachineStarting" }],
    [400, envelope(400, "Bad Request", "Invalid port"), { _tag: "ProviderUnavailable", reason: "HTTP 400" }],
    [422, "", { _tag: "ProviderUnavailable", reason: "HTTP 422" }],
    [500, "", { _tag: "ProviderUnavailable", reason: "HTTP 500" }],
    [503, { message: "Service is currently under maintenance. Please try again later." }, { reason: "HTTP 503" }],
    [
      429,
      { statusCode: 429, message: "Rate limit exceeded", error: "Too Many Requests" },
      { _tag: "ProviderRateLimited" },
    ],
  ])("of %i is %j", async (status, body, failure) => {
    expect(await resolve(scripted(status, body))).toMatchObject({ ...failure, provider: "daytona", machine: "s" })
  })

  // Y06.
  it.each([
    [400, "Sandbox is not in valid state", { _tag: "MachineNotRunning", state: "not in valid state" }],
    [409, "Sandbox state change in progress", { _tag: "MachineStarting" }],
    [404, "Sandbox with ID or name s not found", { _tag: "MachineNotFound" }],
    [200, "anything", { value: undefined }],
    // vendors.md 3.
    [400, "Total CPU limit exceeded. Maximum allowed: 10.", { _tag: "ProviderUnavailable", reason: "quota exceeded" }],
    [400, "Total disk limit exceeded. Maximum allowed: 30.", { _tag: "ProviderUnavailable", reason: "quota exceeded" }],
    [400, "Sandbox failed to start: no space left", { _tag: "MachineNotRunning", state: "not able to start" }],
    [400, "Sandbox failed to start: Timeout after 30 seconds", { _tag: "MachineStarting" }],
    [400, "Sandbox is in an errored state", { _tag: "MachineNotRunning", state: "in an errored state" }],
    [400, "State change in progress", { _tag: "MachineStarting" }],
    [400, "something new", { _tag: "ProviderUnavailable", reason: "HTTP 400" }],
    [
      403,
      "Organization is suspended: Depleted credits",
      { _tag: "ProviderUnavailable", reason: "organization suspended" },
    ],
    [403, "Region eu is not available", { _tag: "ProviderUnavailable", reason: "region not available" }],
    [403, "CPU request 8 exceeds maximum allowed per sandbox (4)", { reason: "quota exceeded" }],
    [403, "Forbidden resource", { _tag: "ProviderAuth" }],
    [422, "Resuming is not supported for this sandbox", { _tag: "MachineNotRunning" }],
  ])("of %i to a start, %j, is %j", async (status, message, outcome) => {
    expect(await start(scripted(status, { message }))).toMatchObject(outcome)
  })

  it("vendors.md 3: keeps the text of a known error for logs, without the key, and no other text", async () => {
    const causeOf = async (message: string) => {
      const failure = (await start(scripted(400, { message }))) as Error
      return (failure.cause as Error).message
    }
    expect(await causeOf(`Sandbox failed to start: disk ${KEY} is full`)).toBe(
      "Daytona responded with 400: Sandbox failed to start: disk … is full",
    )
    expect(await causeOf(`token ${TOKEN}`)).toBe("Daytona responded with 400")
  })

  it.each([
    [{ "retry-after": "7" }, 7_000],
    [{ "retry-after-authenticated": "12" }, 12_000],
    [{ "Retry-After-Sandbox-Lifecycle": "3", "retry-after": "5" }, 5_000],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": new Date(0).toUTCString() }, 0],
    [{}, undefined],
  ])("with %j says to wait %j ms", async (headers, retryAfterMs) => {
    expect(await resolve(scripted(429, {}, headers))).toMatchObject({ _tag: "ProviderRateLimited", retryAfterMs })
  })

  it("is not awaited longer than the signal", async () => {
    const gone = new AbortController()
    const options: DaytonaOptions = {
      apiKey: KEY,
      fetch: (_, { signal }) =>
        new Promise((_, reject) => signal!.addEventListener("abort", () => reject(new Error(KEY)), { once: true })),
    }
    const waiting = caught(daytona(options).status!(machineOf("s"), { signal: gone.signal }))
    const reason = new Error("left")
    gone.abort(reason)
    expect(await waiting).toBe(reason)
  })

  it("that redirects is not followed", async () => {
    const visits: string[] = []
    const elsewhere = await listen((request, response) => {
      visits.push(request.url!)
      answer(response, 200, link("https://evil.example"))
    })
    const api = await listen((_, response) => answer(response, 302, undefined, { location: `${elsewhere.origin}/` }))
    const provider = daytona({ apiKey: KEY, apiBase: api.origin })
    expect(await caught(provider.resolve(machineOf("s"), { port: 1, signal }))).toMatchObject({
      _tag: "ProviderUnavailable",
      reason: "HTTP 302",
    })
    expect(visits).toEqual([])
    await Promise.all([api.close(), elsewhere.close()])
  })

  it("that does not come is a provider that cannot be reached", async () => {
    const nobody = await listen(() => {})
    await nobody.close()
    const provider = daytona({ apiKey: KEY, apiBase: nobody.origin })
    expect(await caught(provider.status!(machineOf("s"), { signal }))).toMatchObject({
      _tag: "ProviderUnavailable",
      reason: "ECONNREFUSED",
    })
  })
})

describe("a state", () => {
  // §3.6, all 21 words but `unknown`, and one that nobody knows yet.
  it.each([
    ["started", "running"],
    ...["creating", "restoring", "starting", "resuming", "pulling_snapshot", "pending_build", "building_snapshot"].map(
      (word) => [word, "starting"],
    ),
    ...["resizing", "snapshotting", "forking"].map((word) => [word, "starting"]),
    ...["stopping", "pausing", "archiving"].map((word) => [word, "stopping"]),
    ...["stopped", "archived"].map((word) => [word, "stopped"]),
    ["paused", "suspended"],
    ...["error", "build_failed"].map((word) => [word, "failed"]),
    ...["destroyed", "destroying"].map((word) => [word, "gone"]),
    ["unknown", "unknown"],
    ["hibernating", "unknown"],
    ["constructor", "unknown"],
  ])("of %s is %s", async (word, state) => {
    const { provider } = scripted(200, { id: "s", state: word, errorReason: "x" })
    expect(await provider.status!(machineOf("s"), { signal })).toEqual({ state, detail: word })
  })

  it.each([
    ["started", { value: { origin: "https://8080-s.proxy.example" } }],
    ["hibernating", { value: { origin: "https://8080-s.proxy.example" } }],
    // These three may serve while they last.
    ["resizing", { value: { origin: "https://8080-s.proxy.example" } }],
    ["snapshotting", { value: { origin: "https://8080-s.proxy.example" } }],
    ["forking", { value: { origin: "https://8080-s.proxy.example" } }],
    ["starting", { _tag: "MachineStarting" }],
    ["pulling_snapshot", { _tag: "MachineStarting" }],
    ["stopping", { _tag: "MachineNotRunning", state: "stopping" }],
    ["stopped", { _tag: "MachineNotRunning", state: "stopped" }],
    ["paused", { _tag: "MachineNotRunning", state: "paused" }],
    ["build_failed", { _tag: "MachineNotRunning", state: "build_failed" }],
    ["destroying", { _tag: "MachineNotFound" }],
  ])("of %s makes %j of an endpoint, though there is a link", async (state, outcome) => {
    const { provider } = scripted(200, { ...link("https://8080-s.proxy.example"), state })
    expect(await caught(provider.resolve(machineOf("s"), { port: 3000, signal }))).toMatchObject(outcome)
  })

  it("that is missing is unknown, and a sandbox that is missing is gone", async () => {
    expect(await scripted(200, { id: "s" }).provider.status!(machineOf("s"), { signal })).toEqual({ state: "unknown" })
    expect(await scripted(404, {}).provider.status!(machineOf("s"), { signal })).toEqual({ state: "gone" })
  })
})

describe("an answer without a stamp", () => {
  const classify = (status: number, headers: Record<string, string> = {}, body?: unknown) => {
    const seen: PlatformResponse = {
      status,
      header: (name) => headers[name],
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    }
    return daytona({ apiKey: KEY }).classify!(seen, machineOf("s"))
  }
  const notRunning =
    "bad request: failed to resolve container IP after 3 attempts: no IP address found. Is the Sandbox started?"
  const runner = "bad request: failed to get runner info: none"
  const json = { "content-type": "application/json" }
  const page = { "content-type": "text/html; charset=utf-8" }

  // §3.4; the ids are those of the fixtures. A body is absent where nobody read it.
  it.each([
    [
      "Y09",
      307,
      { location: "https://oidc.example/authorize" },
      `<a href="x">Temporary Redirect</a>`,
      "refresh-credentials",
    ],
    ["Y09", 302, {}, undefined, "refresh-credentials"],
    ["Y17", 401, json, { statusCode: 401, message: "unauthorized: …", code: "UNAUTHORIZED" }, "refresh-credentials"],
    ["Y10", 400, json, undefined, "check-status"],
    ["Y10", 400, json, "not JSON", "check-status"],
    ["Y13", 400, json, { message: "bad request: something new" }, "check-status"],
    [
      "Y11",
      404,
      json,
      { statusCode: 404, message: "not found: sandbox container not found: x", code: "NOT_FOUND" },
      "check-status",
    ],
    ["Y11", 404, {}, undefined, "check-status"],
    ["Y12", 502, {}, undefined, "check-status"],
    ["Y12", 502, {}, "", "check-status"],
    ["", 503, {}, undefined, "check-status"],
    ["", 504, {}, undefined, "check-status"],
    ["", 530, {}, undefined, "check-status"],
  ] as const)("%s %i %j %j says %s", (_, status, headers, body, verdict) => {
    expect(classify(status, headers, body)).toBe(verdict)
  })

  it.each([
    ["Y10", 400, json, { message: notRunning, code: "SANDBOX_NOT_RUNNING" }, { _tag: "MachineNotRunning" }],
    ["Y10", 400, json, { message: notRunning, code: "BAD_REQUEST" }, { _tag: "MachineNotRunning" }],
    ["Y10", 400, json, { message: "no IP address found. Is the Sandbox started?" }, { _tag: "MachineNotRunning" }],
    ["Y13", 400, json, { message: runner }, { _tag: "ProviderUnavailable", reason: "runner unavailable" }],
    [
      "",
      400,
      json,
      { message: "bad request: failed to get sandbox public status: x" },
      { reason: "runner unavailable" },
    ],
    ["Y14", 200, page, undefined, { _tag: "ProviderUnavailable", reason: "an HTML page of the platform" }],
    ["", 200, json, undefined, { reason: "HTTP 200 without the stamp of the machine's proxy" }],
    ["", 500, json, undefined, { _tag: "ProviderUnavailable" }],
    ["", 429, { "retry-after-failed-auth": "9" }, undefined, { _tag: "ProviderRateLimited", retryAfterMs: 9_000 }],
    ["", 429, { "retry-after": "2" }, undefined, { _tag: "ProviderRateLimited", retryAfterMs: 2_000 }],
  ] as const)("%s %i %j %j is %j", (_, status, headers, body, failure) => {
    expect(classify(status, headers, body)).toMatchObject(failure)
  })

  // Not a fixture: nobody recorded these of an edge yet. What this adapter makes of the codes that the newer SDKs know.
  it.each([
    ["SANDBOX_NOT_STARTED", { _tag: "MachineNotRunning" }],
    ["RUNNER_UNREACHABLE", { _tag: "ProviderUnavailable" }],
  ])("takes the newer code %s for %j, whatever its status", (code, failure) => {
    const body = { code, message: "…", source: "DAYTONA_PROXY" }
    expect([400, 409, 502].map((status) => classify(status, json, body))).toEqual(
      [1, 2, 3].map(() => expect.objectContaining(failure)),
    )
  })
})

describe("a signed link", () => {
  it("is for one port and a while", async () => {
    const { asked, options } = scripted(200, {
      sandboxId: "s",
      port: 3000,
      token: "t",
      url: "https://3000-t.proxy.example",
    })
    const before = Date.now()
    const signed = await signedPreviewUrl(options, machineOf("s"), { port: 3000, lifetimeMs: 5_000 })
    expect(signed.url).toBe("https://3000-t.proxy.example")
    expect(signed.expiresAt - before).toBeGreaterThanOrEqual(5_000)
    expect(signed.expiresAt - Date.now()).toBeLessThanOrEqual(5_000)
    expect(asked[0]!.url).toBe("https://app.daytona.io/api/sandbox/s/ports/3000/signed-preview-url?expiresInSeconds=5")
  })

  it.each([{ port: 0 }, { port: 70_000 }, { port: 1.5 }, { port: 80, lifetimeMs: 0 }, { port: 80, lifetimeMs: 1_500 }])(
    "is not asked for with %j",
    async (request) => {
      const { asked, options } = scripted(200, {})
      await expect(signedPreviewUrl(options, machineOf("s"), request)).rejects.toThrow(RangeError)
      expect(asked).toEqual([])
    },
  )

  it("of a sandbox that is not there is a typed failure", async () => {
    const { options } = scripted(404, {})
    await expect(signedPreviewUrl(options, machineOf("s"), { port: 80 })).rejects.toMatchObject({
      _tag: "MachineNotFound",
    })
  })
})

describe("a sandbox", () => {
  let cloud: FakeDaytona
  let machine: FakeMachine
  let sandbox: FakeSandbox
  let options: DaytonaOptions
  beforeEach(async () => {
    machine = await fakeMachine()
    cloud = await fakeDaytona()
    sandbox = await cloud.sandbox(machine.proxyPort)
    options = { apiKey: cloud.apiKey, apiBase: cloud.apiBase }
  })
  afterEach(() => Promise.all([cloud.close(), machine.close()]))

  const fetcherOf = (more: object = {}) =>
    machineFetcher(daytona(options), machineOf(sandbox.id), {
      port: machine.appPort,
      signingKey: machine.signing,
      ...more,
    })
  const request = (init?: RequestInit, path = "/a%2Fb?c=1"): Request =>
    new Request(`https://app.example.test${path}`, init)
  interface Echo {
    readonly method: string
    readonly url: string
    readonly headers: readonly string[]
  }
  const echoOf = async (answer: Response): Promise<Echo & { readonly get: (lower: string) => string[] }> => {
    expect(answer.status).toBe(299)
    const echo = (await answer.json()) as Echo
    const get = (lower: string): string[] =>
      echo.headers.filter((_, i) => i % 2 === 1 && echo.headers[i - 1]!.toLowerCase() === lower)
    return { ...echo, get }
  }
  const links = (): number => cloud.calls.filter(({ path }) => path.endsWith("/preview-url")).length

  it("answers, and its edge is asked for once in five minutes", async () => {
    const fetcher = fetcherOf()
    const echo = await echoOf(await fetcher(request({ method: "POST", body: "x" })))
    expect([echo.method, echo.url]).toEqual(["POST", "/a%2Fb?c=1"])
    expect(echo.get("x-daytona-preview-token")).toEqual([])
    await echoOf(await fetcher(request()))
    expect(links()).toBe(1)
  })

  it("gets the app's own Authorization, and its edge never does", async () => {
    const headers = { authorization: "Bearer app-secret", "x-daytona-skip-last-activity-update": "true" }
    const echo = await echoOf(await fetcherOf()(request({ headers })))
    expect(echo.get("authorization")).toEqual(["Bearer app-secret"])
    expect(sandbox.validated).toEqual([])
    expect(sandbox.edge[0]!.headers.authorization).toBeUndefined()
    expect(sandbox.edge[0]!.headers["x-daytona-skip-last-activity-update"]).toBeUndefined()
    // The fake does what it is feared for.
    await fetch(sandbox.origin, { headers: { authorization: "Bearer app-secret" }, redirect: "manual" })
    expect(sandbox.validated).toEqual(["app-secret"])
  })

  it("sees the public name and the client once, as the router said", async () => {
    const provider = daytona(options)
    const ticket = await signTicket(machine.signing, {
      machine: machine.id,
      port: machine.appPort,
      name: "app.example.test",
    })
    const add = [
      [defaultHeaderNames.targetHost, `${machine.appPort}__app.example.test`],
      [defaultHeaderNames.ticket, ticket],
      ["X-Forwarded-Host", "app.example.test"],
      ["X-Forwarded-For", "192.0.2.1"],
      ["X-Forwarded-Proto", "https"],
    ].flat()
    const list = requestHeaders([], { headerNames: defaultHeaderNames, pseudonym: "test", trusted: false, add })
    const answered = await Effect.runPromise(
      makeMachines({ providers: [provider] }).reach<Response>(machineOf(sandbox.id), machine.appPort, {
        send: (endpoint) =>
          Effect.map(
            Effect.tryPromise({
              try: () =>
                forwardFetch({
                  origin: endpoint.origin,
                  target: "/",
                  method: "GET",
                  headers: encapsulateHeaders(
                    list,
                    provider.capabilities.interceptedHeaders,
                    endpoint,
                    defaultHeaderNames,
                  ),
                  body: null,
                }),
              catch: (cause) => cause as SendFailure,
            }),
            (answer) => ({
              status: answer.status,
              header: (lower) => answer.headers.get(lower) ?? undefined,
              response: answer,
            }),
          ),
        discard: () => {},
        replayable: () => true,
      }),
    )
    const echo = await echoOf(answered.response)
    expect(echo.get("x-forwarded-host")).toEqual(["app.example.test"])
    expect(echo.get("x-forwarded-for")).toEqual(["192.0.2.1"])
    expect(echo.get("x-forwarded-proto")).toEqual(["https"])
  })

  it("answers preflights itself", async () => {
    const headers = { origin: "https://other.example", "access-control-request-method": "PUT" }
    const answered = await fetcherOf()(request({ method: "OPTIONS", headers }))
    expect(answered.headers.get("access-control-allow-origin")).toBeNull()
    const echo = await echoOf(answered)
    expect([echo.method, echo.get("origin")]).toEqual(["OPTIONS", ["https://other.example"]])
    // The fake does what it is feared for.
    const direct = await fetch(sandbox.origin, { method: "OPTIONS", headers })
    expect(direct.headers.get("access-control-allow-origin")).toBe("https://other.example")
  })

  it("passes WebSockets, with the app's own Authorization", async () => {
    const socket = await fetcherOf().connect(request({ headers: { authorization: "Bearer app-secret" } }))
    const answered = new Promise((resolve) => socket.addEventListener("message", ({ data }) => resolve(data)))
    socket.send("hello")
    expect(await answered).toBe("hello")
    socket.close()
    expect(sandbox.validated).toEqual([])
    expect(sandbox.edge[0]!.headers.authorization).toBeUndefined()
    sandbox.lockedOut = true
    expect(await caught(fetcherOf().connect(request()))).toMatchObject({ _tag: "ProviderAuth" })
    expect(cloud.logins).toEqual([])
  })

  it("is not hidden from browsers by a page of the edge", async () => {
    const headers = { "user-agent": "Mozilla/5.0 (X11; Linux x86_64)" }
    await echoOf(await fetcherOf()(request({ headers })))
    // The fake does what it is feared for.
    expect(await (await fetch(sandbox.origin, { headers })).text()).toContain("Daytona Preview - Warning")
  })

  it("is reached when it is public, where the edge leaves its token on the request, and no app sees it", async () => {
    sandbox.public = true
    const echo = await echoOf(await fetcherOf()(request()))
    expect(echo.get("x-daytona-preview-token")).toEqual([])
  })

  it("with a rotated token is reached again after one refresh", async () => {
    const fetcher = fetcherOf()
    await echoOf(await fetcher(request()))
    sandbox.rotateToken()
    await echoOf(await fetcher(request()))
    expect(links()).toBe(2)
    await echoOf(await fetcher(request()))
    expect(links()).toBe(2)
    expect(cloud.logins).toEqual([])
  })

  it("that believes no token is no login page and no success", async () => {
    sandbox.lockedOut = true
    const failure = await caught(fetcherOf()(request()))
    expect(failure).toMatchObject({ _tag: "ProviderAuth", machine: sandbox.id })
    expect(links()).toBe(2)
    expect(cloud.logins).toEqual([])
  })

  it("that stopped is started for a request, and found by its new token", async () => {
    const fetcher = fetcherOf()
    await echoOf(await fetcher(request()))
    const before = sandbox.token
    sandbox.stop()
    await echoOf(await fetcher(request()))
    expect(sandbox.token).not.toBe(before)
    expect(cloud.calls.filter(({ path }) => path.endsWith("/start"))).toHaveLength(1)
  })

  it("that sleeps wakes for a POST, whose body arrives", async () => {
    sandbox.stop()
    const echo = await echoOf(await fetcherOf()(request({ method: "POST", body: "x".repeat(1_000) })))
    expect([echo.method, echo.get("content-length").length + echo.get("transfer-encoding").length]).toEqual(["POST", 1])
  })

  it("that nobody may wake says that it does not run, and can be started", async () => {
    const provider = daytona(options)
    const fetcher = fetcherOf({ wake: false })
    await echoOf(await fetcher(request()))
    sandbox.stop()
    // By the edge, and then by the control plane.
    expect(await caught(fetcher(request()))).toMatchObject({ _tag: "MachineNotRunning" })
    expect(await caught(fetcher(request()))).toMatchObject({ _tag: "MachineNotRunning", state: "stopped" })
    expect(await provider.status!(machineOf(sandbox.id), { signal })).toEqual({ state: "stopped", detail: "stopped" })
    await provider.start!(machineOf(sandbox.id), { signal })
    await provider.start!(machineOf(sandbox.id), { signal })
    // Another fetcher: this one keeps what it was told for a second.
    await echoOf(await fetcherOf({ wake: false })(request()))
  })

  it("in change, or in no state for it, is not started", async () => {
    const start = () => caught(daytona(options).start!(machineOf(sandbox.id), { signal }))
    sandbox.state = "stopping"
    expect(await start()).toMatchObject({ _tag: "MachineStarting" })
    sandbox.state = "error"
    expect(await start()).toMatchObject({ _tag: "MachineNotRunning", state: "in an errored state" })
    sandbox.state = "paused"
    expect(await start()).toMatchObject({ _tag: "MachineNotRunning", state: "paused, and cannot be resumed" })
  })

  it("that is gone is not found, though its edge only asks for a login", async () => {
    const fetcher = fetcherOf()
    await echoOf(await fetcher(request()))
    sandbox.destroy()
    expect(await caught(fetcher(request()))).toMatchObject({ _tag: "MachineNotFound" })
    expect(await daytona(options).status!(machineOf(sandbox.id), { signal })).toEqual({ state: "gone" })
    expect(cloud.logins).toEqual([])
  })

  it("whose container is not where the edge looks is what the control plane says", async () => {
    const fetcher = fetcherOf({ wake: false })
    await echoOf(await fetcher(request()))
    Object.assign(sandbox, { fault: "container-gone", state: "archived" })
    expect(await caught(fetcher(request()))).toMatchObject({ _tag: "MachineNotRunning", state: "archived" })
  })

  it("without a machine proxy has a closed port", async () => {
    sandbox.fault = "port-closed"
    expect(await caught(fetcherOf()(request()))).toMatchObject({ _tag: "PortClosed", port: machine.appPort })
  })

  it("without the app has a closed port as well, in the machine proxy's own words", async () => {
    const refused = await fetcherOf({ port: 1 })(request())
    expect([refused.status, refused.headers.get(defaultHeaderNames.error)]).toEqual([502, "PORT_CLOSED"])
  })

  it("that another took the place of is a mismatch", async () => {
    const other = machineFetcher(
      daytona(options),
      { ...machineOf(sandbox.id), id: "mach_2" },
      { port: machine.appPort, signingKey: machine.signing },
    )
    expect(await caught(other(request()))).toMatchObject({ _tag: "MachineMismatch" })
  })

  it("is kept awake", async () => {
    await daytona(options).keepAlive!(machineOf(sandbox.id), { signal })
    expect(sandbox.lastActivities).toBe(1)
  })

  it("vendors.md 4: is kept awake by its name too, which the API takes for nothing there", async () => {
    await daytona(options).keepAlive!(machineOf(sandbox.name), { signal })
    expect(sandbox.lastActivities).toBe(1)
    expect(cloud.calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `GET /api/sandbox/${sandbox.name}`,
      `POST /api/sandbox/${sandbox.id}/last-activity`,
    ])
  })

  it.each(["archived", "archiving", "paused"])("that is %s is started for a request", async (state) => {
    Object.assign(sandbox, { state, sandboxClass: "linux-vm" })
    await echoOf(await fetcherOf()(request()))
    expect(sandbox.state).toBe("started")
  })

  it("of a limited organization says when to come back", async () => {
    const limited = { status: 429, headers: { "retry-after-authenticated": "30" } }
    cloud.next(limited, limited)
    expect(await caught(fetcherOf()(request()))).toMatchObject({ _tag: "ProviderRateLimited", retryAfterMs: 30_000 })
    await echoOf(await fetcherOf()(request()))
  })

  it("never shows its token or the key in a failure", async () => {
    const fetcher = fetcherOf({ wake: false })
    await echoOf(await fetcher(request()))
    const secrets = [cloud.apiKey, sandbox.token]
    const failures: unknown[] = []
    const fail = async (): Promise<void> => void failures.push(await caught(fetcher(request())))
    const echoed = `${cloud.apiKey} ${sandbox.token}`
    sandbox.lockedOut = true
    await fail()
    sandbox.lockedOut = false
    for (const fault of ["container-gone", "port-closed", "no-runner"] as const) {
      sandbox.fault = fault
      await fail()
    }
    for (const status of [200, 302, 400, 401, 404, 409, 429, 500]) {
      const body = { message: echoed, url: `https://u:${sandbox.token}@x`, token: sandbox.token, state: "started" }
      cloud.next({ status, body }, { status, body })
      await fail()
    }
    const hostile: DaytonaOptions = {
      apiKey: cloud.apiKey,
      fetch: (_, init) => Promise.reject(Object.assign(new Error(JSON.stringify(init)), { code: cloud.apiKey, init })),
    }
    failures.push(await caught(daytona(hostile).status!(machineOf(sandbox.id), { signal })))
    sandbox.rotateToken()
    secrets.push(sandbox.token)
    await cloud.close()
    await fail()
    expect(failures).toHaveLength(14)
    for (const failure of failures) {
      expect(isProviderError(failure)).toBe(true)
      const shown = inspect(failure, { depth: 20, showHidden: true }) + JSON.stringify(failure) + String(failure)
      for (const secret of secrets) expect(shown).not.toContain(secret)
    }
    cloud = await fakeDaytona()
  })
})
