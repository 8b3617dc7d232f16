import { MachineNotRunning } from "@project-ingress/providers"
import { describe, expect, it } from "vitest"
import { AccessDenied } from "../src/router.ts"
import type { PolicyInput, PolicyRequest, Route } from "../src/router.ts"
import { fake, machine, setup, stamped } from "./fakes.ts"

const url = "http://4096__misha.iterate.app:8787/path?q"
const ask = async (policies: readonly PolicyInput[], headers = {}) => {
  let resolved = 0
  const good = fake()
  const providers = [
    fake({
      resolve: (...args) => {
        resolved += 1
        return good.resolve(...args)
      },
    }),
  ]
  const { router, sent } = setup({ policies, providers })
  const response = await router.fetch(new Request(url, { headers }))
  return { status: response?.status, sent, resolved }
}

describe("policies", () => {
  it("see the request's head and the resolved record", async () => {
    let seen: (PolicyRequest & Route) | undefined
    await ask([(request, route) => void (seen = { ...request, ...route })], { cookie: "session=1" })
    expect(seen).toMatchObject({
      method: "GET",
      host: "4096__misha.iterate.app:8787",
      path: "/path?q",
      upgrade: false,
      key: "p:misha",
      target: { kind: "project", slug: "misha", port: 4096 },
      record: { machine: { id: "mach_1" } },
    })
    expect(seen!.header("cookie")).toBe("session=1")
    expect(seen!.header("authorization")).toBeUndefined()
  })

  it("run in order, synchronous and not, and the first refusal ends it", async () => {
    const ran: string[] = []
    const policies: PolicyInput[] = [
      () => void ran.push("first"),
      async () => void ran.push("second"),
      async () => {
        ran.push("third")
        return { deny: new AccessDenied() }
      },
      () => void ran.push("never"),
    ]
    expect((await ask(policies)).status).toBe(403)
    expect(ran).toEqual(["first", "second", "third"])
  })

  it("come before anything wakes or reaches the machine", async () => {
    expect(await ask([() => ({ deny: new AccessDenied() })])).toEqual({ status: 403, sent: [], resolved: 0 })
  })

  const mistakes = [
    [
      "throws",
      () => {
        throw new Error("no")
      },
    ],
    ["rejects", () => Promise.reject(new Error("no"))],
    ["returns false", () => false],
    ["returns true", () => true],
    ["returns null", async () => null],
    ["returns a look-alike", () => ({ _tag: "AccessDenied" })],
    ["denies with a look-alike", () => ({ deny: { _tag: "AccessDenied", row: {} } })],
    ["denies with the error itself", () => new AccessDenied()],
    ["redirects to a line break", () => ({ redirect: { status: 302, location: "/a\r\nb: c" } })],
    ["redirects with a 200", () => ({ redirect: { status: 200, location: "/" } })],
    ["responds without headers", () => ({ respond: { status: 200 } })],
  ] as unknown as readonly [string, PolicyInput][]
  it.each(mistakes)("fail closed: one that %s is a 500", async (_, policy) => {
    expect(await ask([policy])).toEqual({ status: 500, sent: [], resolved: 0 })
  })

  it("are not asked for a route that is not there", async () => {
    let asked = 0
    const { router } = setup({ policies: [() => void (asked += 1)] })
    await router.fetch(new Request("http://nobody.iterate.app/"))
    expect(asked).toBe(0)
  })

  it("authorise the refreshed record again when a machine has moved", async () => {
    const asked: string[] = []
    const { router, routes, sent } = setup({
      policies: [
        (_, { record }) => {
          const id = record.kind === "machine" ? record.machine.id : record.kind
          asked.push(id)
          return id === "mach_private" ? { deny: new AccessDenied() } : undefined
        },
      ],
      answer: () => {
        routes.attach("p:misha", { machine: machine("mach_private") })
        return stamped("{}", { status: 421, headers: { "x-iterate-proxy-error": "MACHINE_MISMATCH" } })
      },
    })
    expect((await router.fetch(new Request(url)))?.status).toBe(403)
    expect(asked).toEqual(["mach_1", "mach_private"])
    expect(sent.length).toBe(1)
  })
})

describe("the setting wake", () => {
  const sleeping = () => {
    let starts = 0
    let running = false
    const provider = fake({
      capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
      resolve: async ({ type, externalId }) => {
        if (!running) throw new MachineNotRunning({ provider: type, machine: externalId, state: "stopped" })
        return { origin: "http://machine.test", epoch: "1", ttlMs: 0 }
      },
      start: async () => {
        starts++
        running = true
        return undefined
      },
    })
    const { router, routes } = setup({
      providers: [provider],
      machines: {
        readinessProbe: async () => ({
          status: 401,
          header: (name) => (name === "x-iterate-proxy-stamp" ? "1" : undefined),
        }),
      },
    })
    routes.attach("p:misha", { machine: machine("mach_1"), wake: "never", ports: { 4096: { wake: "any" } } })
    const ask = async (host: string) => (await router.fetch(new Request(`http://${host}/`)))!
    return { ask, starts: () => starts }
  }

  it("keeps visitors of a port from starting its machine, under every name of the port, until another port's start it", async () => {
    const { ask, starts } = sleeping()
    for (const host of ["misha.iterate.app", "8000__misha.iterate.app", "8000.misha.iterate.app"]) {
      const response = await ask(host)
      expect([response.status, response.headers.get("x-iterate-proxy-error")]).toEqual([503, "MACHINE_NOT_RUNNING"])
    }
    expect(starts()).toBe(0)
    expect((await ask("opencode--misha.iterate.app")).status).toBe(200)
    expect((await ask("misha.iterate.app")).status).toBe(200)
    expect(starts()).toBe(1)
  })
})
