import { inspect } from "node:util"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { vercelSandbox } from "../src/adapters/vercel-sandbox/vercel-sandbox.ts"
import type { VercelSandboxOptions } from "../src/adapters/vercel-sandbox/vercel-sandbox.ts"
import { isProviderError } from "../src/contract/errors.ts"
import type { Machine } from "../src/contract/machine-provider.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import { throughEdge } from "../src/testing.ts"
import { fakeMachine } from "./fakes/daytona-machine.ts"
import { fakeVercel } from "./fakes/vercel-cloud.ts"
import type { FakeSandbox, FakeVercel } from "./fakes/vercel-cloud.ts"

const { signal } = new AbortController()
const machineOf = (externalId: string, id = "mach_1"): Machine => ({
  id,
  type: "vercel-sandbox",
  externalId,
  metadata: {},
})
const wanted = { port: 4_096, signal }
const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error) => error,
  )

let cloud: FakeVercel
let sandbox: FakeSandbox
beforeEach(async () => {
  cloud = await fakeVercel()
  sandbox = cloud.sandbox(1)
})
afterEach(() => cloud.close())
const provider = (more: Partial<VercelSandboxOptions> = {}) => {
  const { token, teamId, projectId, apiBase } = cloud
  return vercelSandbox({ token, teamId, projectId, apiBase, ...more })
}
const query = (resume: boolean) => `?teamId=${cloud.teamId}&projectId=${cloud.projectId}&resume=${resume}`
const called = () => cloud.calls.map(({ method, path, body }) => [method, path, body].join(" ").trimEnd())

describe("an endpoint", () => {
  it("is the hostname of the session's port 8080, whichever is wanted", async () => {
    const machine = machineOf(cloud.sandbox(1, [3_000, 8_080]).name)
    const endpoint = await provider().resolve(machine, wanted)
    expect(called()).toEqual([`GET /api/v2/sandboxes/${machine.externalId}${query(false)}`])
    expect(cloud.calls[0]!.authorization).toBe(`Bearer ${cloud.token}`)
    expect(endpoint).not.toHaveProperty("headers")
    expect(endpoint.ttlMs).toBe(60_000)
    expect(endpoint.uptimeMs).toBeGreaterThanOrEqual(120_000)
    const { subdomains, id } = sandbox.session
    const { origin, epoch } = await provider().resolve(machineOf(sandbox.name), wanted)
    expect([origin, epoch]).toEqual([`https://${subdomains.get(8_080)}.vercel.run`, id])
  })

  it("says what to declare where 8080 is not among the sandbox's ports", async () => {
    const machine = machineOf(cloud.sandbox(1, [3_000]).name)
    const error = await failureOf(provider().resolve(machine, wanted))
    expect(error).toMatchObject({ _tag: "MachineRecordInvalid", field: "externalId" })
    expect((error as Error).message).toMatch(
      /declares the machine proxy's port: Sandbox\.create\(\{ ports: \[8080\] \}\)/,
    )
  })

  it("of a record without a sandbox's name is refused, and asks nobody", async () => {
    expect(await failureOf(provider().resolve(machineOf(""), wanted))).toMatchObject({
      _tag: "MachineRecordInvalid",
      field: "externalId",
    })
    expect(called()).toEqual([])
  })

  it.each([
    ["pending", { _tag: "MachineStarting" }],
    ["stopping", { _tag: "MachineNotRunning", state: "stopping" }],
    ["snapshotting", { _tag: "MachineNotRunning", state: "snapshotting" }],
    ["stopped", { _tag: "MachineNotRunning", state: "stopped" }],
    ["aborted", { _tag: "MachineNotRunning", state: "aborted" }],
    ["failed", { _tag: "MachineNotRunning", state: "failed" }],
  ])("of a session that is %s is an error, and starts nothing", async (status, expected) => {
    sandbox.session.status = status
    expect(await failureOf(provider().resolve(machineOf(sandbox.name), wanted))).toMatchObject(expected)
    expect(sandbox.session.status).toBe(status)
  })

  it("of a session in a state that nobody knows is tried", async () => {
    sandbox.session.status = "migrating"
    expect(await provider().resolve(machineOf(sandbox.name), wanted)).toHaveProperty("origin")
  })

  it.each(["", "a.b", "user@x", "a/b", "A", "-a", "a".repeat(64)])(
    "is not made of the subdomain %j",
    async (subdomain) => {
      Object.assign(sandbox.session, { subdomains: new Map([[8_080, subdomain]]) })
      expect(await failureOf(provider().resolve(machineOf(sandbox.name), wanted))).toMatchObject({
        _tag: "ProviderUnavailable",
        reason: "invalid response",
      })
    },
  )

  it("is asked of Vercel's own API by default, by a name that is encoded", async () => {
    const urls: string[] = []
    const fetch = async (url: string) => {
      urls.push(url)
      return new Response(null, { status: 404 })
    }
    const options = { token: "t", teamId: "team/1", projectId: "prj&1", fetch }
    await failureOf(vercelSandbox(options).resolve(machineOf("a b/c"), wanted))
    expect(urls).toEqual([
      "https://vercel.com/api/v2/sandboxes/a%20b%2Fc?teamId=team%2F1&projectId=prj%261&resume=false",
    ])
  })
})

