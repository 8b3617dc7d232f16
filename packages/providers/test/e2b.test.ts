import { inspect } from "node:util"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { e2b } from "../src/adapters/e2b/e2b.ts"
import type { E2bOptions } from "../src/adapters/e2b/e2b.ts"
import { isProviderError } from "../src/contract/errors.ts"
import type { Machine, PlatformResponse } from "../src/contract/machine-provider.ts"
import { fakeE2b } from "./fakes/e2b-cloud.ts"
import type { FakeE2b, FakeSandbox } from "./fakes/e2b-cloud.ts"

const { signal } = new AbortController()
const machineOf = (externalId: string): Machine => ({ id: "mach_1", type: "e2b", externalId, metadata: {} })
const wanted = { port: 4_096, signal }
const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error) => error,
  )

let cloud: FakeE2b
let sandbox: FakeSandbox
beforeEach(async () => {
  cloud = await fakeE2b()
  sandbox = cloud.sandbox(1)
})
afterEach(() => cloud.close())
const provider = (more: Partial<E2bOptions> = {}) => e2b({ apiKey: cloud.apiKey, apiBase: cloud.apiBase, ...more })
const called = () => cloud.calls.map(({ method, path, body }) => [method, path, body].join(" ").trimEnd())

describe("an endpoint", () => {
  it("is the machine proxy's port whichever is wanted, with the token of the edge", async () => {
    const endpoint = await provider().resolve(machineOf(sandbox.id), wanted)
    expect(endpoint).toMatchObject({
      origin: `https://8080-${sandbox.id}.e2b.app`,
      headers: { "e2b-traffic-access-token": sandbox.token },
      epoch: new Date(sandbox.startedAt).toISOString(),
      ttlMs: 300_000,
    })
    expect(endpoint.uptimeMs).toBeGreaterThanOrEqual(3_600_000)
    expect(called()).toEqual([
      `GET /sandboxes/${sandbox.id}`,
      `POST /v2/sandboxes/${sandbox.id}/connect {"timeout":300}`,
    ])
    expect(cloud.calls.every(({ key }) => key === cloud.apiKey)).toBe(true)
  })

  it("of a sandbox with public traffic costs one request that changes nothing, and has no token", async () => {
    sandbox.public = true
    const { endAt } = sandbox
    expect(await provider().resolve(machineOf(sandbox.id), wanted)).not.toHaveProperty("headers")
    expect(called()).toEqual([`GET /sandboxes/${sandbox.id}`])
    expect(sandbox.endAt).toBe(endAt)
  })

  it.each([
    [undefined, "own.example.com", "own.example.com"],
    ["", "own.example.com", "own.example.com"],
    ["cluster.example.net", "own.example.com", "cluster.example.net"],
  ])("is under the domain %j of the API, else %s", async (given, domain, expected) => {
    sandbox.domain = given
    const { origin } = await provider({ domain }).resolve(machineOf(sandbox.id), wanted)
    expect(origin).toBe(`https://8080-${sandbox.id}.${expected}`)
  })

  it.each(["user@host.example", "host.example/path", "10.0.0.1", "localhost", "host.example:22"])(
    "is not made of %s as the API's domain",
    async (domain) => {
      sandbox.domain = domain
      expect(await failureOf(provider().resolve(machineOf(sandbox.id), wanted))).toMatchObject({
        _tag: "ProviderUnavailable",
        reason: "invalid response",
      })
    },
  )

  it.each([null, "", "two words", "line\r\nx: y"])("needs a token that is one: %j", async (token) => {
    sandbox.token = token as string
    expect(await failureOf(provider().resolve(machineOf(sandbox.id), wanted))).toMatchObject({
      reason: "invalid response",
    })
  })

  it("of a paused sandbox is MachineNotRunning, and the sandbox stays paused", async () => {
    sandbox.pause()
    expect(await failureOf(provider().resolve(machineOf(sandbox.id), wanted))).toMatchObject({
      _tag: "MachineNotRunning",
      state: "paused",
    })
    expect(sandbox.state).toBe("paused")
  })

  it("has another epoch after a pause", async () => {
    const { epoch } = await provider().resolve(machineOf(sandbox.id), wanted)
    sandbox.pause()
    await provider().start!(machineOf(sandbox.id), { signal })
    const after = await provider().resolve(machineOf(sandbox.id), wanted)
    expect(after.epoch).not.toBe(epoch)
    expect(after.uptimeMs).toBeLessThan(3_600_000)
  })

  it("is found at api.<domain> by default", async () => {
    const urls: string[] = []
    const fetch = async (url: string) => {
      urls.push(url)
      return new Response(null, { status: 404 })
    }
    for (const more of [{}, { domain: "own.example.com" }]) {
      await failureOf(e2b({ apiKey: "k", fetch, ...more }).resolve(machineOf("i1"), wanted))
    }
    expect(urls).toEqual(["https://api.e2b.app/sandboxes/i1", "https://api.own.example.com/sandboxes/i1"])
  })
})

