/** The vendors' own clients against the fakes, so that a fake is what they expect. What they send is what our adapters send. */
import { Configuration, SandboxApi } from "@daytonaio/api-client"
import { Sandbox as VercelSandbox } from "@vercel/sandbox"
import { APIError, SpritesClient } from "@fly/sprites"
import Cloudflare from "cloudflare"
import { ApiClient, ConnectionConfig, Sandbox as E2bSandbox } from "e2b"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { createTunnel, deleteTunnel } from "../src/adapters/cloudflare/tunnel.ts"
import { daytona, signedPreviewUrl } from "../src/adapters/daytona/daytona.ts"
import { e2b } from "../src/adapters/e2b/e2b.ts"
import { vercelSandbox } from "../src/adapters/vercel-sandbox/vercel-sandbox.ts"
import { sprites } from "../src/adapters/fly/sprites.ts"
import type { Machine } from "../src/contract/machine-provider.ts"
import { fakeCloudflare } from "./fakes/cloudflare-api.ts"
import type { FakeCloudflare } from "./fakes/cloudflare-api.ts"
import { fakeDaytona } from "./fakes/daytona-cloud.ts"
import type { FakeDaytona, FakeSandbox } from "./fakes/daytona-cloud.ts"
import { fakeE2b } from "./fakes/e2b-cloud.ts"
import type { FakeE2b } from "./fakes/e2b-cloud.ts"
import { fakeVercel } from "./fakes/vercel-cloud.ts"
import type { FakeVercel } from "./fakes/vercel-cloud.ts"
import { spritesCloud } from "./fakes/sprites-cloud.ts"
import type { SpritesCloud } from "./fakes/sprites-cloud.ts"

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

describe("Fly's own client for Sprites", () => {
  let cloud: SpritesCloud
  let client: SpritesClient
  beforeEach(async () => {
    cloud = await spritesCloud()
    client = new SpritesClient(cloud.token, { baseURL: new URL(cloud.apiBase).origin })
  })
  afterEach(() => cloud.close())
  const machine: Machine = { id: "mach_1", type: "sprites", externalId: "m1", metadata: {} }
  const provider = () => sprites({ token: cloud.token, urlToken: cloud.token, apiBase: cloud.apiBase })
  const failed = async (asked: Promise<unknown>): Promise<unknown> => asked.catch((error: unknown) => error)

  it("asks what the adapter asks, and reads the same", async () => {
    await cloud.sprite("m1", { port: 1 })
    const { origin, epoch } = await provider().resolve(machine, { port: 3000, signal })
    const ours = cloud.calls.splice(0)
    const found = await client.getSprite("m1")
    expect(cloud.calls).toEqual(ours)
    expect([found.url, found.id, found.status, found.urlSettings?.auth]).toEqual([origin, epoch, "running", "sprite"])
  })

  it("makes, opens, restarts and deletes a Sprite, as the adapter sees it", async () => {
    const state = async () => (await provider().status!(machine, { signal })).state
    expect(await state()).toBe("gone")
    const made = await client.createSprite("m1")
    expect([made.status, made.urlSettings?.auth, await state()]).toEqual(["cold", "sprite", "stopped"])
    await client.updateURLSettings("m1", { auth: "public" })
    expect(await provider().resolve(machine, { port: 3000, signal })).not.toHaveProperty("headers")
    expect(await client.restartSprite("m1")).toMatchObject({ spriteName: "m1" })
    expect(await state()).toBe("running")
    await client.deleteSprite("m1")
    expect(await state()).toBe("gone")
  })

  it("lists Sprites by pages", async () => {
    for (let i = 0; i < 51; i++) await client.createSprite(`s${i}`)
    expect((await client.listAllSprites("s")).map(({ name }) => name)).toEqual(
      [...Array(51).keys()].map((i) => `s${i}`),
    )
  })

  it("takes the fake's failures for the API's, as the adapter does", async () => {
    expect(await failed(client.getSprite("m1"))).toMatchObject({ statusCode: 404, errorCode: "sprite not found" })
    cloud.always = { status: 429, headers: { "retry-after": "3" }, body: '{"error":"x","retry_after_seconds":7}' }
    const limited = await failed(client.getSprite("m1"))
    expect(limited).toBeInstanceOf(APIError)
    const retryAfterMs = (limited as APIError).getRetryAfterSeconds()! * 1_000
    await expect(provider().status!(machine, { signal })).rejects.toMatchObject({ retryAfterMs })
    cloud.always = undefined
    const stranger = new SpritesClient("org/1/other", { baseURL: new URL(cloud.apiBase).origin })
    expect(await failed(stranger.getSprite("m1"))).toMatchObject({ statusCode: 401 })
  })
})

