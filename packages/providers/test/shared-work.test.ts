import { SendFailure } from "@project-ingress/forward/fetch"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import {
  MachineNotFound,
  MachineNotRunning,
  machineRef,
  ProviderAuth,
  ProviderRateLimited,
  ProviderUnavailable,
} from "../src/contract/errors.ts"
import type { Machine } from "../src/contract/machine-provider.ts"
import { attacks, platform } from "./vendor-calls.ts"
import type { Cost } from "./vendor-calls.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], now: 1_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

/** Runs an attack at one moment: no time passes, so nothing that a second would renew is renewed. */
const at = async (name: keyof typeof attacks): Promise<Cost> => {
  const cost = await attacks[name]!()
  expect(cost.neighbour.served).toBe(cost.neighbour.requests)
  // A machine that was in use before stays known.
  expect(cost.neighbour.calls).toBe(cost.neighbour.firstVisits)
  return cost
}

describe("endpoints without the port", () => {
  it("2 000 ports of one machine cost one call", async () => {
    expect(await at("2 000 ports of one machine")).toMatchObject({ calls: 1 })
  })

  it("20 ports of one machine at once cost one call", async () => {
    const { visit, callsOf } = platform()
    const all = await Promise.all(Array.from({ length: 20 }, (_, port) => visit("mallory", { port: port + 1 })))
    expect(all).toEqual(Array.from({ length: 20 }, () => 200))
    expect(callsOf("mallory")).toBe(1)
  })
})

describe("tables that all owners share", () => {
  it("keep what others use, however many ports of one project are asked for", async () => {
    expect(await at("20 000 ports of one project, twice what a table holds")).toMatchObject({ calls: 1 })
  })

  it("keep what others use, however many machines one project has", async () => {
    expect(await at("20 000 machines of one project, twice what a table holds")).toMatchObject({ requests: 20_000 })
  })
})

describe("failures are kept for a moment", () => {
  it.each([
    ["a deleted machine", 1],
    ["a refused start", 2],
    ["a 429 of the vendor's API with retry-after: 60", 1],
    ["a 401 of the vendor's API", 1],
  ])("%s costs no more calls for 1 000 requests than for one", async (name, calls) => {
    expect(await at(name)).toMatchObject({ requests: 1_000, calls })
  })

  it.each<[string, number, (machine: Machine) => Error]>([
    ["a vendor's failure", 500, (machine) => new ProviderUnavailable({ ...machineRef(machine), reason: "HTTP 500" })],
    ["a stopped machine", 1_000, (machine) => new MachineNotRunning({ ...machineRef(machine), state: "stopped" })],
    ["a deleted machine", 5_000, (machine) => new MachineNotFound(machineRef(machine))],
    ["a rejected credential", 10_000, (machine) => new ProviderAuth(machineRef(machine))],
  ])("%s for %i ms, or up to a quarter less", async (_, ms, failure) => {
    let failing = true
    const { visit, callsOf } = platform({ resolve: (machine) => (failing ? failure(machine) : undefined) })
    expect(await visit("mallory")).not.toBe(200)
    failing = false
    vi.advanceTimersByTime(ms * 0.75 - 1)
    expect(await visit("mallory")).not.toBe(200)
    expect(callsOf("mallory")).toBe(1)
    vi.advanceTimersByTime(ms * 0.25 + 2)
    expect(await visit("mallory")).toBe(200)
  })

  it("a 429 for at least as long as the vendor says, and the visitor hears how long that still is", async () => {
    const limited = (machine: Machine) => new ProviderRateLimited({ ...machineRef(machine), retryAfterMs: 60_000 })
    const { visit, callsOf, failureOf } = platform({ resolve: limited })
    await visit("mallory")
    vi.advanceTimersByTime(59_000)
    const { retryAfterMs } = (await failureOf("mallory")) as ProviderRateLimited
    expect(retryAfterMs).toBeGreaterThanOrEqual(1_000)
    expect(retryAfterMs).toBeLessThanOrEqual(16_000)
    expect(callsOf("mallory")).toBe(1)
    vi.advanceTimersByTime(16_001)
    await visit("mallory")
    expect(callsOf("mallory")).toBe(2)
  })

  it("but not where the client left before the vendor responded", async () => {
    const { promise: until, resolve } = Promise.withResolvers<void>()
    const { visit, callsOf } = platform({ until })
    const leaving = new AbortController()
    const left = visit("mallory", { signal: leaving.signal }).catch(() => "left")
    await vi.advanceTimersByTimeAsync(1)
    leaving.abort()
    expect(await left).toBe("left")
    resolve()
    expect(await visit("mallory")).toBe(200)
    expect(callsOf("mallory")).toBe(2)
  })
})

