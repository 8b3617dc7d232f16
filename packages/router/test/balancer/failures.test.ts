/** Which failures count, and where a request goes after one. By fakes, because most of them come of a machine's proxy. */
import { SendFailure } from "@project-ingress/forward/fetch"
import { MachineNotRunning } from "@project-ingress/providers"
import { describe, expect, it, onTestFinished, vi } from "vitest"
import { balancer } from "../../src/balancer.ts"
import type { MachineHealthEvent, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { fake, machine, setup, stamped } from "../fakes.ts"
import type { Outgoing } from "../fakes.ts"

const both = { machine: machine("mach_1"), replicas: [machine("mach_2")], balance: "round-robin" } as const

const balanced = (
  answer: (outgoing: Outgoing) => Response | Promise<Response>,
  options: Partial<RouterOptions> = {},
) => {
  const events: MachineHealthEvent[] = []
  const { router, sent, routes } = setup({
    balancer,
    store: memoryStore({ "p:misha": both }),
    onEvent: (event) => void (event.type === "machine_health" && events.push(event)),
    answer,
    ...options,
  })
  const ask = async (init: RequestInit = {}) => (await router.fetch(new Request("http://misha.iterate.app/", init)))!
  const times = async (count: number, init: RequestInit = {}) => {
    const statuses: number[] = []
    for (let at = 0; at < count; at++) statuses.push((await ask(init)).status)
    return statuses
  }
  return { router, sent, routes, events, ask, times }
}

const isFirst = ({ origin }: Pick<Outgoing, "origin">) => origin.includes("mach-1")
const generated = (status: number, code: string) =>
  stamped("{}", { status, headers: { "x-iterate-proxy-error": code } })

describe("what the machine's proxy generates", () => {
  it.each([
    [502, "PORT_CLOSED"],
    [502, "UPSTREAM_FAILED"],
    [503, "OVERLOADED"],
  ])("%i %s counts", async (status, code) => {
    const { times, events } = balanced((to) => (isFirst(to) ? generated(status, code) : stamped()))
    await times(20)
    expect(events).toMatchObject([{ state: "ejected", machine: "mach_1", reason: code }])
  })

  it.each([401, 413, 421, 431, 507])("%i does not, whatever its code", async (status) => {
    const { times, events } = balanced((to) => (isFirst(to) ? generated(status, "ANYTHING") : stamped()))
    await times(20)
    expect(events).toEqual([])
  })

  it("a 504 UPSTREAM_TIMEOUT does not: the app got the request", async () => {
    const { times, events } = balanced((to) => (isFirst(to) ? generated(504, "UPSTREAM_TIMEOUT") : stamped()))
    expect(new Set(await times(20))).toEqual(new Set([200, 504]))
    expect(events).toEqual([])
  })

  it("an app's own 503 that its proxy stamps does not", async () => {
    const { times, events } = balanced((to) => (isFirst(to) ? stamped("busy", { status: 503 }) : stamped()))
    expect(new Set(await times(20))).toEqual(new Set([200, 503]))
    expect(events).toEqual([])
  })
})

describe("a connection", () => {
  it.each([
    ["refused", "no"],
    ["timeout", "no"],
    ["reset", "maybe"],
  ] as const)("that ends as %s, sent %s, counts", async (kind, sent) => {
    const { times, events } = balanced((to) => {
      if (isFirst(to)) throw new SendFailure(kind, sent, undefined)
      return stamped()
    })
    await times(20)
    expect(events).toMatchObject([{ state: "ejected", machine: "mach_1" }])
  })

  it("on which the response does not begin in time does not: visitors may ask for what is slow", async () => {
    const { times, events } = balanced((to) => {
      if (isFirst(to)) throw new SendFailure("timeout", "maybe", undefined)
      return stamped()
    })
    expect(new Set(await times(20))).toEqual(new Set([200, 504]))
    expect(events).toEqual([])
  })
})

describe("a request is sent to another machine", () => {
  it.each([
    ["PORT_CLOSED", "GET", 200],
    ["PORT_CLOSED", "POST", 200],
    ["UPSTREAM_FAILED", "GET", 200],
    ["UPSTREAM_FAILED", "POST", 502],
    ["UPSTREAM_TIMEOUT", "GET", 504],
    ["UPSTREAM_TIMEOUT", "POST", 504],
  ])("after %s of a %s: it ends in %i", async (code, method, expected) => {
    const status = code === "UPSTREAM_TIMEOUT" ? 504 : 502
    const { ask } = balanced((to) => (isFirst(to) ? generated(status, code) : stamped()))
    expect((await ask({ method })).status).toBe(expected)
  })

  it.each([
    ["refused", "no", "POST", 200],
    ["timeout", "no", "POST", 200],
    ["reset", "maybe", "GET", 200],
    ["reset", "maybe", "POST", 502],
    ["timeout", "maybe", "GET", 504],
  ] as const)("after %s, sent %s, of a %s: it ends in %i", async (kind, sent, method, expected) => {
    const { ask } = balanced((to) => {
      if (isFirst(to)) throw new SendFailure(kind, sent, undefined)
      return stamped()
    })
    expect((await ask({ method })).status).toBe(expected)
  })

  it("but not if its body is gone", async () => {
    const { ask } = balanced(async (to) => {
      if (!isFirst(to)) return stamped()
      await to.body?.cancel()
      throw new SendFailure("refused", "no", undefined)
    })
    expect((await ask({ method: "POST", body: "once" })).status).toBe(502)
  })

  it("three at most", async () => {
    const { ask, sent } = balanced(() => generated(502, "PORT_CLOSED"), {
      store: memoryStore({ "p:misha": { ...both, replicas: ["2", "3", "4", "5"].map((id) => machine(`mach_${id}`)) } }),
    })
    expect((await ask()).status).toBe(502)
    expect(new Set(sent.map(({ origin }) => origin)).size).toBe(3)
  })

  it("by the policies again, of the machine that it comes to", async () => {
    const asked: unknown[] = []
    const { ask } = balanced((to) => (isFirst(to) ? generated(502, "PORT_CLOSED") : stamped()), {
      policies: [(_, route) => void asked.push(route.machine?.id)],
    })
    expect((await ask()).status).toBe(200)
    expect(asked).toEqual(["mach_1", "mach_2"])
  })

  it("that is its own: nothing else follows for a record with one machine", async () => {
    const { times, sent, events } = balanced(() => generated(502, "PORT_CLOSED"), {
      store: memoryStore({ "p:misha": { machine: machine("mach_1") } }),
    })
    expect(await times(20)).toEqual(Array.from({ length: 20 }, () => 502))
    expect([sent.length, events]).toEqual([20, []])
  })
})

it("another machine at a replica's address counts, and the request goes to the other one at once", async () => {
  const { times, events } = balanced((to) => (isFirst(to) ? generated(421, "MACHINE_MISMATCH") : stamped()))
  expect(new Set(await times(20))).toEqual(new Set([200]))
  expect(events).toMatchObject([{ state: "ejected", machine: "mach_1", reason: "MachineMismatch" }])
})

it("what a vendor says of itself does not count, and what it says of a machine does", async () => {
  const failing = (error: () => Error) => ({
    providers: [fake({ resolve: async ({ id }) => (id === "mach_1" ? Promise.reject(error()) : endpoint(id)) })],
  })
  const endpoint = (id: string) => ({ origin: `http://${id.replace("_", "-")}.test`, epoch: "1", ttlMs: 0 })
  const about = { provider: "fake", machine: "ext-mach_1" }
  const { ProviderRateLimited } = await import("@project-ingress/providers")
  const limited = balanced(
    () => stamped(),
    failing(() => new ProviderRateLimited(about)),
  )
  expect(new Set(await limited.times(20))).toEqual(new Set([200]))
  expect(limited.events).toEqual([])
  const stopped = balanced(
    () => stamped(),
    failing(() => new MachineNotRunning({ ...about, state: "exited" })),
  )
  expect(new Set(await stopped.times(20))).toEqual(new Set([200]))
  expect(stopped.events).toMatchObject([{ state: "ejected", reason: "MachineNotRunning" }])
})

it("is reported once a second for a machine at most, however many ports a visitor tries", async () => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] })
  onTestFinished(() => void vi.useRealTimers())
  const { router, events } = balanced((to) => (isFirst(to) ? generated(502, "PORT_CLOSED") : stamped()))
  for (let port = 1; port <= 20; port++) {
    for (let at = 0; at < 12; at++) await router.fetch(new Request(`http://${port}__misha.iterate.app/`))
  }
  expect(events).toMatchObject([{ state: "ejected", port: 1, count: 1 }])
  vi.advanceTimersByTime(1_000)
  expect(events).toMatchObject([{ count: 1 }, { state: "ejected", count: 19 }])
})

