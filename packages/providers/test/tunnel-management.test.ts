/** Tunnels of many machines: made again after a lost call, listed, and protected by Access. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import {
  cloudflareTunnel,
  createTunnel,
  deleteTunnel,
  listTunnels,
  protectTunnels,
} from "../src/adapters/cloudflare/tunnel.ts"
import type { TunnelApiOptions } from "../src/adapters/cloudflare/tunnel.ts"
import { fakeCloudflare } from "./fakes/cloudflare-api.ts"
import type { FakeCloudflare } from "./fakes/cloudflare-api.ts"
import { cloudflareEdge } from "./fakes/cloudflare-edge.ts"

let cloud: FakeCloudflare
let api: TunnelApiOptions
beforeEach(async () => {
  cloud = await fakeCloudflare()
  const { apiBase, apiToken, accountId, zoneId } = cloud
  api = { apiBase, apiToken, accountId, zoneId }
})
afterEach(() => cloud.close())

const request = { name: "ingress-mach_1", hostname: "mach-1.example.com" }

describe("createTunnel with adopt", () => {
  it("gives the tunnel that there is, and leaves one tunnel and one record", async () => {
    const first = await createTunnel(api, request)
    expect(await createTunnel(api, { ...request, adopt: true })).toEqual(first)
    expect([cloud.tunnels.size, cloud.records.size]).toEqual([1, 1])
  })

  it.each([
    ["POST /accounts/ACCOUNT/cfd_tunnel"],
    ["PUT /accounts/ACCOUNT/cfd_tunnel/ID/configurations"],
    ["POST /zones/ZONE/dns_records"],
  ])("finishes what a call began whose response to %s was lost", async (operation) => {
    cloud.breaks.set(operation, "lost")
    await expect(createTunnel(api, request)).rejects.toMatchObject({ _tag: expect.any(String) as string })
    cloud.breaks.clear()
    const { id, token } = await createTunnel(api, { ...request, adopt: true })
    expect([...cloud.tunnels]).toMatchObject([
      [id, { token, config: { ingress: [{ hostname: request.hostname }, {}] } }],
    ])
    expect([...cloud.records.values()]).toMatchObject([{ name: request.hostname, content: `${id}.cfargotunnel.com` }])
  })

  it("does not take a hostname that leads elsewhere, and leaves the tunnel that was there", async () => {
    await createTunnel(api, request)
    await createTunnel(api, { name: "ingress-mach_2", hostname: "mach-2.example.com" })
    await expect(createTunnel(api, { ...request, hostname: "mach-2.example.com", adopt: true })).rejects.toMatchObject({
      _tag: "TunnelConflict",
      field: "hostname",
    })
    expect(cloud.tunnels.size).toBe(2)
  })

  it("without it refuses a name that is taken", async () => {
    await createTunnel(api, request)
    await expect(createTunnel(api, request)).rejects.toMatchObject({ _tag: "TunnelConflict", field: "name" })
  })
})

describe("listTunnels", () => {
  it("gives every page of those whose names begin so, and no other", async () => {
    for (let i = 0; i < 250; i++) {
      cloud.tunnels.set(crypto.randomUUID(), { name: `ingress-m${i}`, token: "t", createdAt: "2026-11-30T00:00:00Z" })
    }
    cloud.tunnels.set(crypto.randomUUID(), { name: "other", token: "t", createdAt: "2026-11-30T00:00:00Z" })
    const [first] = cloud.tunnels.keys()
    cloud.connections.set(first!, 1)
    const listed = await listTunnels(api, { prefix: "ingress-" })
    expect(listed).toHaveLength(250)
    expect(listed[0]).toEqual({ id: first, name: "ingress-m0", createdAt: 1_795_996_800_000, connected: true })
    expect(listed[1]!.connected).toBe(false)
  })

  it("says who is asked and what is wrong, and shows no token", async () => {
    await expect(listTunnels({ ...api, apiToken: "canary" }, { prefix: "x" })).rejects.toMatchObject({
      _tag: "ProviderAuth",
    })
    await expect(listTunnels(api, {} as never)).rejects.toThrow("listTunnels: request.prefix must be")
  })
})

describe("protectTunnels", () => {
  it("makes one application whose only policy admits the service token, so that the edge refuses everybody else", async () => {
    const access = await protectTunnels(api, { hostname: "*.machines.example.com" })
    const [[id, token]] = [...cloud.serviceTokens] as [[string, typeof access]]
    expect(access).toEqual(token)
    expect([...cloud.applications.values()]).toEqual([
      {
        domain: "*.machines.example.com",
        type: "self_hosted",
        policies: [{ decision: "non_identity", include: [{ service_token: { token_id: id } }] }],
      },
    ])

    const edge = await cloudflareEdge({ access })
    try {
      const { origin } = await edge.hostname("m1.machines.example.com")
      const machine = {
        id: "m1",
        type: "cloudflare-tunnel",
        externalId: "m1",
        metadata: { hostname: "m1.machines.example.com" },
      }
      const context = { port: 3000, signal: new AbortController().signal }
      const { headers = {} } = await cloudflareTunnel({ access }).resolve(machine, context)
      const status = async (sent: Record<string, string>) =>
        (await fetch(origin, { headers: sent, redirect: "manual" })).status
      expect(await status({})).toBe(302)
      expect(await status({ ...headers, "CF-Access-Client-Secret": "x" })).toBe(302)
      // Let in: no machine is connected.
      expect(await status(headers)).toBe(530)
    } finally {
      await edge.close()
    }
  })

  it("makes nothing twice", async () => {
    await protectTunnels(api, { hostname: "m1.example.com" })
    await expect(protectTunnels(api, { hostname: "m1.example.com" })).rejects.toMatchObject({
      _tag: "TunnelConflict",
      field: "hostname",
    })
    expect([cloud.applications.size, cloud.serviceTokens.size]).toEqual([1, 1])
  })

  it.each(["", "*", "*.", "*.*.example.com", "Example.com", "https://m1.example.com"])(
    "refuses %j",
    async (hostname) => {
      await expect(protectTunnels(api, { hostname })).rejects.toThrow("request.hostname must be a lower-case hostname")
      expect(cloud.calls).toEqual([])
    },
  )
})

it("deleteTunnel removes an adopted tunnel as any other", async () => {
  const { id } = await createTunnel(api, request)
  await createTunnel(api, { ...request, adopt: true })
  await deleteTunnel(api, { id, hostname: request.hostname })
  expect([cloud.tunnels.size, cloud.records.size]).toEqual([0, 0])
})