it.each(["", "..", "a/b", "A1", "i1.elsewhere.example", "i1@x", "-i1", "i1-", "i".repeat(59)])(
  "an externalId %j is refused before anything is sent",
  async (externalId) => {
    const adapter = provider()
    const machine = machineOf(externalId)
    for (const call of [
      adapter.resolve(machine, wanted),
      adapter.status!(machine, { signal }),
      adapter.start!(machine, { signal }),
      adapter.keepAlive!(machine, { signal }),
    ]) {
      expect(await failureOf(call)).toMatchObject({ _tag: "MachineRecordInvalid", field: "externalId" })
    }
    expect(cloud.calls).toEqual([])
  },
)

it("keepAlive gives more time and never takes any away, and does not resume", async () => {
  const adapter = provider({ idleTimeoutMs: 120_500 })
  const now = Date.now()
  await adapter.keepAlive!(machineOf(sandbox.id), { signal })
  expect(called()).toEqual([`POST /sandboxes/${sandbox.id}/refreshes {"duration":121}`])
  expect(sandbox.endAt).toBeGreaterThanOrEqual(now + 121_000)
  sandbox.endAt = now + 86_400_000
  await adapter.keepAlive!(machineOf(sandbox.id), { signal })
  await adapter.start!(machineOf(sandbox.id), { signal })
  expect(sandbox.endAt).toBe(now + 86_400_000)
  sandbox.pause()
  expect(await failureOf(adapter.keepAlive!(machineOf(sandbox.id), { signal }))).toMatchObject({
    _tag: "MachineNotFound",
  })
  expect(sandbox.state).toBe("paused")
})

it.each([
  ["running", "running"],
  ["paused", "suspended"],
  ["archived", "unknown"],
  ["constructor", "unknown"],
])("the state %s is %s", async (detail, state) => {
  Object.assign(sandbox, { state: detail })
  expect(await provider().status!(machineOf(sandbox.id), { signal })).toMatchObject({ state, detail })
})

it("a sandbox that was killed is gone", async () => {
  sandbox.kill()
  expect(await provider().status!(machineOf(sandbox.id), { signal })).toEqual({ state: "gone" })
})