describe("the failures of one machine", () => {
  it("cost ten calls at once and one more a second, if it answers a stamped 421 forever", async () => {
    expect(await at("a machine that answers a stamped 421 forever")).toMatchObject({ requests: 1_000, calls: 11 })
    const { visit, callsOf } = platform({ reply: { status: 421, error: "MACHINE_MISMATCH" } })
    for (let i = 0; i < 100; i++) expect(await visit("mallory")).toBe("MachineMismatch")
    vi.advanceTimersByTime(3_000)
    for (let i = 0; i < 100; i++) expect(await visit("mallory")).toBe("MachineMismatch")
    expect(callsOf("mallory")).toBe(11 + 3)
  })

  it("cost as much if its proxy refuses every connection, and keep their meaning", async () => {
    const { visit, callsOf } = platform({ reply: new SendFailure("refused", "no") })
    for (let i = 0; i < 1_000; i++) expect(await visit("mallory")).toBe("PortClosed")
    expect(callsOf("mallory")).toBe(11)
  })

  it("do not keep a machine that moved from being found", async () => {
    let moved = false
    const { visit } = platform({
      originOf: (machine) => `http://${machine.externalId}.${moved ? "new" : "old"}`,
      replyOf: (origin) =>
        moved && origin.endsWith("old") ? { status: 421, error: "MACHINE_MISMATCH" } : { status: 200 },
    })
    await visit("mallory")
    moved = true
    expect(await Promise.all(Array.from({ length: 100 }, () => visit("mallory")))).toEqual(
      Array.from({ length: 100 }, () => 200),
    )
  })
})

describe("one owner and the vendor", () => {
  it("6 000 requests to one project, at a vendor that allows 10 000 calls, leave the calls to others", async () => {
    const cost = await at("6 000 requests to one project, at a vendor that allows 10 000 calls")
    expect(cost).toMatchObject({ requests: 6_000, calls: 11 })
  })

  it("thousands of machines of one owner use a quarter of the calls", async () => {
    const { visit, callsOf } = platform({ options: { callsPerMinute: 100 } })
    for (let machine = 0; machine < 1_000; machine++) await visit("mallory", { machine: String(machine) })
    expect(callsOf("mallory")).toBe(25)
    expect(await visit("mallory", { machine: "last" })).toBe("ProviderRateLimited")
    expect(await visit("neighbour")).toBe(200)
    vi.advanceTimersByTime(60_000 / 25)
    expect(await visit("mallory", { machine: "last" })).toBe(200)
  })
})

