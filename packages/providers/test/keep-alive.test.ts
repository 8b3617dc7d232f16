import * as Effect from "effect/Effect"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { makeMachines } from "../src/machines/machines.ts"
import type { AttemptRequest } from "../src/machines/attempt-request.ts"
import { taken } from "./taken.ts"

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"],
    now: 1_000_000,
  })
})
afterEach(() => {
  vi.useRealTimers()
})

const machineOf = (externalId: string): Machine => ({
  id: `mach_${externalId}`,
  type: "fake",
  externalId,
  metadata: {},
})

/** A provider that is told, and requests that its machines answer. */
const scene = (keepAlive: NonNullable<MachineProvider["keepAlive"]> = () => Promise.resolve()) => {
  const told: string[] = []
  const provider: MachineProvider = {
    type: "fake",
    capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
    resolve: async () => ({ origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 60_000 }),
    keepAlive: (machine, options) => {
      told.push(machine.externalId)
      return keepAlive(machine, options)
    },
  }
  const machines = makeMachines({ providers: [provider], resolveTimeoutMs: 1_000 })
  const reach = (externalId = "m1", more: Partial<AttemptRequest<number>> = {}, port = 3000): Promise<number> =>
    Effect.runPromise(machines.reach(machineOf(externalId), port, { ...taken, ...more })).then(
      ({ response }) => response,
    )
  return { told, reach }
}

describe("a provider with keepAlive", () => {
  it("is told that a machine is in use when it answers, at most every 45 s for each", async () => {
    const { told, reach } = scene()
    await Promise.all([reach(), reach(), reach("m1", {}, 4096), reach("m2")])
    expect(told).toEqual(["m1", "m2"])
    vi.advanceTimersByTime(44_999)
    await reach()
    expect(told).toHaveLength(2)
    vi.advanceTimersByTime(1)
    await reach()
    expect(told).toEqual(["m1", "m2", "m1"])
  })

  it("is told as long as an answer is open, and no longer", async () => {
    const { told, reach } = scene()
    const { promise, resolve: end } = Promise.withResolvers<undefined>()
    await reach("m1", { closed: () => promise })
    vi.advanceTimersByTime(3 * 45_500)
    expect(told).toHaveLength(4)
    end(undefined)
    await vi.advanceTimersByTimeAsync(1_000_000)
    expect(told).toHaveLength(4)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("is told once for a hundred open answers, also when one of them broke", async () => {
    const { told, reach } = scene()
    const ends: ((reason: unknown) => void)[] = []
    const over = () => new Promise((_, reject) => ends.push(reject))
    await Promise.all(Array.from({ length: 100 }, () => reach("m1", { closed: over })))
    vi.advanceTimersByTime(45_500)
    expect(told).toHaveLength(2)
    for (const end of ends) end(new Error("broken"))
    await vi.advanceTimersByTimeAsync(45_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  it.each([
    ["fails", () => Promise.reject(new Error("no"))],
    [
      "throws",
      () => {
        throw new Error("no")
      },
    ],
    ["never answers", () => new Promise<never>(() => {})],
  ])("changes no answer when it %s", async (_, keepAlive) => {
    const { told, reach } = scene(keepAlive)
    expect(await reach()).toBe(200)
    await vi.advanceTimersByTimeAsync(45_000)
    expect(await reach()).toBe(200)
    expect(told).toHaveLength(2)
  })

  it("is waited for by the request's own waitUntil, which ends when it gives up", async () => {
    const { reach } = scene(() => new Promise<never>(() => {}))
    const kept: Promise<unknown>[] = []
    await reach("m1", { waitUntil: (work) => kept.push(work) })
    expect(kept).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await kept[0]).toBeUndefined()
  })

  it("is not told of a machine that did not answer", async () => {
    const { told, reach } = scene()
    const send = () => Effect.succeed({ status: 404, header: () => undefined, response: 404 })
    await expect(reach("m1", { send })).rejects.toMatchObject({ _tag: "ProviderUnavailable" })
    expect(told).toEqual([])
  })
})
