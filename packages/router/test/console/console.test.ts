import { MachineNotFound } from "@project-ingress/providers"
import { machineRef } from "@project-ingress/providers/adapter"
import { describe, expect, it } from "vitest"
import { createConsole, recentEvents } from "../../src/console.ts"
import type { ConsoleData, ConsoleOptions } from "../../src/console.ts"
import type { Policy, RouterEvent } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { fake, machine, setup } from "../fakes.ts"
import type { Setup } from "../fakes.ts"

const authorize = () => true
const at = (query: string) => new Request(`https://ops.example.com/ingress?${query}`)

const withConsole = (options: Parameters<typeof setup>[0] = {}, more: Partial<ConsoleOptions> = {}) => {
  const recent = recentEvents()
  const made: Setup = setup({ ...options, onEvent: recent.onEvent })
  const ask = createConsole(made.router, { authorize, recent, ...more })
  return {
    ...made,
    recent,
    ask,
    page: async (query: string) => (await ask(at(query))).text(),
    data: async (query = "") => (await (await ask(at(`${query}&format=json`))).json()) as ConsoleData,
  }
}

describe("the console", () => {
  it("is not made without an authorize, for another router, or with a misspelt option", () => {
    const { router } = setup()
    expect(() => createConsole(router, {} as never)).toThrow(TypeError)
    expect(() => createConsole(router, {} as never)).toThrow(
      "createConsole: authorize must be a function, got undefined",
    )
    expect(() => createConsole({ ...router }, { authorize })).toThrow("router must be what createRouter returned")
    expect(() => createConsole(router, { authorize, recents: recentEvents() } as never)).toThrow("did you mean recent?")
    expect(() => createConsole(router, { authorize, recent: {} as never })).toThrow(
      "recent must be what recentEvents returns",
    )
  })

  it("shows where a hostname leads, and each step", async () => {
    const { page, sent } = withConsole()
    const text = await page("hostname=4096__misha.iterate.app")
    expect(text).toContain("Sent to the machine")
    for (const step of ["route key p:misha", "attached to machine mach_1", "port 4096", "provider fake"])
      expect(text).toContain(step)
    expect(sent).toEqual([])
  })

  it.each([
    ["nobody.iterate.app", "404 ROUTE_NOT_FOUND"],
    ["0__x.iterate.app", "400 HOSTNAME_MALFORMED"],
    ["example.com", "Not ours"],
  ])("shows where %s stops", async (hostname, expected) => {
    const text = (await withConsole().page(`hostname=${hostname}`)).replaceAll(/<\/?b>/g, "")
    expect(text).toContain(expected)
  })

  it("marks the step at which it stops, and those that are not reached", async () => {
    const store = memoryStore({ "p:misha": { machine: machine("mach_1"), visibility: "private" } })
    const text = await withConsole({ store }).page("hostname=misha.iterate.app")
    expect(text.match(/<li class="stop">[^<]*/g)).toEqual([
      '<li class="stop">the port is private, and no policy decides about visibility: 403',
    ])
    expect(text.match(/<li class="behind">[^<]*/g)).toEqual(['<li class="behind">reached through provider fake'])
  })

  it("takes a URL as it stands in the address bar", async () => {
    const rules = [{ match: { path: { prefix: "/api" } }, targets: [{ port: 9000 }] }] as const
    const store = memoryStore({ "p:misha": { machine: machine("mach_1"), rules } })
    const { data } = withConsole({ store })
    const url = encodeURIComponent("https://misha.iterate.app/api/x?y=1")
    const { asked, explanation } = await data(`hostname=${url}`)
    expect(asked).toEqual({ hostname: "misha.iterate.app", scheme: "https", path: "/api/x?y=1" })
    expect(explanation?.port).toBe(9000)
    expect((await data("hostname=misha.iterate.app&path=/api")).explanation?.port).toBe(9000)
  })

  it("asks the policies as for a visitor without credentials, if that is wanted", async () => {
    const membersOnly: Policy = { name: "members", explainable: true, onRoute: ({ header }) => void header("cookie") }
    const { data } = withConsole({ policies: [membersOnly] })
    const decisions = async (query: string) =>
      (await data(`hostname=misha.iterate.app${query}`)).explanation?.trace.flatMap((step) =>
        step.step === "policy" ? [step.decision] : [],
      )
    expect(await decisions("")).toEqual(["not evaluated"])
    expect(await decisions("&policies=1")).toEqual(["passed"])
  })

  it("shows the layers of the store with their ages, and that look-ups fail", async () => {
    const layers = [{ layer: "memory", routes: 12, ageMs: 3_000 }, { layer: "d1" }]
    let isDown = false
    const routes = memoryStore({ "p:misha": { machine: machine("mach_1") } })
    const store = {
      get: (key: "p:misha") => (isDown ? Promise.reject(new Error("hunter2")) : routes.get(key)),
      stats: () => ({ layers }),
    }
    const { data, page, router } = withConsole({ store })
    expect((await data()).stores).toEqual(layers)
    expect(await page("")).toContain('<td class="m">memory</td><td>12</td><td>3 s ago</td>')
    isDown = true
    await router.fetch(new Request("https://misha.iterate.app/"))
    expect(await page("")).toContain("Look-ups fail")
    expect(await page("")).not.toContain("hunter2")
  })

  it("shows recent errors by code, and machines with their state", async () => {
    const provider = fake({
      resolve: async (machine) => {
        if (machine.id === "mach_2") throw new MachineNotFound(machineRef(machine))
        return fake().resolve(machine, { port: 3000, signal: new AbortController().signal })
      },
    })
    const store = memoryStore({ "p:misha": { machine: machine("mach_1") }, "p:gone": { machine: machine("mach_2") } })
    const { router, data, page } = withConsole({ store, providers: [provider] })
    for (const name of ["misha", "gone", "gone", "nobody"])
      await router.fetch(new Request(`https://${name}.iterate.app/`))
    const { recent } = await data()
    expect(recent?.errors.map(({ code, count }) => [code, count])).toEqual([
      ["MACHINE_NOT_FOUND", 2],
      ["ROUTE_NOT_FOUND", 1],
    ])
    expect(recent?.errors[0]?.last[0]).toMatchObject({
      host: "gone.iterate.app",
      status: 404,
      reason: "fake machine ext-mach_2 does not exist",
    })
    expect(recent?.machines).toEqual([
      expect.objectContaining({ machine: "mach_2", requests: 2, failures: 2, code: "MACHINE_NOT_FOUND" }),
      expect.objectContaining({ machine: "mach_1", requests: 1, failures: 0 }),
    ])
    const text = await page("")
    expect(text).toContain('<td class="m bad">MACHINE_NOT_FOUND</td><td>2</td>')
    expect(text).toMatch(/mach_2<\/td><td>fake<\/td><td class="warn">MACHINE_NOT_FOUND/)
  })

  it("has a JSON twin, at a path of its own as well, and says whose figures they are", async () => {
    const { ask, data, page } = withConsole()
    expect((await data("hostname=misha.iterate.app")).scope).toBe("process")
    const response = await ask(new Request("https://ops.example.com/explain.json?hostname=misha.iterate.app"))
    expect(response.headers.get("content-type")).toBe("application/json")
    expect(((await response.json()) as ConsoleData).explanation?.port).toBe(3000)
    expect(await page("")).toContain("of this process alone")
  })

  it("changes nothing, and says which methods there are", async () => {
    const { ask } = withConsole()
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const response = await ask(new Request("https://ops.example.com/", { method }))
      expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"])
    }
    const head = await ask(new Request("https://ops.example.com/", { method: "HEAD" }))
    expect([head.status, await head.text()]).toEqual([200, ""])
  })

  it("sends a Response of authorize instead", async () => {
    const { ask } = withConsole({}, { authorize: async () => Response.redirect("https://id.example.com/", 302) })
    expect((await ask(at(""))).headers.get("location")).toBe("https://id.example.com/")
  })

  it("is a page of at most 30 kB, whatever it shows, and its end is always there", async () => {
    const store = {
      get: () => ({ status: "miss" }),
      stats: () => ({
        layers: Array.from({ length: 200 }, (_, at) => ({ layer: `${"<".repeat(500)}${at}`, routes: at })),
      }),
    }
    const look = (at: number): Policy => ({ name: `${"&".repeat(600)}${at}`, onRequest: () => undefined })
    const { recent, page, data } = withConsole({
      store: store as never,
      policies: Array.from({ length: 100 }, (_, at) => look(at)),
    })
    for (let at = 0; at < 2_000; at++) recent.onEvent(failedRequest(at))
    const text = await page(
      `hostname=${encodeURIComponent(`${"'".repeat(3_000)}.iterate.app`)}&path=/${"'".repeat(3_000)}`,
    )
    expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(30_000)
    expect(text.trimEnd()).toMatch(/<\/script><\/html>$/)
    const small = await page("hostname=misha.iterate.app")
    for (const title of ["The way", "Stores", "Errors", "Machines"]) expect(small).toContain(`<h2>${title}</h2>`)
    expect(small).toMatch(/and \d+ more in the JSON/)
    expect(new TextEncoder().encode(small).length).toBeLessThanOrEqual(30_000)
    const { recent: kept } = await data()
    expect(kept?.machines).toHaveLength(500)
    expect(kept?.errors).toHaveLength(64)
    expect(JSON.stringify(kept).length).toBeLessThan(1_000_000)
  })
})