describe("an error response of the API", () => {
  it.each([
    [401, "Invalid API key", { _tag: "ProviderAuth" }],
    [403, "forbidden", { _tag: "ProviderAuth" }],
    [403, "team is blocked: unpaid", { _tag: "ProviderUnavailable", reason: "team blocked" }],
    [403, "team is banned", { _tag: "ProviderUnavailable", reason: "team blocked" }],
    [404, "Sandbox not found", { _tag: "MachineNotFound" }],
    [409, "Sandbox is changing its state", { _tag: "MachineStarting" }],
    [410, "Sandbox was killed", { _tag: "MachineNotFound" }],
    [429, "too many", { _tag: "ProviderRateLimited", retryAfterMs: 7_000 }],
    [
      429,
      "you have reached the maximum number of concurrent E2B sandboxes (20)",
      { _tag: "ProviderUnavailable", reason: "quota exceeded" },
    ],
    [400, "Timeout cannot be greater than 1 hours", { _tag: "ProviderUnavailable", reason: "HTTP 400" }],
    [500, "internal", { _tag: "ProviderUnavailable", reason: "HTTP 500" }],
    [503, "no node", { _tag: "ProviderUnavailable", reason: "HTTP 503" }],
  ])("%i %s", async (status, message, expected) => {
    cloud.next({ status, body: { code: status, message }, headers: { "retry-after": "7" } })
    const error = await failureOf(provider().start!(machineOf(sandbox.id), { signal }))
    expect(error).toMatchObject({ ...expected, provider: "e2b", machine: sandbox.id })
    expect((error as Error).cause).toMatchObject({ message: `E2B responded with ${status}: ${message}` })
  })

  it.each([undefined, "", "<html>", "null", { message: 7 }, { state: 1 }, []])(
    "with the body %j is one",
    async (body) => {
      for (const status of [200, 400]) {
        cloud.next({ status, body })
        expect(await failureOf(provider().resolve(machineOf(sandbox.id), wanted))).toMatchObject({
          _tag: "ProviderUnavailable",
        })
      }
    },
  )

  it("shows no secret", async () => {
    cloud.next({ status: 400, body: { message: `the key ${cloud.apiKey} is wrong` } })
    const error = await failureOf(provider().start!(machineOf(sandbox.id), { signal }))
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(cloud.apiKey)
    const failing = provider({ fetch: (_, init) => Promise.reject(new Error(JSON.stringify(init.headers))) })
    const thrown = await failureOf(failing.start!(machineOf(sandbox.id), { signal }))
    expect(inspect(thrown, { depth: Infinity, showHidden: true })).not.toContain(cloud.apiKey)
  })
})

describe("a response of the edge", () => {
  const json = (message: string, code: number) => JSON.stringify({ sandboxId: "i1", message, code })
  const token =
    "Sandbox is secured with traffic access token. Provided token in header 'e2b-traffic-access-token' is invalid"
  const unavailable = (reason: string) => ({ _tag: "ProviderUnavailable", reason })
  it.each([
    [502, json("The sandbox is running but port is not open", 502), "check-status"],
    [502, json("The sandbox was not found", 502), "check-status"],
    [404, json("The sandbox was not found", 404), "check-status"],
    [502, undefined, "check-status"],
    [502, "<!doctype html>", "check-status"],
    [503, undefined, "check-status"],
    [504, undefined, "check-status"],
    [522, undefined, "check-status"],
    [403, json(token, 403), "refresh-credentials"],
    [403, json("This sandbox can't be resumed with the credentials provided.", 403), "refresh-credentials"],
    [403, undefined, "refresh-credentials"],
    [
      403,
      json("Access denied: client 192.0.2.1 is not allowed to reach port 8080 on this sandbox", 403),
      unavailable("the sandbox does not allow this client or port 8080"),
    ],
    [409, json("The sandbox is paused", 409), { _tag: "MachineNotRunning", state: "paused" }],
    [409, json("The sandbox is still transitioning. Try again in a moment.", 409), { _tag: "MachineStarting" }],
    [409, "<!doctype html>", { _tag: "MachineStarting" }],
    [
      429,
      json("The sandbox has too many concurrent incoming connections (limit: 100)", 429),
      { _tag: "ProviderRateLimited", retryAfterMs: 3_000 },
    ],
    [429, json("Sandbox limit reached", 429), unavailable("quota exceeded")],
    [400, "Invalid host", unavailable("HTTP 400 without the stamp of the machine's proxy")],
    [302, undefined, unavailable("HTTP 302 without the stamp of the machine's proxy")],
    [200, "<!doctype html>", unavailable("HTTP 200 without the stamp of the machine's proxy")],
  ])("%i %s", (status, body, expected) => {
    const header = (name: string) => (name === "retry-after" ? "3" : undefined)
    const response: PlatformResponse = { status, header, ...(body === undefined ? {} : { body }) }
    const verdict = provider().classify!(response, machineOf("i1"))
    // An error of the contract, about this machine.
    expect(isProviderError(verdict) && verdict.machine).toBe(typeof expected === "string" ? false : "i1")
    expect({ verdict }).toMatchObject({ verdict: expected })
  })
})
