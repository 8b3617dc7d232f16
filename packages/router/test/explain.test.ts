import { describe, expect, it } from "vitest"
import { fake, machine, setup } from "./fakes.ts"

describe("explain", () => {
  it("follows a hostname to its machine without touching it", async () => {
    const { router, sent } = setup()
    expect(await router.explain("4096__misha.iterate.app")).toEqual({
      hostname: "4096__misha.iterate.app",
      parsed: "target",
      target: expect.objectContaining({ slug: "misha", port: 4096 }),
      key: "p:misha",
      lookup: "hit",
      version: 1,
      epoch: 1,
      machine: { id: "mach_1", type: "fake", externalId: "ext-mach_1" },
      port: 4096,
      steps: [
        "names a project, route key p:misha",
        "attached to machine mach_1, version 1",
        "port 4096",
        "reached through provider fake",
      ],
    })
    expect(sent).toEqual([])
  })

  it.each([
    ["example.com", { parsed: "foreign" }],
    ["0__x.iterate.app", { parsed: "malformed" }],
    ["nobody.iterate.app", { parsed: "target", key: "p:nobody", lookup: "miss" }],
    ["web--misha.iterate.app", { lookup: "hit", machine: { id: "mach_1" } }],
  ])("says how far %s got", async (hostname, expected) => {
    expect(await setup().router.explain(hostname)).toMatchObject(expected)
  })

  it("says that the store is down", async () => {
    const { router } = setup({ store: { get: () => Promise.reject(new Error("hunter2")) } })
    const explanation = await router.explain("misha.iterate.app")
    expect(explanation).toMatchObject({ lookup: "unknown" })
    expect(JSON.stringify(explanation)).not.toContain("hunter2")
  })

  it("holds no secret: no metadata, no endpoint, no ticket", async () => {
    const { router, routes } = setup({ providers: [fake({ endpoint: { headers: { authorization: "hunter2" } } })] })
    routes.attach("p:misha", { machine: machine("mach_1", { token: "hunter2" }) })
    const text = JSON.stringify(await router.explain("misha.iterate.app"))
    expect(text).not.toMatch(/hunter2|eyJ|metadata|authorization/)
  })
})
