import { createTunnel } from "@project-ingress/providers/cloudflare-tunnel"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { fakeCloudflare } from "../../../providers/test/fakes/cloudflare-api.ts"
import type { FakeCloudflare } from "../../../providers/test/fakes/cloudflare-api.ts"
import { memoryRegistry } from "../../src/stores/memory.ts"
import { tunnels } from "../../src/tunnels.ts"
import type { MachineTunnel } from "../../src/tunnels.ts"
import { hostnames } from "../fakes.ts"

let cloud: FakeCloudflare
beforeEach(async () => {
  cloud = await fakeCloudflare()
})
afterEach(() => cloud.close())

const setup = () => {
  const { apiBase, apiToken, accountId, zoneId } = cloud
  const api = { apiBase, apiToken, accountId, zoneId }
  const registry = memoryRegistry({ grammar: hostnames })
  return { api, registry, machines: tunnels(registry, { api, domain: "machines.example.com" }) }
}

const plain = () => ({ type: "cloudflare-tunnel", externalId: "m1", metadata: {} })
const names = () => [...cloud.tunnels.values()].map(({ name }) => name)

describe("a machine with a tunnel", () => {
  it("is created with the token, and registered with the hostname and without the token", async () => {
    const { registry, machines } = setup()
    let given: MachineTunnel | undefined
    const created = await machines.createMachine("mach_1", (tunnel) => {
      given = tunnel
      return { type: "fly", externalId: "d89", metadata: { app: "one" } }
    })
    expect(given).toEqual({ hostname: "mach-1.machines.example.com", token: [...cloud.tunnels.values()][0]!.token })
    expect(created).toMatchObject({
      id: "mach_1",
      type: "fly",
      metadata: { app: "one", tunnel: { hostname: "mach-1.machines.example.com" } },
    })
    expect(JSON.stringify(await registry.readMachine("mach_1"))).not.toContain(given!.token)
    const own = await machines.createMachine("mach_2", plain)
    expect(own.metadata).toEqual({ hostname: "mach-2.machines.example.com" })
  })

  it("loses its tunnel when it is removed, and a second call has nothing to do", async () => {
    const { registry, machines } = setup()
    await machines.createMachine("mach_1", plain)
    await machines.createMachine("mach_10", plain)
    await machines.removeMachine("mach_1")
    await machines.removeMachine("mach_1")
    expect([names(), cloud.records.size]).toEqual([["ingress-mach_10"], 1])
    await expect(registry.readMachine("mach_1")).rejects.toMatchObject({ _tag: "NotFound" })
  })

  it("that serves a project keeps its tunnel", async () => {
    const { registry, machines } = setup()
    await machines.createMachine("mach_1", plain)
    await registry.create({ name: "misha", machine: "mach_1" })
    await expect(machines.removeMachine("mach_1")).rejects.toMatchObject({ _tag: "MachineTaken" })
    expect(names()).toEqual(["ingress-mach_1"])
  })

  it("gives the same token to whoever makes it again", async () => {
    const { machines } = setup()
    let first: MachineTunnel | undefined
    await machines.createMachine("mach_1", (tunnel) => ((first = tunnel), plain()))
    expect(await machines.tunnelOf("mach_1")).toEqual(first)
  })
})

describe("where a step fails", () => {
  it("of the vendor, or of the registry, there is no tunnel left", async () => {
    const { machines } = setup()
    await expect(machines.createMachine("mach_1", () => Promise.reject(new Error("no capacity")))).rejects.toThrow(
      "no capacity",
    )
    await expect(machines.createMachine("mach_1", () => ({ ...plain(), externalId: "a\nb" }))).rejects.toMatchObject({
      _tag: "InvalidInput",
    })
    expect([cloud.tunnels.size, cloud.records.size]).toEqual([0, 0])
  })

  it("of a second call for a machine that is registered, its tunnel stays", async () => {
    const { machines } = setup()
    await machines.createMachine("mach_1", plain)
    await expect(machines.createMachine("mach_1", () => Promise.reject(new Error("lost")))).rejects.toThrow("lost")
    expect(names()).toEqual(["ingress-mach_1"])
  })

  it("and the tunnel cannot be removed either, it is an orphan", async () => {
    const { machines } = setup()
    cloud.breaks.set("DELETE /accounts/ACCOUNT/cfd_tunnel/ID", { status: 500 })
    const failed = machines.createMachine("mach_1", () => Promise.reject(new Error("no capacity")))
    await expect(failed).rejects.toThrow("tunnel ingress-mach_1 could not be removed: see orphans")
    expect(names()).toEqual(["ingress-mach_1"])
  })

  it("because the process ended, orphans are found and removed, once they are not young any more", async () => {
    const { api, machines } = setup()
    await machines.createMachine("mach_1", plain)
    await createTunnel(api, { name: "ingress-mach_2", hostname: "mach-2.machines.example.com" })
    await createTunnel(api, { name: "somebody-else", hostname: "other.example.com" })
    expect(await machines.orphans()).toEqual([])
    for (const tunnel of cloud.tunnels.values()) tunnel.createdAt = "2026-11-29T00:00:00Z"
    const progress: number[][] = []
    const removed = await machines.removeOrphans({ onProgress: (...at) => progress.push(at) })
    expect(removed).toMatchObject([{ machine: "mach_2" }])
    expect([progress, names()]).toEqual([[[1, 1]], ["ingress-mach_1", "somebody-else"]])
    expect(await machines.orphans()).toEqual([])
  })

  it("because the registry is down, no tunnel is taken for an orphan", async () => {
    const { api } = setup()
    await createTunnel(api, { name: "ingress-mach_2", hostname: "mach-2.machines.example.com" })
    for (const tunnel of cloud.tunnels.values()) tunnel.createdAt = "2026-11-29T00:00:00Z"
    const down = () => Promise.reject(new Error("connection refused"))
    const registry = { putMachine: down, removeMachine: down, readMachine: down }
    const machines = tunnels(registry, { api, domain: "machines.example.com" })
    await expect(machines.removeOrphans()).rejects.toThrow("connection refused")
    expect(names()).toEqual(["ingress-mach_2"])
  })
})

describe("tunnels", () => {
  it.each([
    [{ domain: "Machines.example.com" }, "tunnels: domain must be a lower-case domain"],
    [{ domain: "*.example.com" }, "tunnels: domain must be a lower-case domain"],
    [{ domain: "example.com", prefix: "a_b" }, "tunnels: prefix must be 1 to 32 letters"],
    [{ domain: "example.com", zone: "x" }, "tunnels: zone is not an option"],
  ])("refuses %j", (more, message) => {
    const { api, registry } = setup()
    expect(() => tunnels(registry, { api, ...more })).toThrow(message)
    expect(() => tunnels(registry, { domain: "example.com" } as never)).toThrow("tunnels: api must be")
  })
})