it("a client that leaves says nothing of the machine, and is no longer in flight", async () => {
  const left = new AbortController()
  const reached = Promise.withResolvers<void>()
  const { router, events, ask } = balanced(
    (to) => {
      if (!isFirst(to)) return stamped("mach_2")
      reached.resolve()
      return new Promise((_, reject) => {
        to.signal!.addEventListener("abort", () => reject(new SendFailure("other", "maybe", undefined)))
      })
    },
    { store: memoryStore({ "p:misha": { ...both, balance: "least-requests" } }) },
  )
  const leaving = ask({ signal: left.signal })
  await reached.promise
  expect(await (await ask()).text()).toBe("mach_2")
  left.abort()
  expect((await leaving).status).toBe(499)
  expect(events).toEqual([])
  // Both had a turn: were it still counted, the other one would be chosen.
  expect((await router.explain("misha.iterate.app")).machine?.id).toBe("mach_1")
})

it("a response that ends is heard of by whoever waits for it, also by the provider's keepAlive", async () => {
  vi.useFakeTimers({ toFake: ["performance", "setInterval", "clearInterval"] })
  onTestFinished(() => void vi.useRealTimers())
  let used = 0
  const { ask, router } = balanced(() => stamped("body"), {
    store: memoryStore({ "p:misha": { ...both, balance: "least-requests" } }),
    providers: [fake({ keepAlive: async () => void used++ })],
  })
  const [first, second] = [await ask(), await ask()]
  expect([await first.text(), await second.text(), used]).toEqual(["body", "body", 2])
  vi.advanceTimersByTime(300_000)
  expect(used).toBe(2)
  // Neither is in flight any more.
  const { machine } = await router.explain("misha.iterate.app")
  expect([machine?.id, (await ask()).status, (await router.explain("misha.iterate.app")).machine?.id]).toEqual([
    "mach_1",
    200,
    "mach_2",
  ])
})

it("explain makes nothing be forgotten, however many ports are asked about", async () => {
  const { times, router } = balanced((to) => (isFirst(to) ? generated(502, "PORT_CLOSED") : stamped()))
  await times(20)
  for (let port = 10_000; port < 15_100; port++) await router.explain(`${port}__misha.iterate.app`)
  expect((await router.explain("misha.iterate.app")).steps.join()).toContain("without mach_1 (PORT_CLOSED)")
})

it("a router that is given no function for a balancer does not start", () => {
  expect(() => setup({ balancer: {} as never })).toThrow("balancer must be a function")
})
