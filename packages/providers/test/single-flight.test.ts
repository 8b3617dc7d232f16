import * as Effect from "effect/Effect"
import { afterEach, describe, expect, it, vi } from "vitest"
import { MachineNotRunning } from "../src/contract/errors.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { makeMachines } from "../src/machines/machines.ts"
import { makeSingleFlight } from "../src/machines/single-flight.ts"
import { taken } from "./taken.ts"

const stay = new AbortController().signal

/** Blocks the event loop, as a long computation does, or a machine on which other processes run. */
const stall = (ms: number): void => {
  const until = performance.now() + ms
  while (performance.now() < until);
}
const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

describe.each([false, true])("a process that stalls (requests can end by themselves: %s)", (diesWithRequest) => {
  it("has its work done once, however long and often it stalls", async () => {
    const flight = makeSingleFlight<string>({ abortWhenAbandoned: false, diesWithRequest })
    let runs = 0
    const { promise, resolve } = Promise.withResolvers<string>()
    const run = () => {
      runs++
      return promise
    }
    const all = Array.from({ length: 20 }, () => flight.join("m", run, stay))
    for (const ms of [600, 20, 600]) {
      stall(ms)
      // One that comes before any timer could run finds the same work, although nothing was heard of it for long.
      all.push(flight.join("m", run, stay))
      await later(1)
    }
    await later(300)
    expect(runs).toBe(1)
    resolve("done")
    expect((await Promise.all(all)).filter(({ led }) => led)).toHaveLength(1)
  })
})

describe("a stalled process", () => {
  it("starts a machine once", async () => {
    const machine: Machine = { id: "mach_1", type: "fake", externalId: "m1", metadata: {} }
    const accepted = Promise.withResolvers<undefined>()
    let starts = 0
    let running = false
    const provider: MachineProvider = {
      type: "fake",
      capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
      resolve: async () => {
        if (!running) throw new MachineNotRunning({ provider: "fake", machine: "m1", state: "stopped" })
        return { origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 60_000 }
      },
      start: async () => {
        starts++
        await accepted.promise
        running = true
      },
    }
    const readinessProbe = async () => ({ status: 401, header: (name: string) => name })
    const machines = makeMachines({ providers: [provider], readinessProbe })
    const all = Array.from({ length: 20 }, () => Effect.runPromise(machines.reach(machine, 3000, taken)))
    await later(1)
    stall(700)
    all.push(Effect.runPromise(machines.reach(machine, 3000, taken)))
    await later(300)
    accepted.resolve(undefined)
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual(all.map(() => 200))
    expect(starts).toBe(1)
  })
})

describe("work that takes long", () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it("is never taken over where a promise always settles, and sets no timer", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] })
    const flight = makeSingleFlight<string>({ abortWhenAbandoned: true })
    let runs = 0
    const run = () => {
      runs++
      return new Promise<string>(() => {})
    }
    for (let i = 0; i < 5; i++) void flight.join("m", run, stay)
    expect(vi.getTimerCount()).toBe(0)
    await vi.advanceTimersByTimeAsync(3_600_000)
    void flight.join("m", run, stay)
    expect(runs).toBe(1)
    expect(flight.waiting("m")).toBe(6)
  })

  it("is taken over once for those who notice it after it is done", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] })
    const flight = makeSingleFlight<string>({ abortWhenAbandoned: true, diesWithRequest: true })
    const runs: ((value: string) => void)[] = []
    const run = () => new Promise<string>((resolve) => runs.push(resolve))
    const timers = vi.spyOn(globalThis, "setTimeout").mockReturnValue(0 as never)
    void flight.join("m", run, stay)
    timers.mockRestore()
    const early = flight.join("m", run, stay)
    await vi.advanceTimersByTimeAsync(240)
    const late = flight.join("m", run, stay)
    await vi.advanceTimersByTimeAsync(270)
    expect(runs).toHaveLength(2)
    runs[1]!("second")
    expect(await early).toEqual({ value: "second", led: true })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(runs).toHaveLength(2)
    expect(await late).toEqual({ value: "second", led: false })
    expect([vi.getTimerCount(), flight.size()]).toEqual([0, 0])
  })

  it("is taken over again when the one that took it over left", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] })
    const flight = makeSingleFlight<string>({ abortWhenAbandoned: true, diesWithRequest: true })
    const runs: { readonly signal: AbortSignal; readonly resolve: (value: string) => void }[] = []
    const run = (signal: AbortSignal) =>
      new Promise<string>((resolve, reject) => {
        runs.push({ signal, resolve })
        signal.addEventListener("abort", () => reject(signal.reason))
      })
    const timers = vi.spyOn(globalThis, "setTimeout").mockReturnValue(0 as never)
    void flight.join("m", run, stay)
    timers.mockRestore()
    const leaving = new AbortController()
    const early = flight.join("m", run, leaving.signal)
    await vi.advanceTimersByTimeAsync(240)
    const late = flight.join("m", run, stay)
    await vi.advanceTimersByTimeAsync(270)
    leaving.abort(new Error("left"))
    await expect(early).rejects.toThrow("left")
    expect(runs.map(({ signal }) => signal.aborted)).toEqual([false, true])
    await vi.advanceTimersByTimeAsync(500)
    expect(runs).toHaveLength(3)
    runs[2]!.resolve("third")
    expect(await late).toEqual({ value: "third", led: true })
  })

  it("is taken over, once, when its request ended without a word", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] })
    const flight = makeSingleFlight<string>({ abortWhenAbandoned: true, diesWithRequest: true })
    const runs: { readonly signal: AbortSignal; readonly resolve: (value: string) => void }[] = []
    const run = (signal: AbortSignal) => new Promise<string>((resolve) => runs.push({ signal, resolve }))
    // A request that ends takes its timers along.
    const timers = vi.spyOn(globalThis, "setTimeout").mockReturnValue(0 as never)
    void flight.join("m", run, stay)
    timers.mockRestore()
    const waiters = Array.from({ length: 10 }, () => flight.join("m", run, stay))
    await vi.advanceTimersByTimeAsync(10_000)
    expect(runs).toHaveLength(2)
    runs[1]!.resolve("second")
    expect((await Promise.all(waiters)).map(({ value }) => value)).toEqual(waiters.map(() => "second"))
    expect(vi.getTimerCount()).toBe(0)
  })
})
