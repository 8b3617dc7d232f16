import type { IncomingRequest } from "@project-ingress/forward/sockets"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { openAccess } from "../../src/hosts/open-access.ts"
import type { AccessCheck } from "../../src/program/check-access.ts"
import type { RouteToMachine } from "../../src/program/resolve-route.ts"
import type { VisitorRequest } from "../../src/program/sender.ts"
import type { RouterEvent, Visitor } from "../../src/router.ts"

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const ALLOWED: AccessCheck = { access: "allowed", generation: 1 }
const DENIED: AccessCheck = { access: "ended", reason: "denied" }

/** A host whose checks are counted, and which are as `verdict` says. */
const start = (verdict: (request: VisitorRequest) => AccessCheck | Promise<AccessCheck> = () => ALLOWED) => {
  const checks: VisitorRequest[] = []
  const events: RouterEvent[] = []
  const onWithdrawn = new Set<(sessions: readonly string[] | "all", machines: ReadonlySet<string>) => void>()
  const access = openAccess({
    checkAccess: async (request) => {
      checks.push(request)
      return verdict(request)
    },
    onWithdrawn,
    report: (event) => events.push(event),
  })
  return { access, checks, events, onWithdrawn }
}

const visit = (over: Partial<VisitorRequest> = {}): VisitorRequest => ({
  method: "GET",
  host: "misha.iterate.app",
  path: "/",
  headers: [],
  scheme: "https",
  upgrade: false,
  signal: new AbortController().signal,
  ...over,
})
const routeTo = (machine = "mach_1", generation = 1) =>
  ({ key: "p:misha", machine: { id: machine }, port: 3000, record: { generation } }) as never as RouteToMachine
const anna: Visitor = { subject: "anna", by: "session", id: "s-anna" }

/** An open request; `ended` says whether access ended it. */
const openRequest = () => {
  const listeners: (() => void)[] = []
  let ended = false
  const over = () => {
    for (const listener of listeners.splice(0)) listener()
  }
  const request = {
    withdrawal: () => () => {
      ended = true
      over()
    },
    onOver: (listener: () => void) => void listeners.push(listener),
  } as never as IncomingRequest
  return { request, over, ended: () => ended }
}

type Access = ReturnType<typeof openAccess>
const open = (access: Access, { visitor = anna, route = routeTo(), request = visit() } = {}) => {
  const opened = openRequest()
  access.watch({ request: opened.request, visit: request, visitor, route })
  return opened
}

describe("what is open of a visitor", () => {
  it("is checked once in 3 to 4 s, however much it is", async () => {
    const { access, checks } = start()
    for (let i = 0; i < 10_000; i++) open(access)
    await vi.advanceTimersByTimeAsync(2_790)
    expect(checks).toHaveLength(0)
    await vi.advanceTimersByTimeAsync(57_210)
    expect(checks.length).toBeGreaterThanOrEqual(13)
    expect(checks.length).toBeLessThanOrEqual(22)
  })

  it("ends within 5 s of a denial, whenever it was opened, and nobody else's does", async () => {
    const denied = new Set<string>()
    const { access, events } = start(({ headers }) => (denied.has(headers[1]!) ? DENIED : ALLOWED))
    const by = (subject: string) =>
      open(access, {
        visitor: { ...anna, subject, id: `s-${subject}` },
        request: visit({ headers: ["x-user", subject] }),
      })
    const all = Array.from({ length: 500 }, (_, at) => by(`user-${at}`))
    await vi.advanceTimersByTimeAsync(9_876)
    for (let at = 0; at < 500; at += 2) denied.add(`user-${at}`)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(all.every(({ ended }, at) => ended() === (at % 2 === 0))).toBe(true)
    expect(events).toHaveLength(250)
  })

  it("ends when the credential does, and at a new generation", async () => {
    let generation = 1
    const { access, events } = start(() => ({ access: "allowed", generation }))
    const first = open(access, { visitor: { ...anna, expiresAt: Date.now() + 1_000 } })
    const second = open(access)
    await vi.advanceTimersByTimeAsync(990)
    expect(first.ended()).toBe(false)
    await vi.advanceTimersByTimeAsync(300)
    expect([first.ended(), second.ended()]).toEqual([true, false])
    generation = 2
    await vi.advanceTimersByTimeAsync(5_000)
    expect(second.ended()).toBe(true)
    expect(events).toMatchObject([{ reason: "expired" }, { reason: "generation" }])
    // What was let in under the new one stays.
    const third = open(access, { route: routeTo("mach_1", 2) })
    await vi.advanceTimersByTimeAsync(20_000)
    expect(third.ended()).toBe(false)
  })

  it("stays while nobody can tell, for a minute", async () => {
    let works = true
    const { access, events } = start(() => {
      if (works) return ALLOWED
      throw new Error("the database is down")
    })
    const one = open(access)
    await vi.advanceTimersByTimeAsync(10_000)
    works = false
    await vi.advanceTimersByTimeAsync(50_000)
    expect(one.ended()).toBe(false)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(one.ended()).toBe(true)
    expect(events).toMatchObject([{ reason: "unknown", count: 1 }])
  })

  it("is checked again after a check that hangs, whose signal ends", async () => {
    const { access, checks } = start(
      ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error))),
    )
    const one = open(access)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(checks.length).toBeGreaterThanOrEqual(2)
    expect([checks.length <= 3, one.ended()]).toEqual([true, false])
  })

  it("is checked at most 256 at a time, each in its turn", async () => {
    let at = 0
    let most = 0
    const { access, checks } = start(async () => {
      most = Math.max(most, ++at)
      await new Promise((resolve) => setTimeout(resolve, 10))
      at--
      return ALLOWED
    })
    for (let i = 0; i < 1_000; i++) open(access, { visitor: { ...anna, id: `s-${i}` } })
    await vi.advanceTimersByTimeAsync(5_000)
    expect([most, checks.length]).toEqual([256, 1_000])
  })

  it("holds nothing once it is over: no timer, no check", async () => {
    const { access, checks } = start()
    const requests = [open(access), open(access)]
    await vi.advanceTimersByTimeAsync(300)
    // One that is over before the first tick costs no more than that.
    const short = open(access)
    short.over()
    for (const { over } of requests) over()
    await vi.advanceTimersByTimeAsync(500)
    expect(vi.getTimerCount()).toBe(0)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(checks).toHaveLength(0)
  })

  it("is decided about apart for another hostname, client, machine and credential", async () => {
    const { access, checks } = start()
    open(access)
    open(access, { request: visit({ host: "4096__misha.iterate.app" }) })
    open(access, { request: visit({ clientAddress: "192.0.2.1" }) })
    open(access, { route: routeTo("mach_2") })
    open(access, { visitor: { ...anna, id: "s-other" } })
    open(access, { visitor: { ...anna, subject: "ann" } })
    await vi.advanceTimersByTimeAsync(4_000)
    expect(checks).toHaveLength(6)
  })

  it("ends at once by `withdraw`, in the machines that it concerns", () => {
    const { access, onWithdrawn, events } = start()
    const [one, elsewhere] = [open(access), open(access, { route: routeTo("mach_2") })]
    const other = open(access, { visitor: { ...anna, id: "s-other" } })
    for (const end of onWithdrawn) end(["s-anna"], new Set(["mach_1"]))
    expect([one.ended(), elsewhere.ended(), other.ended()]).toEqual([true, false, false])
    for (const end of onWithdrawn) end("all", new Set(["mach_1"]))
    expect([elsewhere.ended(), other.ended()]).toEqual([false, true])
    expect(events).toMatchObject([{ reason: "session" }, { reason: "session" }])
  })
})