describe("Cloudflare's own client", () => {
  let cloud: FakeCloudflare
  let client: Cloudflare
  let account: { readonly account_id: string }
  let zone: { readonly zone_id: string }
  beforeEach(async () => {
    cloud = await fakeCloudflare()
    client = new Cloudflare({ apiToken: cloud.apiToken, baseURL: cloud.apiBase, maxRetries: 0 })
    account = { account_id: cloud.accountId }
    zone = { zone_id: cloud.zoneId }
  })
  afterEach(() => cloud.close())
  const tunnels = () => client.zeroTrust.tunnels.cloudflared
  const ingress = [
    { hostname: "m1.example.com", service: "http://localhost:8080" },
    { hostname: "", service: "http_status:404" },
  ]
  const made = async (name: string): Promise<string> => {
    const { id } = await tunnels().create({ ...account, name, config_src: "cloudflare" })
    return id!
  }

  it("makes and removes a tunnel with the requests of createTunnel and deleteTunnel", async () => {
    const { apiBase, apiToken, accountId, zoneId } = cloud
    const hostname = "m1.example.com"
    const options = { apiBase, apiToken, accountId, zoneId }
    const ours = await createTunnel(options, { name: "machine-1", hostname })
    const [ourTunnel] = cloud.tunnels.values()
    const [ourRecord] = cloud.records.values()
    await deleteTunnel(options, { id: ours.id, hostname })
    const calls = cloud.calls.splice(0)

    const id = await made("machine-1")
    expect(await tunnels().token.get(id, account)).toBe(cloud.tunnels.get(id)!.token)
    await tunnels().configurations.update(id, { ...account, config: { ingress } })
    const content = `${id}.cfargotunnel.com`
    await client.dns.records.create({ ...zone, type: "CNAME", name: hostname, content, proxied: true, ttl: 1 })
    expect([...cloud.records.values()]).toEqual([{ ...ourRecord, content }])
    expect(ourTunnel).toMatchObject({ name: "machine-1" })
    const found = await client.dns.records.list({ ...zone, type: "CNAME", name: { exact: hostname } })
    expect(found.result).toMatchObject([{ type: "CNAME", name: hostname, content }])
    await client.dns.records.delete(found.result[0]!.id, zone)
    await tunnels().delete(id, account)
    expect([cloud.calls, cloud.tunnels.size, cloud.records.size]).toEqual([calls, 0, 0])
  })

  it("lists tunnels by pages, and finds one", async () => {
    const ids: string[] = []
    for (let i = 0; i < 45; i++) ids.push(await made(`machine-${i}`))
    const listed: string[] = []
    for await (const { id } of tunnels().list(account)) listed.push(id!)
    expect(listed).toEqual(ids)
    expect(await tunnels().get(ids[0]!, account)).toMatchObject({ name: "machine-0", status: "inactive" })
  })

  it("removes a tunnel that is in use only without its connections, and createTunnel's with them", async () => {
    const id = await made("machine-1")
    cloud.connections.set(id, 4)
    await expect(tunnels().delete(id, account)).rejects.toMatchObject({ status: 400 })
    await tunnels().connections.delete(id, account)
    await tunnels().delete(id, account)
    const { apiBase, apiToken, accountId, zoneId } = cloud
    const options = { apiBase, apiToken, accountId, zoneId }
    const ours = await createTunnel(options, { name: "machine-1", hostname: "m1.example.com" })
    cloud.connections.set(ours.id, 4)
    await deleteTunnel(options, { id: ours.id, hostname: "m1.example.com" })
    expect(cloud.tunnels.size).toBe(0)
  })
})

