import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { isProviderError } from "../src/contract/errors.ts"
import { fly } from "../src/adapters/fly/fly.ts"
import type { FlyOptions } from "../src/adapters/fly/fly.ts"
import type { Machine, PlatformResponse } from "../src/contract/machine-provider.ts"
import { flyCloud } from "./fakes/fly-cloud.ts"
import type { FlyCloud } from "./fakes/fly-cloud.ts"

const token = "fm2_canaryCANARYcanary"
const { signal } = new AbortController()
const machineOf = (metadata: Machine["metadata"] = { app: "pets" }, externalId = "148e21"): Machine => ({
  id: "mach_1",
  type: "fly",
  externalId,
  metadata,
})
const resolve = (metadata?: Machine["metadata"], externalId?: string) =>
  fly({ token }).resolve(machineOf(metadata, externalId), { port: 3000, signal })

let cloud: FlyCloud
let now: number
beforeEach(async () => {
  now = 0
  cloud = await flyCloud("pets", { token, now: () => now })
})
afterEach(() => cloud.close())

const provider = (more: Partial<FlyOptions> = {}) => fly({ token, apiBase: cloud.apiBase, ...more })
const status = (more: Partial<FlyOptions> = {}) => provider(more).status!(machineOf(), { signal })
const start = (more: Partial<FlyOptions> = {}) => provider(more).start!(machineOf(), { signal })
/** The failure, after it was searched for the token through all its causes. */
const failure = async (asked: Promise<unknown>): Promise<unknown> => {
  const error = await asked.then(
    () => expect.unreachable("it succeeded"),
    (error: unknown) => error,
  )
  for (let at = error; at instanceof Error; at = at.cause) {
    expect(`${String(at)} ${at.stack} ${JSON.stringify(at)}`).not.toMatch(/canary/i)
  }
  return error
}

describe("an endpoint", () => {
  const forced = { "fly-force-instance-id": "148e21" }
  it.each([
    [{ app: "pets" }, "https://pets.fly.dev:443", forced],
    [{ app: "pets", port: 8443 }, "https://pets.fly.dev:8443", forced],
    [{ app: "pets", domain: "pets.example.com" }, "https://pets.example.com:443", forced],
    [{ app: "pets", network: "public" }, "https://pets.fly.dev:443", forced],
    [{ app: "pets", network: "flycast" }, "http://pets.flycast:80", forced],
    [{ app: "pets", network: "6pn" }, "http://148e21.vm.pets.internal:8080", undefined],
    [{ app: "pets", network: "6pn", port: 9000 }, "http://148e21.vm.pets.internal:9000", undefined],
  ])("of %j is %s", async (metadata, origin, headers) => {
    const endpoint = await resolve(metadata)
    expect([endpoint.origin, endpoint.headers]).toEqual([origin, headers])
  })

  it("is known without a question and stays the same", async () => {
    const endpoint = await provider().resolve(machineOf(), { port: 3000, signal })
    expect(await provider().resolve(machineOf(), { port: 4096, signal })).toEqual(endpoint)
    expect(endpoint).toMatchObject({ epoch: "148e21", ttlMs: 86_400_000 })
    expect(cloud.asked).toEqual([])
  })

  it.each([
    [{}, "app"],
    [{ app: 1 }, "app"],
    [{ app: "" }, "app"],
    [{ app: "pets.evil.test" }, "app"],
    [{ app: "pets/../other" }, "app"],
    [{ app: "-pets" }, "app"],
    [{ app: "a".repeat(64) }, "app"],
    [{ app: "pets", network: "elsewhere" }, "network"],
    [{ app: "pets", domain: "user:secret@host.test" }, "domain"],
    [{ app: "pets", domain: "host.test:80" }, "domain"],
    [{ app: "pets", domain: "host.test/path" }, "domain"],
    [{ app: "pets", domain: "10.0.0.1" }, "domain"],
    [{ app: "pets", domain: "pets.example.com", network: "6pn" }, "domain"],
    [{ app: "pets", port: 0 }, "port"],
    [{ app: "pets", port: 65_536 }, "port"],
    [{ app: "pets", port: "443" }, "port"],
  ])("is refused for %j, by the field %s", async (metadata, field) => {
    const error = await failure(resolve(metadata))
    expect(error).toMatchObject({ _tag: "MachineRecordInvalid", field })
    expect(String(error)).not.toContain("secret")
  })

  it.each(["", "m/1", "../m", "m 1", "m?1", "m\r\nx: y", "m.evil", "a".repeat(64)])(
    "is refused for the id %j, and so is every question",
    async (id) => {
      const invalid = { _tag: "MachineRecordInvalid", field: "externalId" }
      const machine = machineOf(undefined, id)
      expect(await failure(resolve(undefined, id))).toMatchObject(invalid)
      expect(await failure(provider().status!(machine, { signal }))).toMatchObject(invalid)
      expect(await failure(provider().start!(machine, { signal }))).toMatchObject(invalid)
      expect(cloud.asked).toEqual([])
    },
  )
})

