/** Replicas that come and go, by real sockets, on both hosts. */
import { describe, expect, it, vi } from "vitest"
import { WebSocket } from "ws"
import { once } from "node:events"
import type { ServerResponse } from "node:http"
import type { RouteInput } from "../../src/stores/memory.ts"
import { counted, holdClock, hosts, serve, startApps } from "./apps.ts"
import type { App, Seen, Served } from "./apps.ts"

const record = ([first, ...others]: readonly App[], more: object = {}): RouteInput => ({
  machine: first!.machine as never,
  replicas: others.map(({ machine }) => machine as never),
  owner: "org_1",
  ...more,
})

const times = async (count: number, ask: (at: number) => Promise<Seen>): Promise<Seen[]> => {
  const seen: Seen[] = []
  for (let at = 0; at < count; at++) seen.push(await ask(at))
  return seen
}

/** So many at a time, as a load. `onAsked` hears of each that begins. */
const load = async (count: number, width: number, ask: (at: number) => Promise<Seen>): Promise<Seen[]> => {
  const seen: Seen[] = []
  let next = 0
  const one = async (): Promise<void> => {
    while (next < count) seen.push(await ask(next++))
  }
  await Promise.all(Array.from({ length: width }, one))
  return seen
}

describe.each(hosts)("on %s", (host) => {
  describe("a replica that is killed under load", () => {
    it("costs no GET, is ejected, and returns when it is there again", async () => {
      holdClock()
      const apps = await startApps("mach_1", "mach_2", "mach_3")
      const { ask, events } = await serve(host, { "p:misha": record(apps, { balance: "round-robin" }) })
      const during = await load(300, 8, async (at) => {
        if (at === 100) await apps[1]!.kill()
        return ask()
      })
      expect(counted(during.filter(({ status }) => status !== 200))).toEqual({})
      expect(events.map(({ state, machine }) => [state, machine])).toEqual([["ejected", "mach_2"]])
      expect(events[0]).toMatchObject({
        type: "machine_health",
        provider: "upstream",
        owner: "org_1",
        port: 3000,
        count: 1,
      })

      await apps[1]!.restart()
      expect(counted(await times(20, () => ask()))).toEqual({ mach_1: 10, mach_3: 10 })
      vi.advanceTimersByTime(7_000)
      expect(Object.keys(counted(await times(9, () => ask()))).toSorted()).toEqual(["mach_1", "mach_2", "mach_3"])
      expect(events.map(({ state, machine }) => [state, machine])).toEqual([
        ["ejected", "mach_2"],
        ["returned", "mach_2"],
      ])
    })

    it("costs at most five POSTs, one after the other", async () => {
      const apps = await startApps("mach_1", "mach_2", "mach_3")
      const { ask } = await serve(host, { "p:misha": record(apps, { balance: "round-robin" }) })
      const post = () => ask("/", { method: "POST", body: "once" })
      expect(counted(await times(9, post))).toEqual({ mach_1: 3, mach_2: 3, mach_3: 3 })
      await apps[2]!.kill()
      const failed = (await times(60, post)).filter(({ status }) => status !== 200)
      expect(failed.length).toBeLessThanOrEqual(5)
    })
  })

  it("what an app itself answers ejects nothing", async () => {
    const apps = await startApps("mach_1", "mach_2")
    const { ask, events, router } = await serve(host, { "p:misha": record(apps, { balance: "round-robin" }) })
    for (const status of [401, 404, 500, 502, 503, 504]) {
      for (const app of apps) app.answer = (_, response) => void response.writeHead(status).end(app.id)
      const seen = await times(20, () => ask())
      expect([counted(seen), seen.every((each) => each.status === status)]).toEqual([{ mach_1: 10, mach_2: 10 }, true])
    }
    expect(events).toEqual([])
    expect((await router.explain("misha.iterate.app")).steps.join()).toContain("in turn of 2")
  })

  it("the last one is never ejected, and where none is well, each is used until one is", async () => {
    const apps = await startApps("mach_1", "mach_2", "mach_3")
    const { ask, events, router } = await serve(host, { "p:misha": record(apps, { balance: "round-robin" }) })
    for (const app of apps) await app.kill()
    const seen = await times(20, () => ask())
    expect(seen.every(({ status }) => status === 502)).toBe(true)
    const states = events.map(({ state }) => state)
    expect(states.toSorted()).toEqual(["ejected", "ejected", "kept"])
    expect((await router.explain("misha.iterate.app")).steps.join()).toContain("of 3, none of which is well")
    // No time has passed: it was used all the while.
    await apps[0]!.restart()
    const after = await times(10, () => ask())
    expect(counted(after.slice(1))).toEqual({ mach_1: 9 })
    expect(events.at(-1)).toMatchObject({ state: "returned", machine: "mach_1" })
  })

  it("sticky: a visitor stays while the machine is well, moves when it is not, and returns with it", async () => {
    holdClock()
    const apps = await startApps("mach_1", "mach_2", "mach_3")
    const { ask } = await serve(host, { "p:misha": record(apps) })
    const clients = Array.from({ length: 30 }, (_, at) => `198.51.100.${at}`)
    const where = async () => {
      const seen = await Promise.all(clients.map((client) => ask("/", { client })))
      return seen.map(({ body }) => body)
    }
    const before = await where()
    expect(new Set(before).size).toBe(3)
    expect(await where()).toEqual(before)

    await apps[1]!.kill()
    const during = await where()
    expect(during).not.toContain("mach_2")
    // Nobody else moves.
    expect(during.filter((_, at) => before[at] !== "mach_2")).toEqual(before.filter((id) => id !== "mach_2"))
    expect(await where()).toEqual(during)

    await apps[1]!.restart()
    vi.advanceTimersByTime(7_000)
    // The first of them finds out that it is well again, and the others may have gone elsewhere by then.
    await where()
    expect(await where()).toEqual(before)
  })

  it("round robin is even to one, also side by side", async () => {
    const apps = await startApps("mach_1", "mach_2", "mach_3")
    const { ask } = await serve(host, { "p:misha": record(apps, { balance: "round-robin" }) })
    const counts = Object.values(counted(await load(100, 7, () => ask())))
    expect(counts.toSorted((a, b) => a - b)).toEqual([33, 33, 34])
  })

  it("least requests leaves a slow replica alone, and a stream counts until it ends", async () => {
    const apps = await startApps("mach_1", "mach_2", "mach_3")
    const { ask } = await serve(host, { "p:misha": record(apps, { balance: "least-requests" }) })
    const streaming = Promise.withResolvers<ServerResponse>()
    apps[1]!.answer = (_, response) => {
      response.writeHead(200).write("mach_2")
      streaming.resolve(response)
    }
    const open = [ask(), ask(), ask()]
    const stream = await streaming.promise
    const others = await times(20, () => ask())
    expect(counted(others)).toEqual({ mach_1: 10, mach_3: 10 })
    apps[1]!.answer = (_, response) => void response.end("mach_2")
    stream.end()
    expect(counted(await Promise.all(open))).toEqual({ mach_1: 1, mach_2: 1, mach_3: 1 })
    await vi.waitFor(async () => expect(await ask()).toMatchObject({ body: "mach_2" }))
  })

  it("two tenants' machines at one address are two: what one learns, the other does not", async () => {
    const apps = await startApps("mach_1", "mach_2")
    const { ask, router, events } = await serve(host, {
      "p:misha": record(apps, { balance: "round-robin" }),
      "p:anna": record(apps, { balance: "round-robin", owner: "org_2" }),
    })
    await apps[0]!.kill()
    await times(12, () => ask())
    expect(events.map(({ state, owner }) => [state, owner])).toEqual([["ejected", "org_1"]])
    const steps = async (name: string) => (await router.explain(`${name}.iterate.app`)).steps.join()
    expect(await steps("misha")).toContain("in turn of 1 of 2, without mach_1 (")
    expect(await steps("anna")).toContain("in turn of 2")
    const { status } = await ask("/", { host: "anna.iterate.app" })
    expect([status, await steps("anna")]).toEqual([200, expect.stringContaining("in turn of 2")])
  })

  describe("a request that broke off (situation 40)", () => {
    const broken = async () => {
      const apps = await startApps("mach_1", "mach_2")
      const served = await serve(host, { "p:misha": record(apps, { balance: "round-robin" }) })
      // It had the request, and may have acted on it.
      apps[0]!.answer = (request) => request.socket.destroy()
      return { ...served, apps }
    }
    it("is sent to another machine if it is safe", async () => {
      const { ask, apps } = await broken()
      expect(counted(await times(4, () => ask()))).toEqual({ mach_2: 4 })
      expect(apps[0]!.requests.length).toBeGreaterThan(0)
    })
    it.each(["POST", "PUT", "DELETE"])("is not sent again if it is a %s", async (method) => {
      const { ask, apps } = await broken()
      const seen = await times(4, () => ask("/", { method, ...(method === "DELETE" ? {} : { body: "once" }) }))
      expect(seen.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 502, 502])
      expect(apps.map(({ requests }) => requests.length)).toEqual([2, 2])
    })
  })

  it("a target of a rule is ejected as a replica is, and the others of the rule have its requests", async () => {
    const apps = await startApps("mach_1", "mach_2")
    const targets = apps.map(({ machine }) => ({ machine: machine as never, weight: 1 }))
    const { ask, events, router } = await serve(host, {
      "p:misha": record([apps[0]!], {
        rules: [{ match: { path: { prefix: "/api" } }, targets }],
        machines: { mach_2: { visibility: "public" } },
      }),
    })
    await apps[1]!.kill()
    const clients = (at: number) => ({ client: `203.0.113.${at}` })
    const seen = await times(40, (at) => ask("/api", clients(at)))
    expect(counted(seen)).toEqual({ mach_1: 40 })
    expect(events.map(({ state, machine }) => [state, machine])).toEqual([["ejected", "mach_2"]])
    expect((await router.explain("misha.iterate.app", { path: "/api" })).machine?.id).toBe("mach_1")
  })
})

