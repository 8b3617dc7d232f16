import type { Policy } from "../src/router.ts"
import { describe, expect, it } from "vitest"
import { memoryStore } from "../src/stores/memory.ts"
import { fake, machine, setup } from "./fakes.ts"

describe("explain", () => {
  it("follows a hostname to its machine without touching it", async () => {
    const { router, sent } = setup()
    expect(await router.explain("4096__misha.iterate.app")).toEqual({
      hostname: "4096__misha.iterate.app",
      parsed: "target",
      target: expect.objectContaining({ slug: "misha", port: 4096 }),
      candidates: ["p:misha"],
      key: "p:misha",
      lookup: "hit",
      layer: "memory",
      version: 1,
      epoch: 1,
      machine: { id: "mach_1", type: "fake", externalId: "ext-mach_1" },
      port: 4096,
      settings: {},
      provider: {
        type: "fake",
        configured: true,
        isWaking: false,
        failures: [],
        budgets: { failureCalls: 10, vendorCalls: 1500 },
      },
      trace: [
        { step: "hostname", outcome: "named", keys: ["p:misha"], target: expect.objectContaining({ slug: "misha" }) },
        { step: "lookup", outcome: "hit", key: "p:misha", layer: "memory" },
        { step: "record", outcome: "machine", version: 1, epoch: 1 },
        { step: "machine", outcome: "mach_1", type: "fake", externalId: "ext-mach_1", version: 1 },
        { step: "port", outcome: 4096, reason: "of the hostname" },
        { step: "provider", outcome: "fake", configured: true },
      ],
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

  it("names the policies that a request would meet, and asks none", async () => {
    let asked = 0
    const count = () => void (asked += 1)
    const limit = { name: "limit", onRequest: count, onRoute: count }
    const { router } = setup({ policies: [limit, function membersOnly() {}] })
    const { trace, steps } = await router.explain("misha.iterate.app")
    expect(trace.filter(({ step }) => step === "policy")).toEqual([
      { step: "policy", outcome: "limit", decision: "not evaluated" },
      { step: "policy", outcome: "membersOnly", decision: "not evaluated" },
    ])
    expect(steps).toContain("policy limit depends on the request and was not evaluated")
    expect(asked).toBe(0)
  })

  it.each([
    [{ kind: "detached" }, "no machine is attached: 503, version 1"],
    [{ kind: "removed" }, "removed: 410, version 1"],
    [{ kind: "redirect", to: { project: "new" }, status: 308 }, "redirects elsewhere, version 1"],
  ] as const)("says what the record %j comes to", async (record, sentence) => {
    const { router } = setup({ store: memoryStore({ "p:misha": record }) })
    const explanation = await router.explain("misha.iterate.app")
    expect(explanation).toMatchObject({ lookup: "hit", version: 1 })
    expect(explanation.steps).toContain(sentence)
    expect(explanation.machine).toBeUndefined()
  })

  it("says that a private port is closed as long as no policy decides about visibility", async () => {
    const store = memoryStore({ "p:misha": { machine: machine("mach_1"), visibility: "private" } })
    const closed = "the port is private, and no policy decides about visibility: 403"
    const look = { name: "look", onRoute: () => undefined }
    expect((await setup({ store, policies: [look] }).router.explain("misha.iterate.app")).steps).toContain(closed)
    const decides: Policy = { ...look, enforces: ["visibility"] }
    expect((await setup({ store, policies: [decides] }).router.explain("misha.iterate.app")).steps).not.toContain(
      closed,
    )
  })

  it("says what the port speaks, and refuses a request that it does not", async () => {
    const store = memoryStore({ "p:misha": { machine: machine("mach_1"), ports: { 5432: { protocol: "tcp" } } } })
    const { router } = setup({ store })
    const named = await router.explain("5432__misha.iterate.app")
    expect([named.stop, named.trace]).toEqual([
      undefined,
      expect.arrayContaining([{ step: "protocol", outcome: "tcp" }]),
    ])
    const asked = await router.explain(new Request("https://5432__misha.iterate.app/"))
    expect(asked.stop).toMatchObject({ status: 400, code: "PORT_NOT_HTTP" })
    const response = await router.fetch(new Request("https://5432__misha.iterate.app/"))
    expect([response?.status, response?.headers.get("x-iterate-proxy-error")]).toEqual([400, "PORT_NOT_HTTP"])
  })

  it("names the field of a record that cannot be used", async () => {
    const record = { kind: "machine", machine: machine("mach_1"), version: 1, epoch: 1, protocol: "ftp" }
    const { router } = setup({ store: { get: () => ({ status: "hit", record }) as never } })
    const { trace, steps } = await router.explain("misha.iterate.app")
    expect(trace).toContainEqual(expect.objectContaining({ step: "refused", outcome: "RECORD_INVALID" }))
    expect(steps.join()).toContain("protocol must be http, https, h2c, tcp, udp")
    const response = await router.fetch(new Request("http://misha.iterate.app/"))
    expect([response?.status, response?.headers.get("x-iterate-proxy-error")]).toEqual([500, "ROUTE_INVALID"])
  })

  it("decides by what else of a request is given: rules, replicas, listening port", async () => {
    const store = memoryStore({
      "p:misha": {
        machine: machine("mach_1"),
        replicas: [machine("mach_2")],
        rules: [
          { match: { path: { prefix: "/api" }, method: "POST", headers: { "x-a": "1" } }, targets: [{ port: 9000 }] },
        ],
      },
      "d:8443:www.example.com": { machine: machine("mach_8") },
    })
    const { router } = setup({ store })
    const asked = { method: "POST", path: "/api/x", headers: { "X-A": "1" }, clientAddress: "192.0.2.7" }
    const first = await router.explain("misha.iterate.app", asked)
    expect(first.port).toBe(9000)
    expect((await router.explain("misha.iterate.app", asked)).machine).toEqual(first.machine)
    expect((await router.explain("misha.iterate.app")).port).toBe(3000)
    expect((await router.explain("www.example.com", { localPort: 8443 })).machine?.id).toBe("mach_8")
    expect((await router.explain("www.example.com")).parsed).toBe("foreign")
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
