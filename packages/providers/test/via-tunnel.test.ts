import { describe, expect, it } from "vitest"
import { viaTunnel } from "../src/adapters/cloudflare/tunnel.ts"
import { MachineNotFound } from "../src/contract/errors.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"

const context = { port: 3000, signal: new AbortController().signal }
const access = { clientId: "canary-id.access", clientSecret: "canary-secret" }
const machine: Machine = {
  id: "mach_1",
  type: "vendor",
  externalId: "v1",
  metadata: { app: "one", tunnel: { hostname: "mach-1.example.com" } },
}

const vendor = (more: Partial<MachineProvider> = {}) => {
  const calls: string[] = []
  const provider: MachineProvider = {
    type: "vendor",
    capabilities: {
      runtimes: ["node", "workerd"],
      webSocket: false,
      wake: "start",
      ports: "declared",
      interceptedHeaders: ["x-vendor"],
    },
    resolve: async () => {
      throw new Error("the vendor's own address must not be asked for")
    },
    status: async ({ metadata }) => (calls.push(`status ${String(metadata["app"])}`), { state: "stopped" }),
    start: async () => {
      calls.push("start")
      return { origin: "https://vendor.example", epoch: "1", ttlMs: 60_000 }
    },
    keepAlive: async () => void calls.push("keepAlive"),
    async *watch() {
      yield { externalId: "v1", state: "running" }
    },
    ...more,
  }
  return { provider, calls }
}

describe("a machine of a vendor through a tunnel", () => {
  it("is at the tunnel's hostname with the service token, and of the vendor's type", async () => {
    const through = viaTunnel(vendor().provider, { access })
    expect(through.type).toBe("vendor")
    expect(await through.resolve(machine, context)).toMatchObject({
      origin: "https://mach-1.example.com",
      headers: { "CF-Access-Client-Id": access.clientId },
      epoch: "mach-1.example.com",
    })
  })

  it("has the edge's capabilities where bytes pass, and the vendor's where it is asked", () => {
    expect(viaTunnel(vendor().provider).capabilities).toMatchObject({
      runtimes: ["node", "workerd"],
      webSocket: true,
      wake: "start",
      ports: "any",
      interceptedHeaders: ["x-forwarded-for", "x-forwarded-proto"],
    })
  })

  it("is started, kept and watched by the vendor, whose own address is not used", async () => {
    const { provider, calls } = vendor()
    const through = viaTunnel(provider)
    expect(await through.status!(machine, context)).toEqual({ state: "stopped" })
    expect(await through.start!(machine, context)).toBeUndefined()
    await through.keepAlive!(machine, context)
    expect(calls).toEqual(["status one", "start", "keepAlive"])
    for await (const change of through.watch!(context)) expect(change).toEqual({ externalId: "v1", state: "running" })
  })

  const disconnected = { status: 530, header: () => undefined, body: "error code: 1033" }

  it("asks the vendor why no cloudflared is connected, if it can say", () => {
    expect(viaTunnel(vendor().provider).classify!(disconnected, machine)).toBe("check-status")
    const { type, capabilities } = vendor().provider
    const resolve = () => Promise.reject(new Error("not asked for"))
    const through = viaTunnel({ type, capabilities: { ...capabilities, wake: "none" }, resolve })
    expect(through.classify!(disconnected, machine)).toMatchObject({
      _tag: "MachineNotRunning",
      state: "not connected",
    })
    expect(["status", "start"].filter((name) => name in through)).toEqual([])
  })

  it("fails as the vendor says", async () => {
    const gone = vendor({ status: () => Promise.reject(new MachineNotFound({ provider: "vendor", machine: "v1" })) })
    await expect(viaTunnel(gone.provider).status!(machine, context)).rejects.toMatchObject({ _tag: "MachineNotFound" })
  })

  it.each([undefined, {}, "mach-1.example.com", { hostname: "https://x.example.com" }])(
    "needs the tunnel's hostname and not %j",
    async (tunnel) => {
      const resolved = viaTunnel(vendor().provider).resolve({ ...machine, metadata: { app: "one", tunnel } }, context)
      await expect(resolved).rejects.toMatchObject({ _tag: "MachineRecordInvalid", field: "tunnel" })
    },
  )
})

describe("viaTunnel", () => {
  it("refuses what is no provider, and one whose machines every request starts", () => {
    expect(() => viaTunnel({} as never)).toThrow("viaTunnel: provider must be what an adapter gives")
    const { provider } = vendor()
    const byRequest = { ...provider, capabilities: { ...provider.capabilities, wake: "request" as const } }
    expect(() => viaTunnel(byRequest)).toThrow("viaTunnel: provider must not be vendor")
    expect(() => viaTunnel(provider, { acess: access } as never)).toThrow("did you mean access?")
  })
})
