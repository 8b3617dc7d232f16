/** `rateLimit` in the process: floods, names without end, clocks. */
import { describe, expect, it, onTestFinished, vi } from "vitest"
import { rateLimit } from "../../src/policies.ts"
import { makeTokenBuckets } from "../../src/policies/token-buckets.ts"
import { AccessDenied } from "../../src/router.ts"
import { machine } from "../fakes.ts"
import { toMachine, visits } from "./visit.ts"

const heldClock = (): ((ms: number) => void) => {
  vi.useFakeTimers({ toFake: ["performance", "Date"] })
  onTestFinished(() => void vi.useRealTimers())
  return (ms) => void vi.advanceTimersByTime(ms)
}

/** A router whose client is what the field `x-client` says. */
const limited = (options: Parameters<typeof rateLimit>[0], routes?: Parameters<typeof visits>[1]) => {
  const made = visits([rateLimit(options)], routes, { clientAddress: (request) => request.headers.get("x-client") })
  const from = async (client: string, host = "misha.iterate.app") => {
    const { code, status, response } = await made.visit(`https://${host}/`, { headers: { "x-client": client } })
    return [status, code, response.headers.get("retry-after")].filter((each) => each !== null).join(" ")
  }
  return { ...made, from }
}

describe("a client", () => {
  it("has its burst at once and its rate in the long run; the others lose nothing", async () => {
    const advance = heldClock()
    const { from, resolved } = limited({ key: "client", burst: 3, perSecond: 0.5 })
    const three = [await from("192.0.2.1"), await from("192.0.2.1"), await from("192.0.2.1")]
    expect(three).toEqual(["200", "200", "200"])
    expect(await from("192.0.2.1")).toBe("429 RATE_LIMITED 2")
    expect(resolved()).toBe(3)
    expect(await from("192.0.2.2")).toBe("200")
    advance(1_000)
    expect(await from("192.0.2.1")).toBe("429 RATE_LIMITED 1")
    advance(1_000)
    expect([await from("192.0.2.1"), await from("192.0.2.1")]).toEqual(["200", "429 RATE_LIMITED 2"])
    advance(3_600_000)
    expect([
      await from("192.0.2.1"),
      await from("192.0.2.1"),
      await from("192.0.2.1"),
      await from("192.0.2.1"),
    ]).toEqual(["200", "200", "200", "429 RATE_LIMITED 2"])
  })

  it("is its /64, however many addresses it has, and one with all that are unknown", async () => {
    heldClock()
    const { from } = limited({ key: "client", burst: 1, perSecond: 1 })
    expect([await from("2001:db8:1:2::7"), await from("2001:db8:1:2:ffff::1")]).toEqual(["200", "429 RATE_LIMITED 1"])
    expect([await from("2001:db8:1:3::7"), await from("::ffff:192.0.2.1"), await from("192.0.2.1")]).toEqual([
      "200",
      "200",
      "429 RATE_LIMITED 1",
    ])
    expect([await from("unknown"), await from("fe80::x")]).toEqual(["200", "429 RATE_LIMITED 1"])
  })

  it("is limited before the look-up: names without end cost nothing", async () => {
    heldClock()
    const { from } = limited({ key: "client", burst: 1, perSecond: 1 })
    expect([await from("192.0.2.1", "a.iterate.app"), await from("192.0.2.1", "b.iterate.app")]).toEqual([
      "404 ROUTE_NOT_FOUND",
      "429 RATE_LIMITED 1",
    ])
  })
})

describe("a project, a machine", () => {
  const routes = {
    "p:misha": toMachine({ owner: "org_1" }),
    "p:second": toMachine({ owner: "org_1", machine: machine("mach_2") }),
    "p:shared": toMachine({ owner: "org_2" }),
    // An owner that is named as another's machine or project.
    "p:evil": toMachine({ owner: "mach_1", machine: machine("mach_3") }),
    "d:www.example.com": toMachine({ owner: "org_1" }),
  }
  it("is one under every name, whoever asks", async () => {
    heldClock()
    const { from } = limited({ key: "project", burst: 2, perSecond: 1 }, routes)
    expect([await from("192.0.2.1", "misha.iterate.app"), await from("192.0.2.2", "4096.www.example.com")]).toEqual([
      "200",
      "200",
    ])
    for (const host of ["8080__misha.iterate.app", "second.iterate.app", "www.example.com"])
      expect(await from("192.0.2.3", host)).toBe("429 RATE_LIMITED 1")
    expect([await from("192.0.2.1", "shared.iterate.app"), await from("192.0.2.1", "evil.iterate.app")]).toEqual([
      "200",
      "200",
    ])
  })

  it("is one whoever leads there", async () => {
    heldClock()
    const { from } = limited({ key: "machine", burst: 1, perSecond: 1 }, routes)
    expect([await from("192.0.2.1", "misha.iterate.app"), await from("192.0.2.2", "shared.iterate.app")]).toEqual([
      "200",
      "429 RATE_LIMITED 1",
    ])
    expect(await from("192.0.2.1", "second.iterate.app")).toBe("200")
  })

  it("loses nothing by requests that an earlier policy refuses", async () => {
    heldClock()
    const members = ({ header }: { header: (name: string) => string | undefined }) =>
      header("x-visitor") === undefined ? { deny: new AccessDenied() } : undefined
    const { visit } = visits([members, rateLimit({ key: "project", burst: 1, perSecond: 1 })], routes)
    for (let i = 0; i < 5; i++) expect((await visit("https://misha.iterate.app/")).status).toBe(403)
    expect((await visit("https://misha.iterate.app/", { headers: { "x-visitor": "anna" } })).status).toBe(200)
  })
})

describe("the buckets", () => {
  it("are bounded, and who comes under many names loses its own", () => {
    const { take } = makeTokenBuckets(1, 0.001, () => 0)
    expect(take({ key: "victim", share: "victim" })).toBe(0)
    for (let at = 0; at < 50_000; at++) take({ key: `${at}`, share: "flood" })
    expect(take({ key: "victim", share: "victim" })).toBeGreaterThan(0)
    expect(take({ key: "0", share: "flood" })).toBe(0)
  })

  it("of a clock that stands still fill up no further, and hold no more than the burst", () => {
    let now = 5
    const { take } = makeTokenBuckets(2, 10, () => now)
    const of = { key: "a", share: "a" }
    expect([take(of), take(of)]).toEqual([0, 0])
    expect(take(of)).toBe(100)
    expect(take(of)).toBe(100)
    now += 50
    expect(Math.round(take(of))).toBe(50)
    now += 1e9
    expect([take(of), take(of), take(of) > 0]).toEqual([0, 0, true])
  })
})

it("checks its options", () => {
  expect(() => rateLimit({ key: "client", burst: 0, perSecond: 1 })).toThrow(
    "rateLimit: burst must be an integer from 1 up",
  )
  expect(() => rateLimit({ key: "client", burst: 1, perSecond: 0 })).toThrow(
    "rateLimit: perSecond must be a number from 0.001 up",
  )
  // @ts-expect-error no rate
  expect(() => rateLimit({ key: "client" })).toThrow("rateLimit: burst must be an integer")
  const binding = { limit: async () => ({ success: true }) }
  // @ts-expect-error two ways to count
  expect(() => rateLimit({ key: "client", binding, burst: 1 })).toThrow("rateLimit: burst is not an option")
  // @ts-expect-error nothing
  expect(() => rateLimit()).toThrow("rateLimit: options must be an object")
})
