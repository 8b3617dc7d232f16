import { fileURLToPath } from "node:url"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { fly } from "../src/adapters/fly/fly.ts"
import type { Machine } from "../src/contract/machine-provider.ts"
import { flyCloud } from "./fakes/fly-cloud.ts"
import type { FlyCloud } from "./fakes/fly-cloud.ts"
import { prismMissing, prismProxy } from "./fakes/prism.ts"
import type { Prism } from "./fakes/prism.ts"

const missing = await prismMissing()
const openapi = fileURLToPath(new URL("../openapi/fly.json", import.meta.url))
const token = "fm2_abc"
const { signal } = new AbortController()

describe("fly and its fake keep to openapi/fly.json", { timeout: 30_000 }, () => {
  let cloud: FlyCloud
  let prism: Prism
  let now = 0
  let machines = 0
  beforeAll(async () => {
    if (missing !== undefined) return
    cloud = await flyCloud("pets", { token, now: () => now })
    prism = await prismProxy(openapi, cloud.apiOrigin)
  }, 30_000)
  afterAll(async () => {
    if (missing !== undefined) return
    await prism.close()
    await cloud.close()
  })
  beforeEach((test) => {
    if (missing !== undefined) test.skip(missing)
    now += 60_000
    machines++
    prism.violations.length = 0
  })
  const errors = () => prism.violations.filter(({ severity }) => severity === "Error")

  const provider = (text = token) => fly({ token: text, apiBase: `${prism.origin}/v1`, fetch: prism.fetch })
  const fresh = () => cloud.machine(`m${machines}`)
  const record = (): Machine => ({
    id: "mach_1",
    type: "fly",
    externalId: `m${machines}`,
    metadata: { app: "pets" },
  })
  const status = () => provider().status!(record(), { signal })
  const start = () => provider().start!(record(), { signal })

  describe("in what the adapter asks, and is told", () => {
    afterEach(() => {
      // A hook that throws fails its test.
      const [found] = missing === undefined ? errors() : []
      if (found !== undefined) throw new Error(JSON.stringify(found))
    })

    it("of a machine's state", async () => {
      const machine = fresh()
      expect(await status()).toMatchObject({ state: "stopped" })
      machine.start()
      expect(await status()).toMatchObject({ state: "running" })
      machine.destroy()
      expect(await status()).toMatchObject({ state: "gone" })
    })

    it("when it starts one", async () => {
      fresh()
      await start()
      await start()
      expect(await status()).toMatchObject({ state: "running" })
    })

    it("of a machine that is not there", async () => {
      expect(await status()).toEqual({ state: "gone" })
      await expect(start()).rejects.toMatchObject({ _tag: "MachineNotFound" })
    })

    it("with a wrong token", async () => {
      fresh()
      await expect(provider("wrong").start!(record(), { signal })).rejects.toMatchObject({ _tag: "ProviderAuth" })
    })

    it("when it has to wait", async () => {
      const machine = fresh()
      machine.state = "created"
      await expect(start()).rejects.toMatchObject({ _tag: "MachineStarting" })
      machine.lease("somebody")
      await expect(start()).rejects.toMatchObject({ _tag: "MachineStarting" })
      machine.rateLimit(0)
      await expect(start()).rejects.toMatchObject({ _tag: "ProviderRateLimited" })
    })

    it.each([409, 412] as const)("when there is no room: %i", async (code) => {
      fresh().capacity(code)
      await expect(start()).rejects.toMatchObject({ _tag: "ProviderUnavailable", reason: "capacity" })
    })

    it("in the fake's other answers", async () => {
      const machine = fresh()
      const ask = async (method: string, path: string): Promise<number> => {
        const headers = { authorization: `FlyV1 ${token}` }
        const url = `${prism.origin}/v1/apps/pets/machines/${machine.id}${path}`
        return (await prism.fetch(url, { method, headers })).status
      }
      expect(await ask("GET", "/wait?state=started&timeout=60")).toBe(408)
      expect(await ask("GET", "/wait?state=stopped&timeout=60")).toBe(400)
      machine.start()
      expect(await ask("GET", "/wait?state=started&timeout=60")).toBe(200)
      expect(await ask("POST", "/lease")).toBe(200)
      expect(await ask("POST", "/lease")).toBe(409)
    })
  })

  it("and a violation is seen", async () => {
    fresh()
    cloud.next(200, { state: 1 })
    await expect(status()).rejects.toMatchObject({ _tag: "ProviderUnavailable" })
    expect(errors().map(({ message }) => message)).toContain("Response body property state must be string")
    prism.violations.length = 0
    await prism.fetch(`${prism.origin}/v1/apps/pets/machines`)
    expect(errors().length).toBe(1)
  })
})
