/** Health checks that a record asks for: by a clock that the test holds, and once over real sockets and in workerd. */
import { SendFailure } from "@project-ingress/forward/fetch"
import { MachineNotRunning } from "@project-ingress/providers"
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest"
import { balancer } from "../../src/balancer.ts"
import type { MachineHealthEvent, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import type { RouteInput } from "../../src/stores/memory.ts"
import { fake, machine, names, setup, stamped, values } from "../fakes.ts"
import type { Outgoing } from "../fakes.ts"
import { serve, startApps } from "./apps.ts"

const healthCheck = { path: "/healthz?deep=1", intervalMs: 2_000 }
const both = {
  machine: machine("mach_1"),
  replicas: [machine("mach_2")],
  balance: "round-robin",
  healthCheck,
} satisfies RouteInput

const isProbe = ({ target }: Outgoing) => target === healthCheck.path
const idOf = ({ origin }: Outgoing) => /mach-\d+/.exec(origin)![0].replace("-", "_")

/** What the health checks of machines find: a status, or nothing at all. */
let health: Record<string, number | "refused" | "silent"> = {}

const checkedRouter = (options: Partial<RouterOptions> = {}) => {
  const events: MachineHealthEvent[] = []
  const made = setup({
    balancer,
    store: memoryStore({ "p:misha": both }),
    // Without tickets nothing waits for anything but the clock.
    providers: [fake({ endpoint: { machineProxy: false } })],
    onEvent: (event) => void (event.type === "machine_health" && events.push(event)),
    answer: (outgoing) => {
      if (!isProbe(outgoing)) return stamped()
      const found = health[idOf(outgoing)] ?? 200
      if (found === "refused") throw new SendFailure("refused", "no", undefined)
      if (found !== "silent") return stamped(null, { status: found })
      return new Promise((_, reject) => {
        outgoing.signal!.addEventListener("abort", () => reject(new SendFailure("other", "maybe", undefined)))
      })
    },
    ...options,
  })
  onTestFinished(() => made.router.dispose())
  const visit = async (times = 1): Promise<string[]> => {
    const went: string[] = []
    for (let at = 0; at < times; at++) {
      const before = made.sent.length
      await made.router.fetch(new Request("http://misha.iterate.app/"), context)
      went.push(
        ...made.sent
          .slice(before)
          .filter((each) => !isProbe(each))
          .map(idOf),
      )
    }
    return went
  }
  const waiting: Promise<unknown>[] = []
  const context = { waitUntil: (work: Promise<unknown>) => void waiting.push(work) }
  return { ...made, events, visit, waiting, probes: () => made.sent.filter(isProbe) }
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

describe("a health check", () => {
  beforeEach(() => {
    health = {}
    vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout", "setImmediate"] })
  })
  afterEach(() => void vi.useRealTimers())

  it("asks each machine as the record says, by a request of its own with a ticket", async () => {
    const { visit, probes } = checkedRouter({
      providers: [fake()],
      policies: [{ name: "identity", onForward: (edit) => edit.set("x-user", "visitor") }],
    })
    await visit()
    await vi.waitFor(() => expect(probes().length).toBeGreaterThan(1), { timeout: 20_000 })
    expect(probes().map(idOf).toSorted()).toEqual(["mach_1", "mach_2"])
    const [first] = probes()
    expect([first!.method, first!.body]).toEqual(["GET", null])
    expect(values(first!.headers, "x-iterate-proxy-target-host")).toEqual(["3000__misha.iterate.app"])
    expect(values(first!.headers, "x-iterate-proxy-ticket").length).toBe(1)
    expect(values(first!.headers, "user-agent")).toEqual(["project-ingress-health-check"])
    expect(names(first!.headers)).not.toContain("x-user")
  })

  it.each<[string, number | "refused" | "silent", string]>([
    ["another status", 500, "health check: status 500"],
    ["a refused connection", "refused", "health check: PortClosed"],
    ["no response in time", "silent", "health check: no response in 2000 ms"],
  ])("that finds %s twice ejects, and twice well returns", async (_, found, reason) => {
    const { visit, events, router } = checkedRouter()
    health = { mach_2: found }
    await visit()
    await pass(100)
    expect(await visit(4)).toEqual(["mach_2", "mach_1", "mach_2", "mach_1"])
    await pass(9_000)
    expect(events).toMatchObject([{ state: "ejected", machine: "mach_2", reason }])
    expect(await visit(4)).toEqual(["mach_1", "mach_1", "mach_1", "mach_1"])
    const { steps } = await router.explain("misha.iterate.app")
    expect(steps.join()).toContain(`without mach_2 (${reason})`)
    health = {}
    await pass(9_000)
    expect(events.map(({ state }) => state)).toEqual(["ejected", "returned"])
    expect(new Set(await visit(4))).toEqual(new Set(["mach_1", "mach_2"]))
  })

  it("takes the statuses that the record names", async () => {
    const picky = { ...both, healthCheck: { ...healthCheck, statuses: [204] } }
    const { visit, events } = checkedRouter({ store: memoryStore({ "p:misha": picky }) })
    health = { mach_1: 204, mach_2: 200 }
    await visit()
    await pass(5_000)
    expect(events).toMatchObject([{ state: "ejected", machine: "mach_2", reason: "health check: status 200" }])
  })

  it("that fails everywhere ejects all but one, and every one goes on getting requests", async () => {
    const { visit, events } = checkedRouter()
    health = { mach_1: 500, mach_2: 500 }
    await visit()
    await pass(5_000)
    expect(events.map(({ state }) => state).toSorted()).toEqual(["ejected", "kept"])
    expect(new Set(await visit(4))).toEqual(new Set(["mach_1", "mach_2"]))
  })

  it("of a record's only machine is reported, and its requests go on", async () => {
    const alone = { machine: machine("mach_1"), healthCheck }
    const { visit, events } = checkedRouter({ store: memoryStore({ "p:misha": alone }) })
    health = { mach_1: 503 }
    await visit()
    await pass(5_000)
    expect(events).toMatchObject([{ state: "kept", machine: "mach_1", reason: "health check: status 503" }])
    expect(await visit(3)).toEqual(["mach_1", "mach_1", "mach_1"])
    health = {}
    await pass(5_000)
    expect(events.at(-1)).toMatchObject({ state: "returned" })
  })

  it("ends a minute after the last visitor, and begins with the next one", async () => {
    const { visit, probes } = checkedRouter()
    expect(probes()).toEqual([])
    await visit()
    await pass(70_000)
    const asked = probes().length
    // Every 2 s, give or take a tenth, of two machines.
    expect(asked).toBeGreaterThanOrEqual(2 * 26)
    expect(asked).toBeLessThanOrEqual(2 * 36)
    await pass(600_000)
    expect(probes().length).toBe(asked)
    await visit()
    await pass(100)
    expect(probes().length).toBe(asked + 2)
  })

  it("is not asked more often because there are more visitors", async () => {
    const { visit, probes } = checkedRouter()
    await visit(50)
    expect(probes().length).toBe(2)
    await pass(2_300)
    await visit(50)
    expect(probes().length).toBe(4)
  })

  it("is asked by whom the policies let in alone", async () => {
    const { visit, probes } = checkedRouter({ store: memoryStore({ "p:misha": { ...both, visibility: "private" } }) })
    await visit(3)
    expect(probes()).toEqual([])
  })

  it("ends with the router", async () => {
    const { visit, probes, router } = checkedRouter()
    await visit()
    await router.dispose()
    await pass(30_000)
    expect(probes().length).toBe(2)
  })

  it("wakes nobody, and a machine that sleeps is not ill", async () => {
    let starts = 0
    const capabilities = { ...fake().capabilities, wake: "start" } as const
    const sleeping = fake({
      capabilities,
      resolve: async ({ type, externalId, id }) => {
        if (id === "mach_2") throw new MachineNotRunning({ provider: type, machine: externalId, state: "stopped" })
        return { origin: "http://ext-mach-1.test", epoch: "1", ttlMs: 0, machineProxy: false }
      },
      start: async () => void starts++,
    })
    const { visit, events } = checkedRouter({ providers: [sleeping] })
    expect(await visit()).toEqual(["mach_1"])
    await pass(20_000)
    expect([starts, events]).toEqual([0, []])
  })

  it("of one owner costs no more than that owner's share, whatever its routes ask for", async () => {
    const many = Array.from({ length: 60 }, (_, at) => machine(`mach_${at + 10}`))
    const greedy = {
      machine: machine("mach_1"),
      replicas: many,
      owner: "org_1",
      healthCheck,
      balance: "round-robin",
    } as const
    const modest = { machine: machine("mach_2"), owner: "org_2", healthCheck } as const
    const { router, probes } = checkedRouter({ store: memoryStore({ "p:misha": greedy, "p:anna": modest }) })
    await router.fetch(new Request("http://misha.iterate.app/"))
    await router.fetch(new Request("http://anna.iterate.app/"))
    await pass(1)
    expect(probes().filter((each) => idOf(each) !== "mach_2").length).toBe(25)
    expect(probes().filter((each) => idOf(each) === "mach_2").length).toBe(1)
  })

  it("is of the ports that the record or the grammar names, and of none that only a visitor does", async () => {
    const record = {
      machine: machine("mach_1"),
      healthCheck,
      port: 4000,
      services: { docs: 4001 },
      ports: { 4002: { visibility: "public" } },
      rules: [{ match: { method: "PUT" }, targets: [{ port: 4003 }, { machine: machine("mach_2") }] }],
      machines: { mach_2: { healthCheck, ports: { 4004: {} } } },
    } as const satisfies RouteInput
    const { router, probes } = checkedRouter({ store: memoryStore({ "p:misha": record }) })
    for (const port of [4001, 4002, 4003, 5000, 5001, 5002])
      await router.fetch(new Request(`http://${port}__misha.iterate.app/`))
    await router.fetch(new Request("http://misha.iterate.app/"))
    for (let port = 6000; port < 6100; port++) await router.fetch(new Request(`http://${port}__misha.iterate.app/`))
    await pass(1)
    expect(probes().length).toBe(4)
    expect((await router.explain("6000__misha.iterate.app")).port).toBe(6000)
  })

  describe("in a Worker", () => {
    beforeEach(() => {
      vi.stubGlobal("WebSocketPair", () => {})
      onTestFinished(() => void vi.unstubAllGlobals())
    })
    it("runs with a request's waitUntil, once an interval, and by no timer", async () => {
      const { visit, probes, waiting, events } = checkedRouter()
      health = { mach_2: 500 }
      await visit(5)
      expect([probes().length, waiting.length]).toEqual([2, 2])
      await pass(60_000)
      expect(probes().length).toBe(2)
      await visit(5)
      await Promise.all(waiting)
      expect(probes().length).toBe(4)
      expect(events).toMatchObject([{ state: "ejected", machine: "mach_2" }])
      expect(await visit(2)).toEqual(["mach_1", "mach_1"])
    })
  })
})

it.each(["fetch", "serveNode"] as const)(
  "over real sockets on %s, an app of its own is asked at its address",
  async (host) => {
    const [first, second] = await startApps("mach_1", "mach_2")
    const record = {
      machine: first!.machine as never,
      replicas: [second!.machine as never],
      healthCheck: { path: "/healthz" },
    }
    const { ask } = await serve(host, { "p:misha": record })
    expect((await ask()).status).toBe(200)
    for (const app of [first!, second!]) {
      await vi.waitFor(() => expect(app.requests.map(({ url }) => url)).toContain("/healthz"), { timeout: 20_000 })
      const probe = app.requests.find(({ url }) => url === "/healthz")!
      expect(probe.headers.host).toMatch(/^127\.0\.0\.1:\d+$/)
      // No ticket, and no other field of ours.
      expect(Object.keys(probe.headers).filter((name) => name.startsWith("x-iterate"))).toEqual([])
    }
  },
)

it("an address that no record may name is not asked either", async () => {
  const [app] = await startApps("mach_1")
  const { upstream } = await import("@project-ingress/providers/upstream")
  const record = { machine: app!.machine as never, healthCheck: { path: "/healthz" } }
  const { ask, events } = await serve("fetch", { "p:misha": record }, { providers: [upstream()] })
  expect((await ask()).status).not.toBe(200)
  expect([app!.requests.length, events]).toEqual([0, []])
})
