import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { layer, Machines } from "../src/effect.ts"
import type { MachineChange, MachineProvider } from "../src/contract/machine-provider.ts"
import { taken } from "./taken.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], now: 1_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

/** A provider that tells what the test says, and how often it was asked where a machine is. */
const vendor = () => {
  const log = { resolves: [] as string[], watches: 0, ended: 0 }
  let put: ((item: MachineChange | Error | undefined) => void) | undefined
  const provider: MachineProvider = {
    type: "fake",
    capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
    resolve: async ({ externalId }) => {
      log.resolves.push(externalId)
      return { origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 3_600_000 }
    },
    async *watch({ signal }) {
      log.watches++
      const queue: (MachineChange | Error | undefined)[] = []
      let wake = (): void => {}
      put = (item) => {
        queue.push(item)
        wake()
      }
      signal.addEventListener("abort", () => put!(undefined))
      try {
        for (;;) {
          if (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve))
          const next = queue.shift()
          if (next === undefined) return
          if (next instanceof Error) throw next
          yield next
        }
      } finally {
        log.ended++
      }
    },
  }
  return { provider, log, tell: (item: MachineChange | Error) => put!(item) }
}

const visit = (externalId: string) =>
  Effect.gen(function* () {
    const machines = yield* Machines
    return yield* machines.reach({ id: `mach_${externalId}`, type: "fake", externalId, metadata: {} }, 3000, taken)
  })

const settle = Effect.promise(() => vi.advanceTimersByTimeAsync(0))
const pass = (ms: number) => Effect.promise(() => vi.advanceTimersByTimeAsync(ms))

describe("the layer of machines", () => {
  it("forgets where a machine answered when its provider tells of a change, and no other", async () => {
    const { provider, log, tell } = vendor()
    await Effect.runPromise(
      Effect.gen(function* () {
        yield* settle
        yield* visit("m1")
        yield* visit("m10")
        yield* visit("m1")
        expect(log.resolves).toEqual(["m1", "m10"])
        tell({ externalId: "m1", state: "stopped" })
        yield* settle
        yield* visit("m1")
        yield* visit("m10")
        expect(log.resolves).toEqual(["m1", "m10", "m1"])
      }).pipe(Effect.provide(layer({ providers: [provider] }))),
    )
  })

  it("watches as long as it is there, and tells the provider when it is gone", async () => {
    const { provider, log } = vendor()
    await Effect.runPromise(settle.pipe(Effect.provide(layer({ providers: [provider] }))))
    await vi.advanceTimersByTimeAsync(600_000)
    expect(log).toMatchObject({ watches: 1, ended: 1 })
  })

  it("watches anew when a watch ends, sooner when something was told and ever later when nothing is", async () => {
    const { provider, log, tell } = vendor()
    await Effect.runPromise(
      Effect.gen(function* () {
        yield* settle
        tell(new Error("the engine went away"))
        yield* pass(1_250)
        expect(log.watches).toBe(2)
        for (const pause of [2_500, 5_000, 10_000, 20_000, 37_500, 37_500]) {
          const before = log.watches
          tell(new Error("the engine is away"))
          yield* pass(pause * 0.59)
          expect(log.watches).toBe(before)
          yield* pass(pause)
          expect(log.watches).toBe(before + 1)
        }
        tell({ externalId: "m1", state: "running" })
        yield* settle
        tell(new Error("the engine went away"))
        yield* pass(1_250)
        expect(log).toMatchObject({ watches: 9, ended: 8 })
        // It is a hint: what was known of other machines is known still.
        yield* visit("m1")
        yield* visit("m1")
        expect(log.resolves).toEqual(["m1"])
      }).pipe(Effect.provide(layer({ providers: [provider] }))),
    )
  })

  it("follows every provider that can be watched, and waits for ever where none can", async () => {
    const one = vendor()
    const two = vendor()
    const { type: _, ...rest } = two.provider
    const mute: MachineProvider = {
      type: "mute",
      capabilities: one.provider.capabilities,
      resolve: (machine, options) => one.provider.resolve(machine, options),
    }
    const several = [one.provider, { ...rest, type: "other" }, mute]
    await Effect.runPromise(settle.pipe(Effect.provide(layer({ providers: several }))))
    expect([one.log.watches, two.log.watches]).toEqual([1, 1])

    const forever = Effect.flatMap(Machines, (machines) => machines.watch).pipe(
      Effect.provide(layer({ providers: [mute] })),
    )
    const fiber = Effect.runFork(forever)
    await vi.advanceTimersByTimeAsync(600_000)
    expect(fiber.pollUnsafe()).toBeUndefined()
    await Effect.runPromise(Fiber.interrupt(fiber))
  })
})
