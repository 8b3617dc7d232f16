import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
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