describe("a token", () => {
  it.each([
    ["fo1_abc", "Bearer fo1_abc"],
    ["Bearer fo1_abc", "Bearer fo1_abc"],
    ["bearer  fo1_abc\n", "Bearer fo1_abc"],
    ["FlyV1 fm2_abc", "FlyV1 fm2_abc"],
    ["Bearer fm2_abc", "FlyV1 fm2_abc"],
    ["fm1r_abc", "FlyV1 fm1r_abc"],
    ["fm1a_abc", "FlyV1 fm1a_abc"],
    ["FlyV1 fm2_abc,fm2_def", "FlyV1 fm2_abc,fm2_def"],
    // vendors.md 5.
    [" fo1_abc, fm2_def ", "FlyV1 fm2_def"],
    ["fm2_abc,fo1_def,fm1r_ghi", "FlyV1 fm2_abc,fm1r_ghi"],
    ["fo1_abc,fo1_def", "Bearer fo1_abc,fo1_def"],
    ["fm3_abc", "Bearer fm3_abc"],
  ])("%j is sent as %j", async (token, authorization) => {
    await expect(status({ token })).rejects.toMatchObject({ _tag: "ProviderAuth" })
    expect(cloud.asked).toEqual([{ method: "GET", path: "/v1/apps/pets/machines/148e21", authorization }])
  })

  it.each(["", " ", "Bearer ", "canary canary", "canary\nx: y", "canary\u0000", "canäry", "canary,", undefined])(
    "%j is refused at once and not repeated",
    (token) => {
      const error = (() => {
        try {
          return fly({ token: token as string })
        } catch (error) {
          return error
        }
      })()
      expect(error).toBeInstanceOf(TypeError)
      expect(String(error)).toMatch(/^TypeError: fly: token must be/)
      expect(String(error)).not.toContain("can")
    },
  )

  it("goes to no address that a record or a redirect names", async () => {
    const elsewhere = await flyCloud("pets", { token })
    elsewhere.machine("148e21").start()
    const record = machineOf({ app: "pets", apiBase: elsewhere.apiBase })
    expect(await provider().status!(record, { signal })).toEqual({ state: "gone" })
    for (const code of [301, 302, 303, 307, 308]) {
      cloud.next(code, undefined, { location: `${elsewhere.apiBase}/apps/pets/machines/148e21` })
      expect(await failure(status())).toMatchObject({
        _tag: "ProviderUnavailable",
        reason: `the API redirects: HTTP ${code}`,
      })
    }
    expect(elsewhere.asked).toEqual([])
    await elsewhere.close()
  })

  it.each([
    "https://api.machines.dev/v1/",
    "http://_api.internal:4280/v1",
    "http://127.0.0.1:1/v1",
    "http://[::1]:1/v1",
  ])("may travel to %s", (apiBase) => {
    expect(fly({ token, apiBase })).toMatchObject({ type: "fly" })
  })

  it.each([
    "http://api.machines.dev/v1",
    "http://127.0.0.1.evil.test/v1",
    "https://user:secret@api.machines.dev/v1",
    "https://api.machines.dev/v1?x",
    "https://api.machines.dev/v1#x",
    "ftp://api.machines.dev",
    "api.machines.dev",
  ])("may not travel to %s", (apiBase) => {
    expect(() => fly({ token, apiBase })).toThrow(/^fly: apiBase must be (?!.*secret)/)
  })
})

