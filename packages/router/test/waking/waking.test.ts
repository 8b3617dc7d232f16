import { readFileSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { MachineNotRunning } from "@project-ingress/providers"
import { layer as machines } from "@project-ingress/providers/effect"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { handle, layerMemory } from "../../src/effect.ts"
import type { Sender, VisitorRequest } from "../../src/effect.ts"
import { balancer } from "../../src/balancer.ts"
import { wakeRows } from "../../src/program/wakes.ts"
import type { Activity, PolicyInput, PortSettings } from "../../src/router.ts"
import { fake, hostnames, keys, machine, setup, stamped } from "../fakes.ts"
import { codeOf, navigation, sleepers } from "./sleeper.ts"

const known: PolicyInput = { name: "known", onRoute: () => ({ visitor: { subject: "usr_1", by: "test", id: "s1" } }) }
const never = () => new Promise<never>(() => {})

describe("the table", () => {
  it("is the one of the page", () => {
    const page = readFileSync(new URL("../../../../docs/waking.md", import.meta.url), "utf8")
    const said = page.split("| request ")[1]!.split("\n\n")[0]!.split("\n").slice(2)
    const cells = said.map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
    const yes = (wakes: boolean) => (wakes ? "yes" : "no")
    expect(cells).toEqual(
      wakeRows.map(({ requests, unset, visitors, any }) => [
        requests,
        yes(unset),
        visitors ? "with a visitor" : "no",
        yes(any),
        "no",
      ]),
    )
  })

  const handshake = "a handshake"
  /** One request of each row, in the order of the table. */
  const examples: readonly (readonly [string, RequestInit, boolean?])[] = [
    ["a prefetch", { headers: { ...navigation, "sec-purpose": "prefetch" } }],
    ["a preflight", { method: "OPTIONS", headers: { "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin" } }],
    // Not by `router.fetch` on Node, which cannot pass one on: see node.test.ts.
    [handshake, {}],
    ["a webhook", { method: "POST", body: "{}" }],
    ["a HEAD", { method: "HEAD" }],
    ["a navigation", { headers: navigation }],
    ["a token's", { headers: { accept: "application/json" } }, true],
    ["a fetch", { headers: { "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin" } }],
    ["an image of another site", { headers: { "sec-fetch-mode": "no-cors", "sec-fetch-site": "cross-site" } }],
    ["a crawler", { headers: { accept: "text/html", "user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1)" } }],
  ]
  const settings: readonly (PortSettings["wake"] | undefined)[] = [undefined, "visitors", "any", "never"]

  const asked = examples.filter(([name]) => name !== handshake)
  it.each(asked.flatMap((example) => settings.map((wake) => [example[0], wake, example] as const)))(
    "of %s with wake %s",
    async (_, wake, example) => {
      const [, init, ownVisitor = false] = example
      const row = wakeRows[examples.indexOf(example)]!
      for (const hasVisitor of ownVisitor ? [true] : [false, true]) {
        const { ask, routes, starts } = sleepers({ options: { policies: hasVisitor ? [known] : [] } })
        routes.attach("p:misha", { machine: machine("mach_1"), ...(wake === undefined ? {} : { wake }) })
        const response = await ask(init)
        // Whoever is known wakes by any GET but a prefetch.
        const isGet = (init.method ?? "GET") === "GET" && !new Headers(init.headers).has("sec-purpose")
        const byDefault = row.unset || (hasVisitor && isGet)
        const wakes = {
          unset: byDefault,
          visitors: hasVisitor && (row.visitors || isGet),
          any: row.any,
          never: false,
        }[wake ?? "unset"]
        expect(starts.length, `visitor: ${hasVisitor}`).toBe(wakes ? 1 : 0)
        expect(codeOf(response)).toEqual(wakes ? [200, null] : [503, "MACHINE_NOT_RUNNING"])
      }
    },
  )

  it("is asked only about machines that can be started: all others are sent to", async () => {
    const { router, sent } = setup()
    for (const method of ["HEAD", "OPTIONS", "GET"])
      expect((await router.fetch(new Request("http://misha.iterate.app/", { method })))!.status).toBe(200)
    expect(sent).toHaveLength(3)
  })

  it("gives way to who hands a request to the program itself, as for a mail, but never to a port that nobody wakes", async () => {
    const started = async (wake: boolean | undefined, setting?: PortSettings["wake"]) => {
      let starts = 0
      const provider = fake({
        capabilities: { ...fake().capabilities, wake: "start" },
        resolve: async ({ type, externalId }) => {
          throw new MachineNotRunning({ provider: type, machine: externalId, state: "stopped" })
        },
        start: async () => void starts++,
      })
      const sender: Sender<number> = {
        send: () => Effect.die("sent"),
        discard: () => undefined,
        replayable: () => true,
        wake,
      }
      const mail: VisitorRequest = {
        method: "GET",
        host: "misha.iterate.app",
        path: "/",
        headers: [],
        scheme: "https",
        upgrade: false,
        signal: new AbortController().signal,
      }
      const record = { machine: machine("mach_1"), ...(setting === undefined ? {} : { wake: setting }) }
      const layers = Layer.mergeAll(
        layerMemory({ "p:misha": record }),
        machines({ providers: [provider], wakeTimeoutMs: 1 }),
      )
      const program = handle({ grammar: hostnames, signingKey: keys.signing, unprovenMachines: true })
      await Effect.runPromise(Effect.flip(Effect.provide(program(mail, sender), layers)))
      return starts
    }
    expect(await Promise.all([started(true), started(undefined), started(false)])).toEqual([1, 0, 0])
    expect(await Promise.all([started(true, "visitors"), started(false, "any"), started(true, "never")])).toEqual([
      1, 0, 0,
    ])
  })

  it("says MACHINE_STARTING to who does not wake, while somebody else's request does", async () => {
    const { ask } = sleepers({ provider: { start: never }, options: { machines: { pageAfterMs: 10 } } })
    expect(codeOf(await ask({ method: "HEAD" }))).toEqual([503, "MACHINE_NOT_RUNNING"])
    expect(codeOf(await ask({ headers: navigation }))).toEqual([503, "MACHINE_STARTING"])
    expect(codeOf(await ask({ method: "HEAD" }))).toEqual([503, "MACHINE_STARTING"])
  })

  describe("where every request starts the machine", () => {
    const capabilities = { ...fake().capabilities, wake: "request" } as const
    const of = (state: "running" | "stopped" | "starting" | "unknown" | "gone") =>
      fake({ capabilities, status: async () => ({ state }) })
    const crawl = (provider: ReturnType<typeof fake>, wake?: PortSettings["wake"]) => {
      const { router, routes, sent } = setup({ providers: [provider] })
      routes.attach("p:misha", { machine: machine("mach_1"), ...(wake === undefined ? {} : { wake }) })
      return router.fetch(new Request("http://misha.iterate.app/")).then((r) => [...codeOf(r!), sent.length] as const)
    }

    it("sends what does not wake only to one that runs, by its status", async () => {
      expect(await crawl(of("running"))).toEqual([200, null, 1])
      expect(await crawl(of("stopped"))).toEqual([503, "MACHINE_NOT_RUNNING", 0])
      expect(await crawl(of("starting"))).toEqual([503, "MACHINE_STARTING", 0])
      expect(await crawl(of("gone"))).toEqual([404, "MACHINE_NOT_FOUND", 0])
      expect(await crawl(of("stopped"), "any")).toEqual([200, null, 1])
    })

    it("refuses `visitors` and `never` where nothing can say that, and sends what nobody forbids", async () => {
      expect(await crawl(fake({ capabilities }))).toEqual([200, null, 1])
      expect(await crawl(of("unknown"))).toEqual([200, null, 1])
      for (const wake of ["visitors", "never"] as const)
        expect(await crawl(fake({ capabilities }), wake)).toEqual([500, "MACHINE_RECORD_INVALID", 0])
    })
  })
})

describe("who waits for a machine of which nothing is heard", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], loopLimit: 100_000 })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const clients: readonly (readonly [string, RequestInit, number, string])[] = [
    ["a page", { headers: navigation }, 1_200, "text/html; charset=utf-8"],
    ["a script", { headers: { "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin" } }, 1_000, "application/json"],
    [
      "a webhook that takes JSON",
      { method: "POST", headers: { accept: "application/json" } },
      1_000,
      "application/json",
    ],
    ["a form", { method: "POST", headers: navigation }, 5_000, "text/html; charset=utf-8"],
    [
      "an event stream",
      { headers: { accept: "text/event-stream", "sec-fetch-mode": "cors" } },
      5_000,
      "application/json",
    ],
    ["a program", { method: "POST" }, 5_000, "text/plain; charset=utf-8"],
  ]
  const hung: readonly (readonly [string, Parameters<typeof sleepers>[0]])[] = [
    ["resolve", { provider: { resolve: never } }],
    ["start", { provider: { start: never } }],
    ["status", { provider: { resolve: (of, given) => fake().resolve(of, given), status: never }, answer: never }],
  ]

  it.each(clients.flatMap(([who, ...rest]) => hung.map(([what, scene]) => [who, what, scene, ...rest] as const)))(
    "%s is told, though %s hangs",
    async (_who, _what, scene, init, ms, type) => {
      const probe = () => Promise.reject(new Error("refused"))
      const { ask } = sleepers({
        ...scene,
        options: { policies: [known], machines: { holdMs: 5_000, readinessProbe: probe } },
      })
      const began = Date.now()
      let tookMs: number | undefined
      const asked = ask(init).finally(() => (tookMs = Date.now() - began))
      await vi.advanceTimersByTimeAsync(6_000)
      expect(tookMs).toBe(ms)
      const response = await asked
      expect(codeOf(response)).toEqual([503, "MACHINE_STARTING"])
      expect(response.headers.get("content-type")).toBe(type)
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThanOrEqual(1)
    },
  )

  it("is bounded in number for each machine: the next ones hear at once", async () => {
    const { ask } = sleepers({ provider: { start: never }, options: { machines: { wakeQueue: 3 } } })
    const ended: number[] = []
    for (let at = 0; at < 10; at++) void ask({ method: "POST" }).then(({ status }) => ended.push(status))
    await vi.advanceTimersByTimeAsync(100)
    expect(ended).toEqual(Array.from({ length: 7 }, () => 503))
  })
})

