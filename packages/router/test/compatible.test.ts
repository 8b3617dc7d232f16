/** The words of the worker that this router takes the place of. */
import { MachineNotFound, MachineNotRunning, MachineStarting, ProviderUnavailable } from "@project-ingress/providers"
import { describe, expect, it } from "vitest"
import { ingressNotConfigured, projectIngressProxyResponses } from "../src/compatible.ts"
import { serveNode } from "../src/hosts/node.ts"
import { AccessDenied, PolicyError } from "../src/router.ts"
import type { RouterOptions, RouteStore } from "../src/router.ts"
import { memoryRegistry, memoryStore } from "../src/stores/memory.ts"
import { fake, hostnames, machine, setup, stamped } from "./fakes.ts"

const errorResponses = projectIngressProxyResponses(hostnames)
const ask = async (options: Partial<RouterOptions> = {}, host = "misha.iterate.app", headers = {}) => {
  const { router } = setup({ errorResponses, ...options })
  const response = (await router.fetch(new Request(`http://${host}/`, { headers })))!
  const text = await response.text()
  return { status: response.status, text, headers: response.headers }
}
const said = async (...asked: Parameters<typeof ask>) => {
  const { status, text } = await ask(...asked)
  return [status, JSON.parse(text)] as const
}
const failing = (error: Error): Partial<RouterOptions> => ({
  providers: [fake({ resolve: () => Promise.reject(error) })],
})
const ref = { provider: "fake", machine: "ext-mach_1" }
const nothing = { store: memoryStore() }

describe("the worker's responses, in its words", () => {
  it("0-42: an unknown project is 404 project_not_found, and so is one that is hidden", async () => {
    const missing = [404, { error: "project_not_found" }]
    expect(await said({}, "nobody.iterate.app")).toEqual(missing)
    const policies = [() => ({ deny: new AccessDenied({ hidden: true }) })]
    expect(await said({ policies })).toEqual(missing)
  })

  it("0-43: who is no member gets 403 forbidden", async () => {
    expect(await said({ policies: [() => ({ deny: new AccessDenied() })] })).toEqual([403, { error: "forbidden" }])
  })

  it("0-45: a machine that is not attached is reached by its id", async () => {
    const registry = memoryRegistry({ grammar: hostnames })
    await registry.putMachine({ ...machine("mach_1"), visibility: "public" })
    expect(await ask({ store: registry }, "mach_1.machines.iterate.app")).toMatchObject({ status: 200, text: "ok" })
    expect(await said({ store: registry }, "mach_2.machines.iterate.app")).toEqual([
      404,
      { error: "machine_not_found" },
    ])
  })

  it("0-46: a project without a machine is 404 machine_not_found, and so is a machine that is gone", async () => {
    const registry = memoryRegistry({ grammar: hostnames })
    await registry.create({ name: "misha", visibility: "public" })
    expect(await said({ store: registry })).toEqual([404, { error: "machine_not_found" }])
    expect(await said(failing(new MachineNotFound(ref)))).toEqual([404, { error: "machine_not_found" }])
  })

  it("a machine that is archived is 409 machine_not_routable, with its state and those that are", async () => {
    expect(await said(failing(new MachineNotRunning({ ...ref, state: "archived" })))).toEqual([
      409,
      {
        error: "machine_not_routable",
        details: { machineState: "archived", routableStates: ["starting", "active", "detached"] },
      },
    ])
  })

  it("0-48: what a provider throws is 502 proxy_error, without a word of it", async () => {
    for (const error of [new Error("hunter2"), new ProviderUnavailable({ ...ref, reason: "hunter2" })]) {
      const { status, text, headers } = await ask(failing(error))
      expect([status, text]).toEqual([502, '{"error":"proxy_error"}'])
      expect(text + JSON.stringify([...headers])).not.toContain("hunter2")
    }
    const policies = [() => Promise.reject(new Error("hunter2"))]
    expect(await said({ policies })).toEqual([502, { error: "proxy_error" }])
  })

  it("0-49: an auth service that is down is 502 auth_unavailable", async () => {
    const row = { status: 503, code: "AUTH_UNAVAILABLE", error: "proxy_internal_error", title: "Sign-in is down." }
    const deny = new PolicyError({ tag: "AuthUnavailable", row, reason: "ECONNREFUSED" })
    expect(await said({ policies: [() => ({ deny })] })).toEqual([502, { error: "auth_unavailable" }])
  })

  it("0-50: no domain is 500 ingress_not_configured, and so is a record that cannot be used", async () => {
    const response = ingressNotConfigured()
    expect([response.status, await response.json()]).toEqual([500, { error: "ingress_not_configured" }])
    const store: RouteStore = {
      get: () => ({ status: "hit", record: { kind: "machine", version: 1, epoch: 1 } as never }),
    }
    expect(await said({ store })).toEqual([500, { error: "ingress_not_configured" }])
  })

  it("a machine that cannot be addressed is 503 machine_unavailable", async () => {
    expect(await said({ providers: [] })).toEqual([503, { error: "machine_unavailable" }])
  })

  it.each([
    ["0-09", "0__misha.iterate.app", "invalid_port"],
    ["0-09", "70000__misha.iterate.app", "invalid_port"],
    ["0-12", "1234.iterate.app", "invalid_project_slug"],
    ["0-11", "banana_test.iterate.app", "invalid_project_slug"],
    ["0-25", "a.b.c.misha.iterate.app", "invalid_hostname"],
  ])("%s: %s is 400 %s", async (_, host, error) => {
    expect(await said(nothing, host)).toEqual([400, { error }])
  })

  it("a hostname of nobody is 404 not_found, with what was asked for", async () => {
    const { listen } = serveNode(setup({ errorResponses, ...nothing }).router)
    const { port, close } = await listen({ hostname: "127.0.0.1" })
    try {
      const response = await fetch(`http://localhost:${port}/`)
      expect([response.status, await response.json()]).toEqual([
        404,
        {
          error: "not_found",
          details: { hostname: "localhost", hostnameLabels: ["localhost"], projectIngressDomain: "iterate.app" },
        },
      ])
    } finally {
      await close({ deadlineMs: 0 })
    }
  })
})

it("what it had no word for is the router's own: the page of a machine that starts", async () => {
  const { status, text } = await ask(failing(new MachineStarting(ref)), "misha.iterate.app", {
    "sec-fetch-mode": "navigate",
  })
  expect([status, text]).toEqual([503, expect.stringContaining("<progress")])
})

it("what a machine's proxy finds is told in these words as well", async () => {
  const closed = stamped("", { status: 502, headers: { "x-iterate-proxy-error": "PORT_CLOSED" } })
  const { router } = setup({ errorResponses, answer: () => closed })
  const response = (await router.fetch(new Request("http://misha.iterate.app/")))!
  expect([response.status, await response.json()]).toEqual([502, { error: "proxy_error" }])
})