describe("status", () => {
  it.each([
    ["created", "stopped"],
    ["creating", "starting"],
    ["starting", "starting"],
    ["restarting", "starting"],
    ["updating", "starting"],
    ["replacing", "starting"],
    ["stopping", "stopping"],
    ["suspending", "stopping"],
    ["stopped", "stopped"],
    ["suspended", "suspended"],
    ["failed", "failed"],
    ["launch_failed", "failed"],
    ["destroying", "gone"],
    ["destroyed", "gone"],
    ["replaced", "unknown"],
    ["migrated", "unknown"],
    ["a word of tomorrow", "unknown"],
  ])("%s is %s", async (detail, state) => {
    cloud.machine("148e21").state = detail
    expect(await status()).toEqual({ state, detail })
  })

  it("says since when a machine runs, by its latest start", async () => {
    const machine = cloud.machine("148e21")
    machine.start(60_000)
    machine.stop()
    machine.start(5_000)
    const found = await status()
    expect(found).toEqual({ state: "running", detail: "started", uptimeMs: expect.any(Number) as number })
    expect(found.uptimeMs).toBeGreaterThanOrEqual(5_000)
    expect(found.uptimeMs).toBeLessThan(20_000)
    machine.events.length = 0
    expect(await status()).toEqual({ state: "running", detail: "started" })
  })

  it("says that a machine is gone when there is none", async () => {
    expect(await status()).toEqual({ state: "gone" })
  })

  it("fails when the machine's host is lost, whatever its state", async () => {
    const machine = cloud.machine("148e21")
    machine.start()
    machine.hostStatus = "unreachable"
    expect(await failure(status())).toMatchObject({ _tag: "ProviderUnavailable", reason: "its host is unreachable" })
    machine.hostStatus = "unknown"
    expect(await status()).toMatchObject({ state: "running" })
  })

  it.each([["not JSON"], [{}], [{ state: 1 }], [[]], [undefined]])(
    "does not understand a machine of %j",
    async (body) => {
      cloud.next(200, body)
      expect(await failure(status())).toMatchObject({
        _tag: "ProviderUnavailable",
        reason: "invalid response",
      })
    },
  )
})

describe("start", () => {
  it("starts a stopped machine, and a running one does no harm", async () => {
    const machine = cloud.machine("148e21")
    await start()
    expect(machine.state).toBe("started")
    await start()
    const machines = "/v1/apps/pets/machines/148e21"
    const once = [`POST ${machines}/start`, `GET ${machines}/wait?state=started&timeout=60`]
    expect(cloud.asked.map(({ method, path }) => `${method} ${path}`)).toEqual([...once, ...once])
    machine.refuse(412, "failed_precondition: unable to start machine from current state: 'started'")
    await start()
    // vendors.md 5: a code beside its sentence.
    now += 1_000
    machine.refuse(412, "failed_precondition", "unable to start machine from current state: 'started'")
    await start()
  })

  it("is over when the machine has booted, also for one that somebody else has started", async () => {
    const machine = cloud.machine("148e21")
    machine.bootMs = 50
    const first = start()
    await expect.poll(() => machine.state).toBe("starting")
    await Promise.all([first, start()])
    expect(machine.state).toBe("started")
  })

  it("is MachineStarting when the boot takes longer than Fly waits", async () => {
    const machine = cloud.machine("148e21")
    machine.state = "starting"
    expect(await failure(start())).toMatchObject({ _tag: "MachineStarting" })
    expect(cloud.asked.at(-1)?.path).toMatch(/\/wait\?/)
  })

  it("ends with its signal while Fly waits", async () => {
    const machine = cloud.machine("148e21")
    machine.bootMs = 200
    const left = new AbortController()
    const starting = provider().start!(machineOf(), { signal: left.signal })
    await expect.poll(() => machine.state).toBe("starting")
    left.abort(new Error("enough"))
    await expect(starting).rejects.toThrow("enough")
  })

  it.each(["created", "replacing", "stopping"])("waits for a machine that is %s", async (state) => {
    cloud.machine("148e21").state = state
    expect(await failure(start())).toMatchObject({ _tag: "MachineStarting" })
  })

  it.each(["machine still active, refusing to start", "machine getting replaced, refusing to start"])(
    "waits for: %s",
    async (text) => {
      cloud.machine("148e21").refuse(412, text)
      expect(await failure(start())).toMatchObject({ _tag: "MachineStarting" })
    },
  )

  it("waits for who holds a lease", async () => {
    cloud.machine("148e21").lease("somebody")
    expect(await failure(start())).toMatchObject({ _tag: "MachineStarting" })
  })

  it.each([409, 412] as const)("says that there is no room: %i", async (status) => {
    cloud.machine("148e21").capacity(status)
    expect(await failure(start())).toMatchObject({ _tag: "ProviderUnavailable", reason: "capacity" })
  })

  it("finds no machine that was destroyed", async () => {
    expect(await failure(start())).toMatchObject({ _tag: "MachineNotFound" })
    cloud.machine("148e21").destroy()
    expect(await failure(start())).toMatchObject({ _tag: "MachineNotFound" })
  })

  it("is told to slow down", async () => {
    cloud.machine("148e21")
    for (let i = 0; i < 3; i++) await start()
    expect(await failure(start())).toMatchObject({ _tag: "ProviderRateLimited", retryAfterMs: 1_000 })
    now += 1_000
    await start()
    cloud.machine("148e21").rateLimit(0, "7")
    expect(await failure(start())).toMatchObject({ _tag: "ProviderRateLimited", retryAfterMs: 7_000 })
  })
})