describe("the page of a machine that starts", () => {
  const page = async (init: RequestInit = {}) => {
    const { ask } = sleepers({ provider: { start: never }, options: { machines: { pageAfterMs: 5, holdMs: 5 } } })
    const response = await ask({ headers: navigation, ...init })
    return { response, text: await response.text() }
  }

  it("shows a bar that moves, reloads without scripts, and may run its own script only", async () => {
    const { response, text } = await page()
    expect(text).toContain(`<progress aria-label="The machine of project misha is starting."></progress>`)
    expect(text).toContain(`<noscript><meta http-equiv="refresh" content="2"></noscript>`)
    expect(text).toContain("color-scheme:light dark")
    expect(response.headers.get("content-security-policy")).toMatch(
      /^default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-/,
    )
    expect(response.headers.get("cache-control")).toBe("no-store")
  })

  it("of a form does not reload, and shows no bar", async () => {
    const { text } = await page({ method: "POST", headers: navigation })
    expect(text).toContain("send the form again")
    expect(text).not.toMatch(/refresh|<progress|<script/)
  })

  it("can be replaced, and so can that of one that is not running", async () => {
    const made = () => ({ status: 503, headers: ["Content-Type", "text/html"], body: "<p>ours" })
    const errorResponses = { MachineStarting: made, MachineNotRunning: made }
    const { ask } = sleepers({
      provider: { start: never },
      options: { errorResponses, machines: { pageAfterMs: 5 } },
    })
    expect(await (await ask()).text()).toBe("<p>ours")
    expect(await (await ask({ headers: navigation })).text()).toBe("<p>ours")
  })

  it("of one that never comes up ends in one that says so and does not reload", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], loopLimit: 100_000 })
    try {
      const resolve = async () => {
        throw new MachineNotRunning({ provider: "fake", machine: "ext-mach_1", state: "failed" })
      }
      const events: string[] = []
      const { ask, starts } = sleepers({
        provider: { resolve },
        options: { onEvent: (event) => void (event.type === "request" && events.push(event.reason ?? "")) },
      })
      let last: Response
      let loads = 0
      do {
        loads++
        const asked = ask({ headers: navigation })
        await vi.advanceTimersByTimeAsync(2_000)
        last = await asked
      } while (last.status === 503 && loads < 100)
      expect(codeOf(last)).toEqual([502, "MACHINE_START_FAILED"])
      expect(starts).toHaveLength(3)
      expect(loads).toBeLessThan(60)
      const text = await last.text()
      expect(text).toContain("was started and did not respond")
      expect(text).not.toMatch(/refresh|<script/)
      expect(events.at(-1)).toContain("did not respond after 3 starts")
    } finally {
      vi.useRealTimers()
    }
  })
})

