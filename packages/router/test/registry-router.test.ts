/** A router over the registry in memory: what a control plane changes is what the next visitor meets. */
import * as fc from "fast-check"
import { beforeEach, describe, expect, it, vi } from "vitest"
import type { Policy, Route } from "../src/router.ts"
import { memoryRegistry } from "../src/stores/memory.ts"
import type { MemoryRegistry } from "../src/stores/memory.ts"
import { hostnames, machine, setup } from "./fakes.ts"

let proofs: Map<string, string[]>
let registry: MemoryRegistry
let routes: Route[]
let ask: (url: string) => Promise<Response | undefined>

beforeEach(async () => {
  proofs = new Map()
  routes = []
  registry = memoryRegistry({ grammar: hostnames, resolveTxt: async (name) => proofs.get(name) ?? [] })
  const look: Policy = { name: "look", enforces: ["visibility"], onRoute: (_, route) => void routes.push(route) }
  const { router } = setup({ store: registry, policies: [look] })
  ask = (url) => router.fetch(new Request(url, { redirect: "manual" }))
  for (const [id, owner] of [
    ["mach_1", "o1"],
    ["mach_2", "o1"],
    ["mach_9", "o2"],
  ] as const) {
    await registry.putMachine({ ...machine(id), owner })
  }
  await registry.create({ name: "misha", owner: "o1", machine: "mach_1", ports: { 4096: { visibility: "public" } } })
})

const code = (response: Response | undefined) => [response?.status, response?.headers.get("x-iterate-proxy-error")]

describe("a visitor meets", () => {
  it("the machine attached now", async () => {
    await ask("http://misha.iterate.app/")
    await registry.attach("misha", "mach_2")
    await ask("http://misha.iterate.app/")
    expect(routes.map((route) => route.machine?.id)).toEqual(["mach_1", "mach_2"])
    await registry.detach("misha")
    expect(code(await ask("http://misha.iterate.app/"))).toEqual([503, "MACHINE_DETACHED"])
  })

  it("the new name after a rename, with the port of the old hostname", async () => {
    await registry.rename("misha", "misha2")
    const moved = await ask("http://4096__misha.iterate.app:8787/x?y")
    expect([moved?.status, moved?.headers.get("location")]).toEqual([308, "http://4096__misha2.iterate.app:8787/x?y"])
    expect((await ask("http://4096__misha2.iterate.app/"))?.status).toBe(200)
  })

  it("a tombstone where a project was, and nothing where none ever was", async () => {
    await registry.remove("misha")
    expect(code(await ask("http://misha.iterate.app/"))).toEqual([410, "ROUTE_REMOVED"])
    expect(code(await ask("http://nobody.iterate.app/"))).toEqual([404, "ROUTE_NOT_FOUND"])
  })

  it("a custom domain only once its proof was found", async () => {
    const { proof } = await registry.addDomain("misha", "www.example.com")
    expect(await ask("http://www.example.com/")).toBeUndefined()
    await expect(registry.verifyDomain("misha", "www.example.com")).rejects.toMatchObject({ _tag: "DomainNotVerified" })
    proofs.set(proof.name, [proof.value])
    await registry.verifyDomain("misha", "www.example.com")
    expect((await ask("http://4096.www.example.com/"))?.status).toBe(200)
    expect((await ask("http://4096__mach_1.www.example.com/"))?.status).toBe(200)
    expect(code(await ask("http://4096__mach_9.www.example.com/"))).toEqual([404, "ROUTE_NOT_FOUND"])
    await registry.removeDomain("misha", "www.example.com")
    expect(await ask("http://www.example.com/")).toBeUndefined()
  })
})

it("the same settings under every hostname that leads to one port of one machine", async () => {
  const { proof } = await registry.addDomain("misha", "www.example.com")
  proofs.set(proof.name, [proof.value])
  await registry.verifyDomain("misha", "www.example.com")
  await registry.configure("misha", { services: { opencode: 4096 } })
  const names = ["4096__misha", "opencode--misha", "4096.misha", "4096__mach_1.machines", "4096__mach_1"]
  const port = fc.record({
    visibility: fc.constantFrom("public" as const, "private" as const),
    appOrigin: fc.constantFrom("public" as const, "localhost" as const),
  })
  await fc.assert(
    fc.asyncProperty(port, async (settings) => {
      await registry.configure("misha", { ports: { 4096: settings } })
      routes = []
      for (const name of names) await ask(`http://${name}.iterate.app/`)
      for (const name of ["4096", "opencode", "4096__mach_1"]) await ask(`http://${name}.www.example.com/`)
      expect(routes).toHaveLength(8)
      for (const route of routes) expect(route).toMatchObject({ machine: { id: "mach_1" }, port: 4096, settings })
    }),
    { numRuns: 20 },
  )
})

it("a machine of a project that has expired is closed under every name, at that moment", async () => {
  vi.useFakeTimers({ toFake: ["Date"] })
  try {
    // No policy decides about routes: what is private is closed.
    const { router } = setup({ store: registry })
    const names = ["misha", "4096__misha", "mach_1.machines", "4096__mach_1.machines"]
    const statuses = async () => {
      const responses = names.map((name) => router.fetch(new Request(`http://${name}.iterate.app/`)))
      return (await Promise.all(responses)).map((response) => response?.status)
    }
    await registry.configure("misha", { visibility: "public", expiresAt: Date.now() + 1_000 })
    expect(await statuses()).toEqual([200, 200, 200, 200])
    vi.setSystemTime(Date.now() + 1_000)
    expect(await statuses()).toEqual([404, 404, 403, 403])
  } finally {
    vi.useRealTimers()
  }
})

it("a rename tells the new name to nobody who may not see a private port", async () => {
  const { router } = setup({ store: registry })
  await registry.configure("misha", { ports: { 22: { visibility: "private" } } })
  await registry.rename("misha", "renamed")
  const response = await router.fetch(new Request("http://22__misha.iterate.app/", { redirect: "manual" }))
  expect(code(response)).toEqual([403, "ACCESS_DENIED"])
  expect(response?.headers.has("location")).toBe(false)
})

it("a machine that is not attached is private on every port", async () => {
  await ask("http://4096__mach_2.machines.iterate.app/")
  expect(routes.map(({ settings }) => settings)).toEqual([{ visibility: "private" }])
})

it("explain says which key knew, and where it leads", async () => {
  const { router } = setup({ store: registry })
  await registry.detach("misha")
  expect(await router.explain("misha.iterate.app")).toMatchObject({ key: "p:misha", lookup: "hit" })
})