describe("an answer of the API", () => {
  const nobody = { _tag: "MachineNotFound" }
  const starting = { _tag: "MachineStarting" }
  const unavailable = (reason: string) => ({ _tag: "ProviderUnavailable", reason })
  it.each<[number, unknown, object]>([
    [400, { error: "instance_id required when waiting for stopped machine" }, unavailable("HTTP 400")],
    [401, { error: "Authenticate: token validation error" }, { _tag: "ProviderAuth" }],
    [403, undefined, { _tag: "ProviderAuth" }],
    [404, undefined, nobody],
    [404, { error: "we can no longer introspect the app" }, unavailable("HTTP 404 for the app")],
    [408, { error: "deadline_exceeded: machine failed to reach desired state, started, currently stopped" }, starting],
    [409, { status: "error", message: "machine ID 1 lease currently held by x" }, starting],
    [409, "not JSON", starting],
    [412, { status: "insufficient_capacity" }, unavailable("capacity")],
    [503, { status: "insufficient_capacity", message: "no" }, unavailable("capacity")],
    [412, { error: "failed_precondition: unable to start machine from current state: 'destroying'" }, nobody],
    // vendors.md 5: a code beside its sentence.
    [412, { error: "failed_precondition", message: "unable to start machine from current state: 'destroyed'" }, nobody],
    [409, { error: "aborted", message: "could not reserve resource for machine" }, unavailable("capacity")],
    [404, { error: "not_found", message: "we can no longer introspect the app" }, unavailable("HTTP 404 for the app")],
    [412, undefined, starting],
    [422, { error: "invalid" }, { _tag: "MachineRecordInvalid", field: "externalId" }],
    [429, undefined, { _tag: "ProviderRateLimited", retryAfterMs: 1_000 }],
    [500, { error: "boom" }, unavailable("HTTP 500")],
    [502, "<html>", unavailable("HTTP 502")],
    [503, undefined, unavailable("HTTP 503")],
    [504, undefined, unavailable("HTTP 504")],
    [418, { error: 1, message: null }, unavailable("HTTP 418")],
  ])("%i %j is translated", async (code, body, expected) => {
    cloud.next(code, body)
    const error = await failure(start())
    expect(error).toMatchObject({ provider: "fly", machine: "148e21", ...expected })
    expect(isProviderError(error)).toBe(true)
  })

  it.each([
    ["0", 1_000],
    ["3", 3_000],
    ["soon", 1_000],
    ["-1", 1_000],
    [new Date(0).toUTCString(), 1_000],
  ])("may say when to ask again: %s", async (value, retryAfterMs) => {
    cloud.next(429, undefined, { "retry-after": value })
    expect(await failure(status())).toMatchObject({ _tag: "ProviderRateLimited", retryAfterMs })
  })

  it("may say when to ask again by a date", async () => {
    cloud.next(429, undefined, { "retry-after": new Date(Date.now() + 20_000).toUTCString() })
    const { retryAfterMs } = (await failure(status())) as { readonly retryAfterMs: number }
    expect(retryAfterMs).toBeGreaterThan(10_000)
    expect(retryAfterMs).toBeLessThanOrEqual(20_000)
  })

  it("is kept for logs with its id, and never with the token", async () => {
    cloud.next(500, { error: `who sent ${token}?` })
    expect(await failure(status())).toMatchObject({
      message: "fly machine 148e21 cannot be reached: HTTP 500",
      cause: { message: "Fly responded with 500 (fly-request-id 01JNRQ9VVKJ7HZFMJWJB3M3RYN-yyz): who sent …?" },
    })
    cloud.next(500, "x".repeat(990) + token + "y".repeat(5_000_000))
    const { cause } = (await failure(status())) as { readonly cause: Error }
    expect(cause.message.length).toBeLessThan(1_100)
  })
})

