/** Who would wake machines that are none of theirs, or keep others from waking theirs. */
import { MachineNotRunning } from "@project-ingress/providers"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { AccessDenied, LoginRequired } from "../../src/router.ts"
import type { PolicyInput } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { machine } from "../fakes.ts"
import { codeOf, navigation, sleepers } from "../waking/sleeper.ts"

const never = () => new Promise<never>(() => {})

describe("a stranger, whom a policy does not let in, wakes nothing", () => {
  const claims: readonly Record<string, string>[] = [
    navigation,
    { ...navigation, "sec-fetch-user": "?1", "sec-fetch-site": "same-origin" },
    { "sec-fetch-mode": "websocket", "sec-fetch-site": "same-origin" },
    { authorization: "Bearer aaaa", cookie: "__Host-session=aaaa" },
    { "x-iterate-proxy-wake": "any", "x-forwarded-for": "127.0.0.1" },
    { "x-http-method-override": "POST" },
  ]
  const policies: readonly (readonly [string, PolicyInput])[] = [
    ["denied", () => ({ deny: new AccessDenied() })],
    ["denied later", { name: "later", onRoute: async () => ({ deny: new AccessDenied({ hidden: true }) }) }],
    ["to sign in", () => ({ deny: new LoginRequired({ location: "https://iterate.app/login" }) })],
    ["failed", () => Promise.reject(new Error("down"))],
    ["redirected", () => ({ redirect: { status: 302, location: "/" } })],
    ["before the look-up", { name: "first", onRequest: () => ({ deny: new AccessDenied() }) }],
  ]
  it.each(policies)("%s", async (_, policy) => {
    const known: PolicyInput = { name: "known", onRoute: () => ({ visitor: { subject: "u", by: "test", id: "s" } }) }
    for (const order of [[policy], [known, policy]]) {
      const { ask, routes, starts, sent } = sleepers({ options: { policies: order } })
      for (const wake of ["any", "visitors"] as const) {
        routes.attach("p:misha", { machine: machine("mach_1"), wake })
        for (const method of ["GET", "HEAD", "POST", "OPTIONS"])
          for (const headers of claims) await ask({ method, headers, redirect: "manual" })
      }
      expect([starts, sent]).toEqual([[], []])
    }
  })

  it("of a port that is private and that nobody guards", async () => {
    const { ask, routes, starts } = sleepers()
    routes.attach("p:misha", { machine: machine("mach_1"), visibility: "private" })
    expect((await ask({ headers: navigation })).status).toBe(403)
    expect(starts).toEqual([])
  })
})

