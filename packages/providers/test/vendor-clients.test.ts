/** The vendors' own clients against the fakes, so that a fake is what they expect. What they send is what our adapters send. */
import { Configuration, SandboxApi } from "@daytonaio/api-client"
import { APIError, SpritesClient } from "@fly/sprites"
import Cloudflare from "cloudflare"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { createTunnel, deleteTunnel } from "../src/adapters/cloudflare/tunnel.ts"
import { daytona, signedPreviewUrl } from "../src/adapters/daytona/daytona.ts"
import { sprites } from "../src/adapters/fly/sprites.ts"
import type { Machine } from "../src/contract/machine-provider.ts"
import { fakeCloudflare } from "./fakes/cloudflare-api.ts"
import type { FakeCloudflare } from "./fakes/cloudflare-api.ts"
import { fakeDaytona } from "./fakes/daytona-cloud.ts"
import type { FakeDaytona, FakeSandbox } from "./fakes/daytona-cloud.ts"
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
