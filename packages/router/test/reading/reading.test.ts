import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { backOffMs } from "../../src/stores/reading/back-off.ts"
import { pause } from "../../src/stores/reading/pause.ts"
import { within } from "../../src/stores/reading/within.ts"
import { changeWaker } from "../../src/stores/registry/change-waker.ts"
import { reasonOf } from "../../src/stores/store-health.ts"

beforeEach(
  () => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "Date", "performance"] }),
)
afterEach(() => void vi.useRealTimers())

const never = new Promise<never>(() => undefined)
const settled = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    (value) => ({ value }),
    (reason: unknown) => ({ reason }),
  )

describe("a call of a source", () => {
  it("has its time, then its signal is aborted and a reason of ours is given", async () => {
    let given: AbortSignal | undefined
    const result = settled(within(200, (signal) => ((given = signal), never)))
    await vi.advanceTimersByTimeAsync(199)
    expect(given?.aborted).toBe(false)
    await vi.advanceTimersByTimeAsync(2)
    const { reason } = (await result) as { reason: unknown }
    expect(reasonOf(reason)).toBe("no result within 200 ms")
    expect(given?.reason).toBe(reason)
  })

  it("ends with the reason of whoever does not want it any more, and is not made where that was before", async () => {
    const wanted = new AbortController()
    let given: AbortSignal | undefined
    const result = settled(within(200, (signal) => ((given = signal), never), wanted.signal))
    wanted.abort("left")
    expect(await result).toEqual({ reason: "left" })
    expect(given?.aborted).toBe(true)
    const call = vi.fn<() => void>()
    expect(await settled(within(200, call, wanted.signal))).toEqual({ reason: "left" })
    expect(call).not.toHaveBeenCalled()
  })

  it("leaves no timer behind, whether it gives something or throws", async () => {
    expect(await within(200, () => "route")).toBe("route")
    const thrown = within(200, () => {
      throw new Error("broken")
    })
    await expect(thrown).rejects.toThrow("broken")
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe("pauses", () => {
  it("double up to the longest, and are between half of that and all of it", () => {
    const range = { firstMs: 100, longestMs: 1_000 }
    const of = (random: number) => [0, 1, 2, 3, 4, 5_000].map((failures) => backOffMs(failures, range, () => random))
    expect(of(1)).toEqual([100, 200, 400, 800, 1_000, 1_000])
    expect(of(0)).toEqual([50, 100, 200, 400, 500, 500])
  })

  it("end when they are not wanted any more, without a timer left", async () => {
    const wanted = new AbortController()
    const waiting = pause(60_000, wanted.signal)
    wanted.abort()
    await waiting
    await pause(60_000, wanted.signal)
    await pause(0)
    expect(vi.getTimerCount()).toBe(0)
  })
})

it("a reader that waits for a change has its time, though the wall clock is set back by a day meanwhile", async () => {
  const page = { status: "changes", changes: [], cursor: "1", more: false } as const
  const reading = changeWaker().readUntilChanged(async () => page, { waitMs: 3_000, pollMs: 1_000 })
  await vi.advanceTimersByTimeAsync(1_500)
  vi.setSystemTime(Date.now() - 86_400_000)
  await vi.advanceTimersByTimeAsync(1_501)
  expect(await Promise.race([reading, pause(1).then(() => "waits"), vi.advanceTimersByTimeAsync(2)])).toBe(page)
})