describe("E2B's own client", () => {
  let cloud: FakeE2b
  let sandbox: ReturnType<FakeE2b["sandbox"]>
  beforeEach(async () => {
    cloud = await fakeE2b()
    sandbox = cloud.sandbox(1)
  })
  afterEach(() => cloud.close())
  const connection = () => ({ apiKey: cloud.apiKey, apiUrl: cloud.apiBase, retries: 0 })
  const machine = (): Machine => ({ id: "mach_1", type: "e2b", externalId: sandbox.id, metadata: {} })
  const adapter = () => e2b({ apiKey: cloud.apiKey, apiBase: cloud.apiBase })

  it("sends what the adapter sends", async () => {
    const sent = async (run: () => Promise<unknown>) => {
      cloud.calls.length = 0
      await run()
      return cloud.calls.map(({ method, path, key, body }) => `${method} ${path} ${String(key)} ${body}`)
    }
    const { id: sandboxID } = sandbox
    expect(
      await sent(async () => {
        await E2bSandbox.getInfo(sandboxID, connection())
        await E2bSandbox.connect(sandboxID, { ...connection(), timeoutMs: 300_000 })
        // It has no function of its own for this operation of its API.
        const { api } = new ApiClient(new ConnectionConfig(connection()))
        const params = { path: { sandboxID } }
        await api.POST("/sandboxes/{sandboxID}/refreshes", { params, body: { duration: 300 } })
      }),
    ).toEqual(
      await sent(async () => {
        await adapter().resolve(machine(), { port: 3_000, signal })
        await adapter().keepAlive!(machine(), { signal })
      }),
    )
  })

  it("reaches a port at the adapter's host, with its token", async () => {
    const { origin, headers } = await adapter().resolve(machine(), { port: 3_000, signal })
    const connected = await E2bSandbox.connect(sandbox.id, connection())
    expect(origin).toBe(`https://${connected.getHost(8_080)}`)
    expect(headers).toEqual({ "e2b-traffic-access-token": connected.trafficAccessToken })
  })

  it("finds, pauses, resumes and kills a sandbox", async () => {
    const info = () => E2bSandbox.getInfo(sandbox.id, connection())
    expect(await E2bSandbox.list(connection()).nextItems()).toMatchObject([{ sandboxId: sandbox.id, state: "running" }])
    expect(await info()).toMatchObject({ state: "running", network: { allowPublicTraffic: false } })
    await E2bSandbox.setTimeout(sandbox.id, 60_000, connection())
    expect(await E2bSandbox.pause(sandbox.id, connection())).toBe(true)
    expect(await E2bSandbox.pause(sandbox.id, connection())).toBe(false)
    expect((await info()).state).toBe("paused")
    await E2bSandbox.connect(sandbox.id, connection())
    expect((await info()).state).toBe("running")
    await E2bSandbox.kill(sandbox.id, connection())
    await expect(info()).rejects.toThrow("not found")
  })
})

describe("Vercel's own client", () => {
  let cloud: FakeVercel
  let sandbox: ReturnType<FakeVercel["sandbox"]>
  beforeEach(async () => {
    cloud = await fakeVercel()
    sandbox = cloud.sandbox(1, [3_000, 8_080])
  })
  afterEach(() => cloud.close())
  const credentials = () => ({ token: cloud.token, teamId: cloud.teamId, projectId: cloud.projectId })
  const get = (resume: boolean) =>
    VercelSandbox.get({
      ...credentials(),
      name: sandbox.name,
      resume,
      // Its own address cannot be changed, and its dispatcher is of another undici.
      fetch: (url, { method = "GET", headers = {}, body = null } = {}) =>
        fetch((url as string).replace("https://vercel.com/api", cloud.apiBase), { method, headers, body }),
    })
  const machine = (): Machine => ({ id: "mach_1", type: "vercel-sandbox", externalId: sandbox.name, metadata: {} })
  const startCommand = ["machine-proxy", "--port=8080"]
  const adapter = () => vercelSandbox({ ...credentials(), apiBase: cloud.apiBase, startCommand })

  it("sends what the adapter sends", async () => {
    const sent = async (run: () => Promise<unknown>) => {
      cloud.calls.length = 0
      await run()
      return cloud.calls.map(
        // How much is missing depends on the time, and each session has another id.
        ({ method, path, authorization, body }) =>
          `${method} ${path.replace(/sbx_\w+/, "…")} ${String(authorization)} ${body.replace(/:\d+/, ":…")}`,
      )
    }
    expect(
      await sent(async () => {
        await get(false)
        sandbox.session.status = "stopped"
        const [cmd = "", ...args] = startCommand
        await (await get(true)).runCommand({ cmd, args, detached: true })
        await (await get(false)).extendTimeout(60_000)
      }),
    ).toEqual(
      await sent(async () => {
        await adapter().resolve(machine(), { port: 3_000, signal })
        sandbox.session.status = "stopped"
        await adapter().start!(machine(), { signal })
        sandbox.session.timeout = 120_000
        await adapter().keepAlive!(machine(), { signal })
      }),
    )
  })

  it("reaches port 8080 at the adapter's origin, in each session", async () => {
    const origin = async () => (await adapter().resolve(machine(), { port: 3_000, signal })).origin
    const first = await origin()
    expect((await get(false)).domain(8_080)).toBe(first)
    expect((await get(false)).domain(3_000)).not.toBe(first)
    await (await get(false)).stop()
    expect((await get(false)).status).toBe("stopped")
    const resumed = await get(true)
    expect(resumed.status).toBe("running")
    expect(resumed.domain(8_080)).not.toBe(first)
    expect(await origin()).toBe(resumed.domain(8_080))
  })

  it("knows when a session ends as keepAlive does, and what is removed", async () => {
    await adapter().keepAlive!(machine(), { signal })
    const { expiresAt } = await get(false)
    expect(expiresAt!.getTime()).toBe(sandbox.session.startedAt + sandbox.session.timeout)
    await (await get(false)).delete()
    await expect(get(false)).rejects.toMatchObject({ response: { status: 404 } })
  })
})