describe("a circuit for the vendor", () => {
  const tenants = Array.from({ length: 100 }, (_, at) => `tenant${at}`)

  it("that limits the rate is opened by three owners in a row, for as long as the vendor says", async () => {
    const { visit, refused } = platform({ quota: 1 })
    await visit("tenant0")
    for (const tenant of tenants.slice(1)) expect(await visit(tenant)).toBe("ProviderRateLimited")
    expect(refused()).toBe(3)
    vi.advanceTimersByTime(59_000)
    for (const tenant of tenants.slice(1)) await visit(tenant)
    expect(refused()).toBe(3)
    // Then one call finds out.
    vi.advanceTimersByTime(17_000)
    await Promise.all(tenants.slice(4).map((tenant) => visit(tenant)))
    expect(refused()).toBe(4)
  })

  it("is opened for one owner alone by three machines of it that the vendor limits", async () => {
    const limited = (machine: Machine) => new ProviderRateLimited({ ...machineRef(machine), retryAfterMs: 60_000 })
    const { visit, callsOf } = platform({ resolve: limited })
    for (let machine = 0; machine < 100; machine++) {
      expect(await visit("mallory", { machine: String(machine) })).toBe("ProviderRateLimited")
    }
    expect(callsOf("mallory")).toBe(3)
    for (const tenant of tenants) expect(await visit(tenant)).toBe(200)
  })

  it("closes when a call succeeds", async () => {
    let limited = true
    const { visit } = platform({
      everywhere: (machine) =>
        limited ? new ProviderRateLimited({ ...machineRef(machine), retryAfterMs: 1_000 }) : undefined,
    })
    for (const tenant of tenants) expect(await visit(tenant)).toBe("ProviderRateLimited")
    limited = false
    vi.advanceTimersByTime(1_251)
    expect(await visit("tenant0")).toBe(200)
    for (const tenant of tenants) expect(await visit(tenant)).toBe(200)
  })

  it("is not opened by one owner whose machines the credential cannot reach", async () => {
    const { visit, callsOf } = platform({ resolve: (machine) => new ProviderAuth(machineRef(machine)) })
    for (let machine = 0; machine < 100; machine++) await visit("mallory", { machine: String(machine) })
    expect(callsOf("mallory")).toBe(100)
    expect(await visit("neighbour")).toBe(200)
  })

  it("is not kept open by an owner who has used up its calls", async () => {
    let failing = false
    const { visit, callsOf } = platform({
      options: { callsPerMinute: 8 },
      everywhere: (machine) => (failing ? new ProviderAuth(machineRef(machine)) : undefined),
    })
    for (let machine = 0; machine < 20; machine++) await visit("mallory", { machine: String(machine) })
    expect(callsOf("mallory")).toBe(2)
    failing = true
    for (const tenant of tenants.slice(0, 3)) await visit(tenant)
    failing = false
    expect(await visit("neighbour")).toBe("ProviderAuth")
    vi.advanceTimersByTime(10_001)
    expect(await visit("mallory", { machine: "more" })).toBe("ProviderRateLimited")
    expect(await visit("neighbour")).toBe(200)
  })

  it("is not kept open by an owner whose own machines are refused", async () => {
    let failing = true
    const { visit, callsOf } = platform({
      everywhere: (machine) => (failing ? new ProviderAuth(machineRef(machine)) : undefined),
      resolve: (machine) => new ProviderAuth(machineRef(machine)),
    })
    for (const tenant of tenants.slice(0, 3)) await visit(tenant)
    failing = false
    vi.advanceTimersByTime(10_001)
    expect(await visit("mallory")).toBe("ProviderAuth")
    expect(callsOf("mallory")).toBe(1)
    vi.advanceTimersByTime(10_001)
    expect(await visit("mallory")).toBe("ProviderAuth")
    expect(callsOf("mallory")).toBe(1)
    expect(await visit("neighbour")).toBe(200)
  })

  it("leaves endpoints that are known in use, while it is open", async () => {
    let failing = false
    const { visit, callsOf } = platform({
      everywhere: (machine) => (failing ? new ProviderAuth(machineRef(machine)) : undefined),
    })
    for (const tenant of tenants) await visit(tenant)
    failing = true
    vi.advanceTimersByTime(31_000)
    for (const tenant of tenants) expect(await visit(tenant)).toBe(200)
    expect(callsOf("tenant")).toBe(100 + 3)
    expect(await visit("unknown")).toBe("ProviderAuth")
    vi.advanceTimersByTime(10 * 60_000)
    expect(await visit("tenant0")).toBe("ProviderAuth")
  })
})