describe("no answer of the API", () => {
  it("is unavailable, with the code of the failure", async () => {
    const gone = await flyCloud("pets", { token })
    await gone.close()
    expect(await failure(status({ apiBase: gone.apiBase }))).toMatchObject({
      _tag: "ProviderUnavailable",
      reason: "ECONNREFUSED",
    })
    const broken = () => Promise.reject(new TypeError("fetch failed"))
    expect(await failure(status({ fetch: broken }))).toMatchObject({ reason: "no connection" })
    const slow = () => Promise.reject(new DOMException("slow", "TimeoutError"))
    expect(await failure(status({ fetch: slow }))).toMatchObject({ reason: "timeout" })
  })

  it("is unavailable when it breaks off", async () => {
    const half = new ReadableStream({ pull: (body) => body.error(new Error("cut")) })
    const fetch = () => Promise.resolve(new Response(half))
    expect(await failure(status({ fetch }))).toMatchObject({ _tag: "ProviderUnavailable", reason: "no connection" })
  })

  it("ends with the signal, by its reason", async () => {
    cloud.hang()
    const left = new AbortController()
    const asked = provider().status!(machineOf(), { signal: left.signal })
    await expect.poll(() => cloud.asked.length).toBe(1)
    left.abort(new Error("left"))
    await expect(asked).rejects.toThrow("left")
    await expect(provider().start!(machineOf(), { signal: AbortSignal.abort(new Error("gone")) })).rejects.toThrow(
      "gone",
    )
    await expect(provider().status!(machineOf(), { signal: AbortSignal.timeout(5) })).rejects.toThrow(/timeout/i)
  })

  it("is a redirect that the runtime hides", async () => {
    const hidden = Object.defineProperty(new Response(null), "type", { value: "opaqueredirect" })
    expect(await failure(status({ fetch: () => Promise.resolve(hidden) }))).toMatchObject({
      reason: "the API redirects: HTTP 3xx",
    })
  })
})

describe("an answer of the edge", () => {
  const verdict = (status: number, location?: string, metadata?: Machine["metadata"]) => {
    const header: PlatformResponse["header"] = (name) => (name === "location" ? location : undefined)
    return fly({ token }).classify!({ status, header }, machineOf(metadata))
  }

  it.each([404, 502, 503, 504, 520, 522, 525, 526, 530])("of %i has to be asked about", (status) => {
    expect(verdict(status)).toBe("check-status")
  })

  it.each([
    [200, undefined, undefined, "HTTP 200 without the stamp of the machine's proxy"],
    [401, undefined, undefined, "HTTP 401 without the stamp of the machine's proxy"],
    [421, undefined, undefined, "HTTP 421 without the stamp of the machine's proxy"],
    [500, undefined, undefined, "HTTP 500 without the stamp of the machine's proxy"],
    [
      301,
      "https://pets.flycast/?secret",
      { app: "pets", network: "flycast" },
      "the edge redirects to https (force_https): HTTP 301",
    ],
    [301, "https://pets.fly.dev/?secret", undefined, "the edge redirects: HTTP 301"],
    [307, undefined, undefined, "the edge redirects: HTTP 307"],
  ])("of %i to %s says what is wrong", (status, location, metadata, reason) => {
    expect(verdict(status, location, metadata)).toMatchObject({
      _tag: "ProviderUnavailable",
      machine: "148e21",
      reason,
    })
  })
})
