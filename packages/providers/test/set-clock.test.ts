import * as Effect from "effect/Effect"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { MachineNotRunning, machineRef } from "../src/contract/errors.ts"
import type { Endpoint, Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { makeMachines } from "../src/machines/machines.ts"
import { taken } from "./taken.ts"
import { platform } from "./vendor-calls.ts"

const HOUR = 3_600_000
const REAL = 500_000 * HOUR

// The wall clock is set and the monotonic one is not, as NTP does it to a process.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], now: REAL })
})
afterEach(() => {
  vi.useRealTimers()
})

describe.each([
  ["an hour ahead", HOUR],
  ["an hour behind", -HOUR],
])("a router whose clock was %s at its first request, and is corrected", (_, offset) => {
  it("serves every request, and uses no endpoint for longer than its time", async () => {
    vi.setSystemTime(REAL + offset)
    const { visit, callsOf } = platform()
    expect(await visit("tenant")).toBe(200)
    vi.setSystemTime(REAL)
    // An endpoint of `platform` may be used for 30 s.
    for (let second = 0; second < 29; second++) {
      vi.advanceTimersByTime(1_000)
      expect(await visit("tenant")).toBe(200)
    }
    expect(callsOf("tenant")).toBe(1)
    vi.advanceTimersByTime(1_001)
    expect(await visit("tenant")).toBe(200)
    expect(callsOf("tenant")).toBe(2)
  })

  it("uses credentials for as long as they had when they were given, and no hour more or less", async () => {
    vi.setSystemTime(REAL + offset)
    let calls = 0
    const provider: MachineProvider = {
      type: "fake",
      capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
      resolve: async (): Promise<Endpoint> => {
        calls++
        return { origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 24 * HOUR, expiresAt: Date.now() + HOUR }
      },
    }
    const machines = makeMachines({ providers: [provider] })
    const visit = () => Effect.runPromise(machines.reach(machine, 3000, taken))
    await visit()
    vi.setSystemTime(REAL)
    vi.advanceTimersByTime(HOUR - 30_001)
    await visit()
    expect(calls).toBe(1)
    vi.advanceTimersByTime(2)
    await visit()
    expect(calls).toBe(2)
  })

  it("waits for a machine that starts meanwhile", async () => {
    vi.setSystemTime(REAL + offset)
    let running = false
    const provider: MachineProvider = {
      type: "fake",
      capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
      resolve: async () => {
        if (!running) throw new MachineNotRunning({ ...machineRef(machine), state: "stopped" })
        return { origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 60_000 }
      },
      start: async () => {},
    }
    const readinessProbe = async () => ({ status: 401, header: (name: string) => name })
    const machines = makeMachines({ providers: [provider], readinessProbe })
    const visit = Effect.runPromise(machines.reach(machine, 3000, taken))
    await vi.advanceTimersByTimeAsync(5_000)
    vi.setSystemTime(REAL)
    await vi.advanceTimersByTimeAsync(5_000)
    running = true
    await vi.advanceTimersByTimeAsync(5_000)
    expect(await visit).toMatchObject({ status: 200 })
  })
})

const machine: Machine = { id: "mach_1", type: "fake", externalId: "m1", metadata: {} }