describe("machines that cannot be reached", () => {
  const failing = (error: Error) => setup({ providers: [fake({ resolve: () => Promise.reject(error) })] })
  const ref = { provider: "fake", machine: "ext-mach_1" }

  it.each([
    [failing(new MachineNotRunning({ ...ref, state: "archived" })), 503, "MACHINE_ARCHIVED", /Restore it/],
    [failing(new MachineNotRunning({ ...ref, state: "stopped" })), 503, "MACHINE_NOT_RUNNING", /Start it/],
    [setup({ providers: [] }), 500, "PROVIDER_NOT_CONFIGURED", /add its provider to the router/],
  ] as const)("say what to do", async ({ router }, status, code, text) => {
    const response = (await router.fetch(new Request("http://misha.iterate.app/", { headers: navigation })))!
    expect(codeOf(response)).toEqual([status, code])
    expect(await response.text()).toMatch(text)
  })
})

describe("onActivity", () => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"],
      now: 1_000_000,
    })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const heard = (answer?: () => Response, more: Parameters<typeof setup>[0] = {}) => {
    const seen: Activity[] = []
    const made = setup({
      ...(answer === undefined ? {} : { answer }),
      onActivity: (activity) => void seen.push(activity),
      ...more,
    })
    const ask = (host = "misha.iterate.app", context = {}) =>
      made.router.fetch(new Request(`http://${host}/`), context) as Promise<Response>
    return { ...made, seen, ask }
  }

  it("hears of a machine at most once in its interval, whichever port is asked for", async () => {
    const { ask, seen, routes } = heard()
    routes.attach("p:misha", { machine: machine("mach_1"), owner: "org_1" })
    routes.attach("p:banana", { machine: machine("mach_2") })
    for (const host of ["misha", "4096__misha", "banana", "misha"]) await (await ask(`${host}.iterate.app`)).text()
    const first = { machine: "mach_1", provider: "fake", externalId: "ext-mach_1", owner: "org_1" }
    const second = { machine: "mach_2", provider: "fake", externalId: "ext-mach_2" }
    const now = { port: 3000, at: 1_000_000, open: false }
    expect(seen).toEqual([
      { ...first, ...now },
      { ...second, ...now },
    ])
    await vi.advanceTimersByTimeAsync(60_000)
    await (await ask("4096__misha.iterate.app")).text()
    expect(seen[2]).toEqual({ ...first, port: 4096, at: 1_060_000, open: false })
  })

  it("hears of a stream as long as it is open, and no longer", async () => {
    const { promise: over, resolve: end } = Promise.withResolvers<void>()
    const stream = () =>
      stamped(
        new ReadableStream({
          start: (controller) => {
            controller.enqueue(new TextEncoder().encode("data: 1\n\n"))
            void over.then(() => controller.close())
          },
        }),
      )
    const { ask, seen } = heard(stream, { activityIntervalMs: 10_000 })
    const body = (await ask()).text()
    await vi.advanceTimersByTimeAsync(3 * 10_500)
    expect(seen.map(({ open }) => open)).toEqual([false, true, true, true])
    end()
    await body
    await vi.advanceTimersByTimeAsync(100_000)
    expect(seen).toHaveLength(4)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("may throw, reject and take its time: no response waits, and waitUntil does", async () => {
    for (const onActivity of [() => Promise.reject(new Error("no")), never, () => expect.fail("no")]) {
      const kept: Promise<unknown>[] = []
      const { ask } = heard(undefined, { onActivity })
      const waitUntil = (work: Promise<unknown>) => void kept.push(work)
      expect((await ask("misha.iterate.app", { waitUntil })).status).toBe(200)
      expect(kept).toHaveLength(1)
    }
  })

  it("hears nothing of a request that no machine got", async () => {
    const { ask, seen } = heard(undefined, { policies: [() => Promise.reject(new Error("no"))] })
    await ask()
    await ask("nobody.iterate.app")
    expect(seen).toEqual([])
  })
})

