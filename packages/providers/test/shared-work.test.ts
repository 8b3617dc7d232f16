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

describe("failures are kept for a moment", () => {
  it.each([
    ["a deleted machine", 1],
    ["a refused start", 2],
    ["a 429 of the vendor's API with retry-after: 60", 1],
    ["a 401 of the vendor's API", 1],
  ])("%s costs no more calls for 1 000 requests than for one", async (name, calls) => {
    expect(await at(name)).toMatchObject({ requests: 1_000, calls })
  })

  const kept = async (resolve: (machine: Machine) => Error, ms: number): Promise<void> => {
    let failing = true
    const { visit, callsOf } = platform({ resolve: (machine) => (failing ? resolve(machine) : undefined) })
    expect(await visit("mallory")).not.toBe(200)
    failing = false
    vi.advanceTimersByTime(ms * 0.75 - 1)
    expect(await visit("mallory")).not.toBe(200)
    expect(callsOf("mallory")).toBe(1)
    vi.advanceTimersByTime(ms * 0.5 + 2)
    expect(await visit("mallory")).toBe(200)
  }

  it("a vendor's failure for half a second, a wrong credential for ten", async () => {
    await kept((machine) => new ProviderUnavailable({ ...machineRef(machine), reason: "HTTP 500" }), 500)
    await kept((machine) => new MachineNotRunning({ ...machineRef(machine), state: "stopped" }), 1_000)
    await kept((machine) => new MachineNotFound(machineRef(machine)), 5_000)
    await kept((machine) => new ProviderAuth(machineRef(machine)), 10_000)
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