it("a WebSocket counts until it ends, on sockets", async () => {
  const apps = await startApps("mach_1", "mach_2")
  const { ask, port } = await serve("serveNode", { "p:misha": record(apps, { balance: "least-requests" }) })
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { host: "misha.iterate.app" } })
  const [data] = (await once(socket, "message")) as [Buffer]
  const other = String(data) === "mach_1" ? "mach_2" : "mach_1"
  expect(counted(await times(10, () => ask()))).toEqual({ [other]: 10 })
  socket.close()
  await vi.waitFor(async () => expect(await ask()).toMatchObject({ body: String(data) }))
})

it("the request's event says why its machine, and which came before it", async () => {
  const apps = await startApps("mach_1", "mach_2")
  const steps: string[] = []
  const { ask } = await serve(
    "serveNode",
    { "p:misha": record(apps, { balance: "round-robin" }) },
    {
      onEvent: (event) => {
        if (event.type !== "request") return
        for (const step of event.trace) if (step.step === "machine") steps.push(`${step.outcome} ${step.reason}`)
      },
    },
  )
  await apps[0]!.kill()
  expect((await ask()).body).toBe("mach_2")
  expect(steps).toEqual(["mach_1 in turn of 2", "mach_2 in turn of 1 of 2, without mach_1 (tried)"])
})

it("without a balancer each visitor stays with one machine, well or not, and explain says so", async () => {
  const apps = await startApps("mach_1", "mach_2")
  const served: Served = await serve(
    "fetch",
    { "p:misha": record(apps, { balance: "least-requests" }) },
    { balancer: undefined as never },
  )
  const clients = Array.from({ length: 20 }, (_, at) => `198.51.100.${at}`)
  await apps[0]!.kill()
  const all = new Set<number>()
  for (const client of clients) {
    const statuses = new Set((await times(7, () => served.ask("/", { client }))).map(({ status }) => status))
    expect(statuses.size).toBe(1)
    for (const status of statuses) all.add(status)
  }
  expect(all).toEqual(new Set([200, 502]))
  const { steps } = await served.router.explain("misha.iterate.app")
  expect(steps.join()).toContain("by client address: least-requests needs a balancer")
})