describe("what a browser sends by itself, and what a page of another site loads as a part of it, wakes nothing", () => {
  const unseen: readonly (readonly [string, RequestInit])[] = [
    ["a prefetch", { headers: { ...navigation, "sec-purpose": "prefetch" } }],
    ["a prerender", { headers: { ...navigation, "sec-purpose": "prefetch;prerender" } }],
    ["a prefetch by another's proxy", { headers: { ...navigation, "sec-purpose": "prefetch;anonymous-client-ip" } }],
    ["a prefetch of an older browser", { headers: { ...navigation, purpose: "prefetch" } }],
    [
      "a preflight",
      { method: "OPTIONS", headers: { origin: "https://evil.example", "access-control-request-method": "POST" } },
    ],
    ["a HEAD", { method: "HEAD", headers: { "sec-fetch-mode": "no-cors", "sec-fetch-site": "cross-site" } }],
    [
      "an image",
      { headers: { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image", "sec-fetch-site": "cross-site" } },
    ],
    ["a script's fetch", { headers: { "sec-fetch-mode": "cors", "sec-fetch-site": "cross-site" } }],
  ]
  it.each(unseen)("%s", async (_, init) => {
    const { ask, starts } = sleepers()
    expect(codeOf(await ask(init))).toEqual([503, "MACHINE_NOT_RUNNING"])
    expect(starts).toEqual([])
  })

  it("nor does a word that is not quite a navigation's", async () => {
    for (const mode of ["Navigate", "navigate, cors", "cors, navigate", "nested-navigate", "", "document"]) {
      const { ask, starts } = sleepers()
      await ask({ headers: { "sec-fetch-mode": mode, "sec-fetch-site": "cross-site", accept: "text/html" } })
      expect(starts, mode).toEqual([])
    }
  })

  it("but who forges a navigation is taken for a browser, unless only visitors wake", async () => {
    const { ask, starts, routes } = sleepers()
    routes.attach("p:misha", { machine: machine("mach_1"), wake: "visitors" })
    await ask({ headers: { ...navigation, "user-agent": "python-requests" } })
    expect(starts).toEqual([])
    routes.attach("p:misha", { machine: machine("mach_1") })
    await ask({ headers: { ...navigation, "user-agent": "python-requests" } })
    expect(starts).toEqual(["ext-mach_1"])
  })

  it("nor does a prefetch, though the visitor is known and everybody may wake", async () => {
    const known: PolicyInput = { name: "known", onRoute: () => ({ visitor: { subject: "u", by: "test", id: "s" } }) }
    for (const wake of ["any", "visitors"] as const) {
      const { ask, starts, routes } = sleepers({ options: { policies: [known] } })
      routes.attach("p:misha", { machine: machine("mach_1"), wake })
      await ask({ headers: { ...navigation, "sec-purpose": "prefetch" } })
      expect(starts).toEqual([])
    }
  })
})

describe("a flood", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], loopLimit: 10_000_000 })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it("of navigations to one machine starts it once, and each gets the page in time", async () => {
    const { ask, starts } = sleepers({ provider: { start: never } })
    const began = Date.now()
    const asked = Array.from({ length: 3_000 }, async () => {
      const response = await ask({ headers: navigation })
      return [response.status, Date.now() - began <= 1_200] as const
    })
    await vi.advanceTimersByTimeAsync(1_300)
    const seen = new Set((await Promise.all(asked)).map(String))
    expect([...seen]).toEqual(["503,true"])
    expect(starts).toEqual(["ext-mach_1"])
  })

  it("over ten thousand machines of one tenant starts a few at a time, calls the vendor a quarter of its limit, and no other tenant waits", async () => {
    const calls: string[] = []
    const store = memoryStore(
      Object.fromEntries(
        Array.from({ length: 10_000 }, (_, at) => [
          `p:evil-${at}`,
          { machine: machine(`mach_evil${at}`), owner: "org_evil" },
        ]),
      ),
    )
    store.attach("p:good", { machine: machine("mach_good"), owner: "org_good" })
    const up = new Set<string>()
    const { router, starts } = sleepers({
      provider: {
        resolve: async ({ type, externalId }) => {
          calls.push(externalId)
          if (up.has(externalId)) return { origin: "http://good.test", epoch: "1", ttlMs: 60_000 }
          throw new MachineNotRunning({ provider: type, machine: externalId, state: "stopped" })
        },
        start: ({ externalId }) => {
          calls.push(externalId)
          // The tenant's machines never come up.
          if (externalId !== "ext-mach_good") return never()
          up.add(externalId)
          return Promise.resolve()
        },
      },
      options: { store, machines: { callsPerMinute: 6_000 } },
    })
    const ask = (host: string) => router.fetch(new Request(`http://${host}.iterate.app/`, { headers: navigation }))
    const flood = Array.from({ length: 10_000 }, (_, at) => ask(`evil-${at}`))
    const good = ask("good")
    await vi.advanceTimersByTimeAsync(1_500)
    expect((await good)!.status).toBe(200)
    const evil = starts.filter((id) => id !== "ext-mach_good")
    expect(evil.length).toBeLessThanOrEqual(250)
    expect(evil.length).toBeGreaterThan(0)
    // A quarter of 6 000, and what was refilled in 1.5 s.
    expect(calls.filter((id) => id !== "ext-mach_good").length).toBeLessThanOrEqual(1_500 + 40)
    // Each of them had a response.
    const codes = new Set((await Promise.all(flood)).map((response) => codeOf(response!)[1]))
    expect(codes).toEqual(new Set(["MACHINE_STARTING", "PROVIDER_RATE_LIMITED"]))
  })

  it("of pages that reload, for a machine that never comes up, ends: three starts, then a page that stays", async () => {
    const { ask, starts } = sleepers({
      provider: {
        resolve: async ({ type, externalId }) => {
          throw new MachineNotRunning({ provider: type, machine: externalId, state: "failed" })
        },
      },
    })
    let over = 0
    for (let at = 0; at < 60; at++) {
      const asked = Array.from({ length: 20 }, () => ask({ headers: navigation }))
      await vi.advanceTimersByTimeAsync(2_000)
      const codes = (await Promise.all(asked)).map((response) => codeOf(response)[1])
      if (codes.every((code) => code === "MACHINE_START_FAILED")) over++
    }
    expect(starts).toHaveLength(3)
    expect(over).toBeGreaterThan(10)
  })

  it("of requests that are held is bounded for each machine, and leaves nothing behind", async () => {
    const { ask } = sleepers({
      provider: { start: never },
      options: { machines: { wakeQueue: 50, wakeTimeoutMs: 5_000 } },
    })
    const asked = Array.from({ length: 2_000 }, () => ask({ method: "POST", body: "x" }))
    await vi.advanceTimersByTimeAsync(10)
    let ended = 0
    for (const each of asked) void each.then(() => ended++)
    await vi.advanceTimersByTimeAsync(10)
    expect(ended).toBe(1_950)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(ended).toBe(2_000)
    expect(vi.getTimerCount()).toBe(0)
  })
})