const failedRequest = (at: number): RouterEvent => ({
  type: "request",
  requestId: `${"r".repeat(10_000)}${at}`,
  method: "GET",
  host: "<script>".repeat(1_000),
  status: 502,
  code: `CODE_${at}`,
  reason: "\u202e<img src=x onerror=alert(1)>".repeat(1_000),
  durationMs: 1,
  trace: [
    {
      step: "machine",
      outcome: `m${at}${"é".repeat(5_000)}`,
      type: '"><b>'.repeat(1_000),
      externalId: "x".repeat(10_000),
      version: 1,
    },
  ],
})

describe("recentEvents", () => {
  it("keeps what is frequent when codes are made up", () => {
    const { onEvent, snapshot } = recentEvents()
    const event = (code: string) => ({ ...failedRequest(0), code }) as RouterEvent
    for (let at = 0; at < 10; at++) onEvent(event("PORT_CLOSED"))
    for (let at = 0; at < 1_000; at++) onEvent(event(`MADE_UP_${at}`))
    expect(snapshot().errors[0]).toMatchObject({ code: "PORT_CLOSED", count: 10 })
    expect(snapshot().errors[0]?.last).toHaveLength(5)
  })

  it("knows a machine by its id once a request names it, and what its provider reported before", () => {
    const { onEvent, snapshot } = recentEvents()
    const provider = { type: "provider", provider: "fly", machine: "148e", operation: "start" } as const
    onEvent({ ...provider, state: "failing", error: "ProviderAuth", reason: "no" })
    expect(snapshot().machines).toMatchObject([{ externalId: "148e", failing: "start", reason: "no" }])
    const trace = [{ step: "machine", outcome: "mach_1", type: "fly", externalId: "148e", version: 1 }] as const
    onEvent({ type: "request", requestId: "1", method: "GET", host: "a", status: 200, durationMs: 1, trace })
    expect(snapshot().machines).toMatchObject([
      { machine: "mach_1", externalId: "148e", failing: "start", requests: 1 },
    ])
    onEvent({ ...provider, state: "recovered" })
    expect(snapshot().machines).toHaveLength(1)
    expect(snapshot().machines[0]).not.toHaveProperty("failing")
    const health = { type: "machine_health", provider: "fly", machine: "mach_1", port: 3000, count: 1 } as const
    onEvent({ ...health, state: "ejected", reason: "PortClosed" })
    expect(snapshot().machines).toMatchObject([{ machine: "mach_1", health: "ejected", reason: "PortClosed" }])
  })

  it("counts requests, keeps those heard of last, and gives copies", () => {
    const { onEvent, snapshot } = recentEvents()
    const request = (machine: string, code?: string) =>
      onEvent({
        ...(failedRequest(0) as object),
        code,
        trace: [{ step: "machine", outcome: machine, type: "fly", externalId: machine, version: 1 }],
      } as never)
    for (let at = 0; at < 500; at++) request(`m${at}`)
    const before = snapshot().machines
    request("m0")
    request("m0", "PORT_CLOSED")
    request("m500")
    const { machines } = snapshot()
    expect(machines.map(({ machine }) => machine).slice(0, 2)).toEqual(["m500", "m0"])
    expect(machines.map(({ machine }) => machine)).not.toContain("m1")
    expect(machines[1]).toMatchObject({ requests: 3, failures: 1, code: "PORT_CLOSED" })
    request("m0")
    expect(snapshot().machines[0]).toMatchObject({ machine: "m0", requests: 4, failures: 1 })
    expect(snapshot().machines[0]).not.toHaveProperty("code")
    expect(before.at(-1)).toMatchObject({ machine: "m0", requests: 1 })
  })

  it("holds nothing against a machine that a policy let nobody reach", () => {
    const { onEvent, snapshot } = recentEvents()
    const machineStep = { step: "machine", outcome: "mach_1", type: "fly", externalId: "148e", version: 1 } as const
    const refused = [
      { step: "policy", outcome: "members", decision: "denied" },
      { step: "closed", outcome: "visibility" },
      { step: "region", outcome: "eu", decision: "hop", reason: "" },
    ] as const
    for (const last of refused) onEvent({ ...(failedRequest(0) as object), trace: [machineStep, last] } as never)
    expect([snapshot().machines, snapshot().errors[0]?.count]).toEqual([[], 3])
  })

  it("takes any event", () => {
    const { onEvent, snapshot } = recentEvents()
    for (const event of [{}, null, { type: "request" }, { type: "machine_health" }]) onEvent(event as never)
    expect(snapshot().machines).toEqual([])
  })
})