it("a sandbox that was resumed is reached at its new hostname, though the old one is known", async () => {
  const machine = await fakeMachine()
  try {
    const moving = cloud.sandbox(machine.proxyPort)
    const adapter = throughEdge(provider(), cloud.edgeOrigin)
    const record = machineOf(moving.name, machine.id)
    const fetcher = machineFetcher(adapter, record, { port: machine.appPort, signingKey: machine.signing })
    expect((await fetcher(new Request("http://app.test/"))).status).toBe(299)
    const before = moving.session
    before.status = "stopped"
    moving.resume()
    expect((await fetcher(new Request("http://app.test/"))).status).toBe(299)
    expect(moving.session.id).not.toBe(before.id)
  } finally {
    await machine.close()
  }
})

describe("keepAlive", () => {
  it("adds what is missing, and nothing where a session has longer", async () => {
    const { session } = sandbox
    const adapter = provider({ idleTimeoutMs: 300_000 })
    const before = Date.now()
    await adapter.keepAlive!(machineOf(sandbox.name), { signal })
    expect(session.startedAt + session.timeout).toBeGreaterThanOrEqual(before + 300_000)
    expect(session.startedAt + session.timeout).toBeLessThanOrEqual(Date.now() + 300_000)
    expect(called()[1]).toMatch(
      new RegExp(`^POST /api/v2/sandboxes/sessions/${session.id}/extend-timeout\\?teamId=${cloud.teamId} `),
    )
    session.timeout = 3_600_000
    cloud.calls.length = 0
    await adapter.keepAlive!(machineOf(sandbox.name), { signal })
    expect([session.timeout, cloud.calls.length]).toEqual([3_600_000, 1])
  })

  it("neither extends nor starts a session that is over", async () => {
    sandbox.session.status = "stopped"
    await provider().keepAlive!(machineOf(sandbox.name), { signal })
    expect(called()).toEqual([`GET /api/v2/sandboxes/${sandbox.name}${query(false)}`])
    expect(sandbox.session.status).toBe("stopped")
  })
})

describe("start", () => {
  const startCommand = ["sh", "-c", "exec machine-proxy"]
  const start = (externalId = sandbox.name) => provider({ startCommand }).start!(machineOf(externalId), { signal })

  it("resumes one that is stopped and starts the machine proxy, and leaves one that runs", async () => {
    const commands: unknown[] = []
    sandbox.boot = async (command) => void commands.push(command)
    const { id } = sandbox.session
    await start()
    expect([sandbox.session.id, commands]).toEqual([id, []])
    sandbox.session.status = "stopped"
    await start()
    expect(sandbox.session).toMatchObject({ status: "running" })
    expect(sandbox.session.id).not.toBe(id)
    expect(commands).toEqual([startCommand])
    expect(called()[0]).toBe(`GET /api/v2/sandboxes/${sandbox.name}${query(true)}`)
    expect(called()[2]).toMatch(
      new RegExp(`^POST /api/v2/sandboxes/sessions/${sandbox.session.id}/cmd\\?teamId=${cloud.teamId} `),
    )
  })

  it("is not there without a command, because nothing would listen in a new session", () => {
    expect(provider()).not.toHaveProperty("start")
    expect(provider().capabilities.wake).toBe("none")
    expect(provider({ startCommand }).capabilities.wake).toBe("start")
  })

  it("runs the command that it was given, whatever its owner does to the array", async () => {
    const commands: unknown[] = []
    sandbox.boot = async (command) => void commands.push(command)
    const mutable = ["machine-proxy"]
    const adapter = provider({ startCommand: mutable })
    mutable[0] = "other"
    sandbox.session.status = "stopped"
    await adapter.start!(machineOf(sandbox.name), { signal })
    expect(commands).toEqual([["machine-proxy"]])
  })

  it("says what is missing of one that cannot be resumed", async () => {
    Object.assign(sandbox, { snapshot: false }).session.status = "stopped"
    expect(await failureOf(start())).toMatchObject({
      _tag: "MachineNotRunning",
      state: "stopped, and its snapshot does not exist",
    })
  })

  it.each(["stopping", "snapshotting"])("is to be repeated for one that is %s", async (status) => {
    sandbox.session.status = status
    expect(await failureOf(start())).toMatchObject({ _tag: "MachineStarting" })
  })
})

