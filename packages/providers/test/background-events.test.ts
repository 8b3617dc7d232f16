import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { SendFailure } from "@project-ingress/forward/fetch"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { MachineNotRunning, ProviderAuth, ProviderUnavailable } from "../src/contract/errors.ts"
import type { Machine, MachineChange, MachineProvider } from "../src/contract/machine-provider.ts"
import type { MachinesEvent } from "../src/machines/background-events.ts"
import { makeMachines } from "../src/machines/machines.ts"
import { taken } from "./taken.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], now: 1_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

const ref = (machine = "m1") => ({ provider: "fake", machine })
const machineOf = (externalId: string): Machine => ({
  id: `mach_${externalId}`,
  type: "fake",
  externalId,
  metadata: {},
})
const endpoint = { origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 3_600_000 }

const scene = (more: Partial<MachineProvider>, onEvent?: (event: MachinesEvent) => void) => {
  const events: MachinesEvent[] = []
  const provider: MachineProvider = {
    type: "fake",
    capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
    resolve: async () => endpoint,
    ...more,
  }
  const machines = makeMachines({ providers: [provider], onEvent: onEvent ?? ((event) => void events.push(event)) })
  const reach = (externalId = "m1", request = taken) =>
    Effect.runPromise(machines.reach(machineOf(externalId), 3000, request)).catch((error: unknown) => error)
  return { events, machines, reach }
}

describe("keepAlive", () => {
  it("is an event when it begins to fail and when it works again, once each, for each machine", async () => {
    let failing = true
    const { events, reach } = scene({
      keepAlive: async ({ externalId }) => {
        if (failing) throw new ProviderAuth(ref(externalId))
      },
    })
    const round = async (): Promise<void> => {
      await Promise.all([reach("m1"), reach("m1"), reach("m2")])
      await vi.advanceTimersByTimeAsync(45_000)
    }
    await round()
    await round()
    const common = { type: "provider", provider: "fake", operation: "keepAlive" }
    const reason = (machine: string) => new ProviderAuth(ref(machine)).message
    expect(events).toEqual([
      { ...common, machine: "m1", state: "failing", error: "ProviderAuth", reason: reason("m1") },
      { ...common, machine: "m2", state: "failing", error: "ProviderAuth", reason: reason("m2") },
    ])
    failing = false
    events.length = 0
    await round()
    await round()
    expect(events).toEqual([
      { ...common, machine: "m1", state: "recovered" },
      { ...common, machine: "m2", state: "recovered" },
    ])
  })

  it("that recovers is an event, however many machines of others fail", async () => {
    let failing = true
    const { events, reach } = scene({
      keepAlive: async ({ externalId }) => {
        if (failing || externalId.startsWith("other")) throw new ProviderAuth(ref(externalId))
      },
    })
    await reach("m1", { ...taken, owner: "a" })
    for (let i = 0; i < 10_001; i++) await reach(`other${i}`, { ...taken, owner: "b" })
    failing = false
    events.length = 0
    await vi.advanceTimersByTimeAsync(45_000)
    await reach("m1", { ...taken, owner: "a" })
    await vi.advanceTimersByTimeAsync(0)
    expect(events).toMatchObject([{ machine: "m1", state: "recovered" }])
  })

  it("that never ends is one, too", async () => {
    const { events, reach } = scene({ keepAlive: () => new Promise(() => {}) })
    await reach()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(events).toMatchObject([{ operation: "keepAlive", state: "failing", error: "ProviderUnavailable" }])
  })

  it("that always works is none", async () => {
    const { events, reach } = scene({ keepAlive: async () => {} })
    await reach()
    expect(events).toEqual([])
  })
})

/** What is reported once for each change of state. */
const work = (events: readonly MachinesEvent[]) => events.filter(({ type }) => type === "provider")

