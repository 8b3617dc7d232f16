/** The vendors' own clients against the fakes, so that a fake is what they expect. What they send is what our adapters send. */
import { Configuration, SandboxApi } from "@daytonaio/api-client"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { daytona, signedPreviewUrl } from "../src/adapters/daytona/daytona.ts"
import type { Machine } from "../src/contract/machine-provider.ts"
import { fakeDaytona } from "./fakes/daytona-cloud.ts"
import type { FakeDaytona, FakeSandbox } from "./fakes/daytona-cloud.ts"

const { signal } = new AbortController()

describe("Daytona's own client", () => {
  let cloud: FakeDaytona
  let sandbox: FakeSandbox
  let client: SandboxApi
  beforeEach(async () => {
    cloud = await fakeDaytona()
    sandbox = await cloud.sandbox(1)
    client = new SandboxApi(new Configuration({ basePath: cloud.apiBase, accessToken: cloud.apiKey }))
  })
  afterEach(() => cloud.close())
  const machine = (): Machine => ({ id: "mach_1", type: "daytona", externalId: sandbox.id, metadata: {} })

  it("sends what the adapter sends", async () => {
    const sent = async (run: () => Promise<unknown>) => {
      cloud.calls.length = 0
      await run()
      return cloud.calls.map(({ method, path, authorization }) => `${method} ${path} ${authorization}`).toSorted()
    }
    const options = { apiKey: cloud.apiKey, apiBase: cloud.apiBase }
    const provider = daytona(options)
    const { id } = sandbox
    expect(
      await sent(async () => {
        await client.getSandbox(id)
        await client.getPortPreviewUrl(id, 8080)
        await client.startSandbox(id)
        await client.updateLastActivity(id)
        await client.getSignedPortPreviewUrl(id, 3000, undefined, 60)
      }),
    ).toEqual(
      await sent(async () => {
        await provider.resolve(machine(), { port: 3000, signal })
        await provider.start!(machine(), { signal })
        await provider.keepAlive!(machine(), { signal })
        await signedPreviewUrl(options, machine(), { port: 3000 })
      }),
    )
  })

  it("finds, stops, pauses, resumes and recovers a sandbox, by id or name", async () => {
    expect((await client.listSandboxes()).data.items).toMatchObject([
      { id: sandbox.id, toolboxProxyUrl: "http://toolbox.test" },
    ])
    expect((await client.getSandbox(sandbox.name)).data).toMatchObject({ id: sandbox.id, state: "started" })
    expect((await client.stopSandbox(sandbox.name)).data.state).toBe("stopped")
    expect((await client.startSandbox(sandbox.name)).data.state).toBe("started")
    const { token } = sandbox
    expect((await client.pauseSandbox(sandbox.id)).data.state).toBe("paused")
    await expect(client.startSandbox(sandbox.id)).rejects.toMatchObject({ response: { status: 422 } })
    sandbox.sandboxClass = "linux-vm"
    expect((await client.startSandbox(sandbox.id)).data.state).toBe("started")
    expect(sandbox.token).toBe(token)
    sandbox.state = "archived"
    expect((await client.startSandbox(sandbox.id)).data.state).toBe("restoring")
    sandbox.state = "error"
    await expect(client.startSandbox(sandbox.id)).rejects.toMatchObject({ response: { status: 400 } })
    expect((await client.recoverSandbox(sandbox.id)).data.state).toBe("started")
    const link = (await client.getSignedPortPreviewUrl(sandbox.id, 3000)).data
    expect((await client.expireSignedPortPreviewUrl(sandbox.id, 3000, link.token)).status).toBe(200)
  })

  it("has no effect on the last activity by a name", async () => {
    await client.updateLastActivity(sandbox.name)
    expect(sandbox.lastActivities).toBe(0)
    await client.updateLastActivity(sandbox.id)
    expect(sandbox.lastActivities).toBe(1)
  })
})