it("a navigation to several machines that all sleep gets the page within 2 s, and one that is up is found", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], loopLimit: 100_000 })
  try {
    const ask = async (up: readonly string[]) => {
      const { router, routes, starts } = sleepers({
        provider: {
          start: never,
          resolve: async ({ type, externalId }) => {
            if (up.includes(externalId)) return { origin: "http://up.test", epoch: "1", ttlMs: 0 }
            throw new MachineNotRunning({ provider: type, machine: externalId, state: "stopped" })
          },
        },
        options: { balancer },
      })
      const replicas = ["two", "three"].map((id) => machine(id))
      routes.attach("p:misha", { machine: machine("one"), replicas, balance: "round-robin" })
      const began = Date.now()
      const request = new Request("http://misha.iterate.app/", { headers: navigation })
      const asked = router.fetch(request).then((response) => [response!.status, Date.now() - began] as const)
      await vi.advanceTimersByTimeAsync(5_000)
      return { seen: await asked, starts }
    }
    const cold = await ask([])
    expect(cold.seen[0]).toBe(503)
    expect(cold.seen[1]).toBeLessThan(2_000)
    expect(cold.starts.length).toBeGreaterThan(1)
    expect((await ask(["ext-two", "ext-three"])).seen[0]).toBe(200)
  } finally {
    vi.useRealTimers()
  }
})