describe("a start", () => {
  it("for the next request is an event when it fails and when a later one works", async () => {
    let failing = true
    const { events, reach } = scene({
      status: async () => ({ state: "suspended", detail: "paused" }),
      start: async () => {
        if (failing) throw new ProviderUnavailable({ ...ref(), reason: "HTTP 500" })
        return endpoint
      },
    })
    // It may have had its effect, so that it is not sent again.
    const lost = { ...taken, send: () => Effect.fail(new SendFailure("timeout", "maybe")), replayable: () => false }
    for (const state of ["failing", "recovered"]) {
      for (let i = 0; i < 2; i++) {
        expect(await reach("m1", lost)).toMatchObject({ _tag: "MachineNotRunning" })
        // The default probe finds nobody there; after the grace that counts as started.
        await vi.advanceTimersByTimeAsync(60_000)
      }
      const error = failing ? { error: "ProviderUnavailable" } : {}
      expect(work(events)).toMatchObject([{ operation: "start", machine: "m1", state, ...error }])
      failing = false
      events.length = 0
    }
  })

  it("that a request waits for is the same event", async () => {
    const { events, reach } = scene({
      resolve: () => Promise.reject(new MachineNotRunning({ ...ref(), state: "stopped" })),
      start: () => Promise.reject(new ProviderAuth(ref())),
    })
    expect(await reach()).toMatchObject({ _tag: "ProviderAuth" })
    expect(await reach()).toMatchObject({ _tag: "ProviderAuth" })
    expect(work(events)).toMatchObject([{ operation: "start", state: "failing", error: "ProviderAuth" }])
  })

  it("is an event each time, with how long it took, once for all requests that waited", async () => {
    let running = false
    const { events, reach } = scene({
      resolve: async () => {
        if (running) return endpoint
        throw new MachineNotRunning({ ...ref(), state: "stopped" })
      },
      start: () =>
        new Promise((resolve) =>
          setTimeout(() => {
            running = true
            resolve(endpoint)
          }, 900),
        ),
    })
    const waiting = Promise.all([reach(), reach()])
    await vi.advanceTimersByTimeAsync(60_000)
    await waiting
    const [woken, ...more] = events.filter(({ type }) => type === "wake")
    expect(more).toEqual([])
    expect(woken).toMatchObject({ type: "wake", provider: "fake", machine: "m1", outcome: "ready" })
    expect(woken).toHaveProperty("durationMs", expect.closeTo(10_900, -4))
  })
})

describe("a watch", () => {
  /** A watch that fails until it works, and then reports what the test says. */
  const watched = () => {
    const control: { failing: boolean; report: ((change: MachineChange) => void) | undefined } = {
      failing: true,
      report: undefined,
    }
    const found = scene({
      async *watch({ signal }) {
        if (control.failing) throw new ProviderUnavailable({ ...ref("*"), reason: "ECONNREFUSED" })
        for (;;) {
          const next = await new Promise<MachineChange | undefined>((resolve) => {
            control.report = resolve
            signal.addEventListener("abort", () => resolve(undefined))
          })
          if (next === undefined) return
          yield next
        }
      },
    })
    const fiber = Effect.runFork(found.machines.watch)
    return { ...found, control, end: () => Effect.runPromise(Fiber.interrupt(fiber)) }
  }
  const failing = { provider: "fake", operation: "watch", state: "failing", error: "ProviderUnavailable" }
  const recovered = { type: "provider", provider: "fake", operation: "watch", state: "recovered" }

  it("that fails again and again is one event, and one more when a change arrives", async () => {
    const { events, control, end } = watched()
    await vi.advanceTimersByTimeAsync(300_000)
    expect(events).toMatchObject([failing])
    expect(events[0]).toHaveProperty("reason", expect.stringContaining("ECONNREFUSED"))
    control.failing = false
    await vi.advanceTimersByTimeAsync(38_000)
    control.report!({ externalId: "m1", state: "running" })
    await vi.advanceTimersByTimeAsync(0)
    expect(events).toMatchObject([failing, recovered])
    await end()
    expect(events).toHaveLength(2)
  })

  it("that has nothing to report counts as working after half a minute", async () => {
    const { events, control, end } = watched()
    await vi.advanceTimersByTimeAsync(500)
    control.failing = false
    await vi.advanceTimersByTimeAsync(1_000)
    await vi.advanceTimersByTimeAsync(28_000)
    expect(events).toMatchObject([failing])
    await vi.advanceTimersByTimeAsync(3_000)
    expect(events).toMatchObject([failing, recovered])
    await end()
    expect([events.length, vi.getTimerCount()]).toEqual([2, 0])
  })

  it("that ends by itself is failing, and one that is asked to end is not", async () => {
    const { events, machines } = scene({ async *watch() {} })
    const fiber = Effect.runFork(machines.watch)
    await vi.advanceTimersByTimeAsync(10)
    expect(events).toMatchObject([{ ...failing, reason: expect.stringContaining("the watch ended") }])
    await Effect.runPromise(Fiber.interrupt(fiber))
    const aborted = scene({
      // oxlint-disable-next-line require-yield -- it fails when it is asked to end, as a fetch does
      async *watch({ signal }) {
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
      },
    })
    const other = Effect.runFork(aborted.machines.watch)
    await vi.advanceTimersByTimeAsync(10)
    await Effect.runPromise(Fiber.interrupt(other))
    await vi.advanceTimersByTimeAsync(10)
    expect(aborted.events).toEqual([])
    const quiet = watched()
    quiet.control.failing = false
    await vi.advanceTimersByTimeAsync(10)
    await quiet.end()
    expect(quiet.events.filter((event) => "state" in event && event.state === "recovered")).toEqual([])
  })
})

describe("a listener that throws", () => {
  it("changes nothing", async () => {
    const { reach } = scene({ keepAlive: () => Promise.reject(new Error("no")) }, () => {
      throw new Error("the log is full")
    })
    expect(await reach()).toMatchObject({ status: 200 })
    await vi.advanceTimersByTimeAsync(1_000)
  })
})