describe("an error response of the API", () => {
  it.each([
    [401, "unauthorized", { _tag: "ProviderAuth" }],
    [403, "forbidden", { _tag: "ProviderAuth" }],
    [404, "not_found", { _tag: "MachineNotFound" }],
    [409, "conflict", { _tag: "MachineStarting" }],
    [410, "sandbox_stopped", { _tag: "MachineNotRunning", state: "stopped" }],
    [410, "snapshot_not_found", { _tag: "MachineNotRunning", state: "stopped, and its snapshot does not exist" }],
    [422, "sandbox_stopping", { _tag: "MachineStarting" }],
    [422, "validation_error", { _tag: "ProviderUnavailable", reason: "HTTP 422 (validation_error)" }],
    [429, "rate_limited", { _tag: "ProviderRateLimited", retryAfterMs: 7_000 }],
    [402, "payment_required", { _tag: "ProviderUnavailable", reason: "HTTP 402 (payment_required)" }],
    [500, "internal_server_error", { _tag: "ProviderUnavailable", reason: "HTTP 500 (internal_server_error)" }],
  ])("%i %s", async (status, code, expected) => {
    cloud.always({ status, body: { error: { code, message: "m" } }, headers: { "retry-after": "7" } })
    const error = await failureOf(provider().resolve(machineOf(sandbox.name), wanted))
    expect(error).toMatchObject({ ...expected, provider: "vercel-sandbox", machine: sandbox.name })
    expect((error as Error).cause).toMatchObject({ message: `Vercel responded with ${status}: ${code}` })
  })

  it.each([undefined, "", "<html>", "null", { error: null }, { error: { code: 7 } }, { session: {} }, []])(
    "with the body %j is one",
    async (body) => {
      for (const status of [200, 500]) {
        cloud.always({ status, body })
        expect(await failureOf(provider().resolve(machineOf(sandbox.name), wanted))).toMatchObject({
          _tag: "ProviderUnavailable",
        })
      }
    },
  )

  it("shows no secret", async () => {
    cloud.always({ status: 400, body: { error: { code: `key ${cloud.token}`, message: cloud.token } } })
    const error = await failureOf(provider().keepAlive!(machineOf(sandbox.name), { signal }))
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(cloud.token)
    expect(error).toMatchObject({ reason: "HTTP 400" })
  })
})

it("a sandbox that was removed is gone", async () => {
  sandbox.remove()
  expect(await provider().status!(machineOf(sandbox.name), { signal })).toEqual({ state: "gone" })
})

describe("a response of the edge", () => {
  const unavailable = (status: number) => ({
    _tag: "ProviderUnavailable",
    reason: `HTTP ${status} without the stamp of the machine's proxy`,
  })
  it.each([
    [410, "check-status"],
    [404, "check-status"],
    [502, "check-status"],
    [503, "check-status"],
    [504, "check-status"],
    [522, "check-status"],
    [429, { _tag: "ProviderRateLimited", retryAfterMs: 3_000 }],
    [200, unavailable(200)],
    [308, unavailable(308)],
    [401, unavailable(401)],
    [403, unavailable(403)],
    [500, unavailable(500)],
  ])("%i", (status, expected) => {
    const header = (name: string) => (name === "retry-after" ? "3" : undefined)
    const verdict = provider().classify!({ status, header }, machineOf("m"))
    // An error of the contract, about this machine.
    expect(isProviderError(verdict) && verdict.machine).toBe(typeof expected === "string" ? false : "m")
    expect({ verdict }).toMatchObject({ verdict: expected })
  })
})
