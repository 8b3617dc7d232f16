import { fileURLToPath } from "node:url"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { daytona, signedPreviewUrl } from "../src/adapters/daytona/daytona.ts"
import type { DaytonaOptions } from "../src/adapters/daytona/daytona.ts"
import type { Machine } from "../src/contract/machine-provider.ts"
import { fakeDaytona } from "./fakes/daytona-cloud.ts"
import type { FakeDaytona, FakeSandbox } from "./fakes/daytona-cloud.ts"
import { prismMissing, prismProxy } from "./fakes/prism.ts"
import type { Prism } from "./fakes/prism.ts"

const missing = await prismMissing()
const openapi = fileURLToPath(new URL("../openapi/daytona.json", import.meta.url))
const { signal } = new AbortController()

describe("daytona and its fake keep to openapi/daytona.json", { timeout: 30_000 }, () => {
  let cloud: FakeDaytona
  let prism: Prism
  let sandbox: FakeSandbox
  beforeAll(async () => {
    if (missing !== undefined) return
    cloud = await fakeDaytona()
    prism = await prismProxy(openapi, new URL(cloud.apiBase).origin)
  }, 30_000)
  afterAll(async () => {
    if (missing !== undefined) return
    await prism.close()
    await cloud.close()
  })
  beforeEach(async (test) => {
    if (missing !== undefined) test.skip(missing)
    sandbox = await cloud.sandbox(1)
    prism.violations.length = 0
  })
  const errors = () => prism.violations.filter(({ severity }) => severity === "Error")
  const options = (apiKey = cloud.apiKey): DaytonaOptions => ({
    apiKey,
    apiBase: `${prism.origin}/api`,
    fetch: prism.fetch,
    organization: "org",
  })
  const record = (externalId = sandbox.id): Machine => ({ id: "mach_1", type: "daytona", externalId, metadata: {} })

  describe("in what the adapter asks, and is told", () => {
    afterEach(() => {
      // A hook that throws fails its test.
      const [found] = missing === undefined ? errors() : []
      if (found !== undefined) throw new Error(JSON.stringify(found))
    })

    it("of a machine that runs", async () => {
      const provider = daytona(options())
      expect(await provider.resolve(record(), { port: 3000, signal })).toMatchObject({ origin: sandbox.origin })
      expect(await provider.status!(record(), { signal })).toMatchObject({ state: "running" })
      await provider.keepAlive!(record(), { signal })
      await provider.keepAlive!(record(sandbox.name), { signal })
      expect(sandbox.lastActivities).toBe(2)
      expect(await signedPreviewUrl(options(), record(), { port: 3000 })).toHaveProperty("url")
    })

    it("when it starts one", async () => {
      const start = () => daytona(options()).start!(record(), { signal })
      sandbox.stop()
      await start()
      await start()
      sandbox.state = "stopping"
      await expect(start()).rejects.toMatchObject({ _tag: "MachineStarting" })
      sandbox.state = "error"
      await expect(start()).rejects.toMatchObject({ _tag: "MachineNotRunning" })
    })

    it("of a machine that is not there, and with a wrong key", async () => {
      const none = record("11111111-2222-3333-4444-555555555555")
      expect(await daytona(options()).status!(none, { signal })).toEqual({ state: "gone" })
      await expect(daytona(options("wrong")).start!(record(), { signal })).rejects.toMatchObject({
        _tag: "ProviderAuth",
      })
    })

    it("when it has to wait", async () => {
      cloud.next({
        status: 429,
        body: { statusCode: 429, message: "Rate limit exceeded", error: "Too Many Requests" },
        headers: { "retry-after-authenticated": "3" },
      })
      await expect(daytona(options()).status!(record(), { signal })).rejects.toMatchObject({
        _tag: "ProviderRateLimited",
        retryAfterMs: 3_000,
      })
    })
  })

  it("and a violation is seen", async () => {
    cloud.next({ status: 200, body: { id: "x", state: 1 } })
    await expect(daytona(options()).status!(record(), { signal })).rejects.toMatchObject({
      _tag: "ProviderUnavailable",
    })
    expect(errors().length).toBe(1)
  })
})
