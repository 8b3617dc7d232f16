import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { startDeadline } from "../src/start-deadline.ts"

let now = 0
let immediates: (() => void)[] = []
beforeEach(() => {
  now = 5_000
  immediates = []
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
  vi.spyOn(performance, "now").mockImplementation(() => now)
  vi.stubGlobal("setImmediate", (run: () => void) => immediates.push(run))
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

/** The timers run `ms` later; `stalled` is how much longer the process took to come to them. */
const passes = (ms: number, stalled = 0): void => {
  now += ms + stalled
  vi.advanceTimersByTime(ms)
}
const socketsAreRead = (): void => {
  for (const run of immediates.splice(0)) run()
}
const start = (ms: number) => {
  const onOver = vi.fn<() => void>()
  return { onOver, settled: startDeadline(ms, onOver) }
}

describe("a deadline", () => {
  it("is over after its time, once the sockets were read", () => {
    const { onOver } = start(1_000)
    passes(1_000)
    expect(onOver).not.toHaveBeenCalled()
    socketsAreRead()
    expect(onOver).toHaveBeenCalledOnce()
  })

  it("is not over for what settled in time, nor for what was there when its time had passed", () => {
    const [early, read] = [start(1_000), start(1_000)]
    early.settled()
    passes(1_000)
    read.settled()
    socketsAreRead()
    expect(vi.getTimerCount()).toBe(0)
    expect([early.onOver, read.onOver].map((over) => over.mock.calls.length)).toEqual([0, 0])
  })

  it.each([
    [99, 0],
    [300, 300],
    [17_000, 1_000],
  ])("that ended in a stall of %i ms has %i ms more", (stall, more) => {
    const { onOver } = start(1_000)
    passes(1_000, stall)
    socketsAreRead()
    const passed: number[] = []
    for (const step of more === 0 ? [] : [more - 1, 1]) {
      passed.push(onOver.mock.calls.length)
      passes(step)
      socketsAreRead()
    }
    expect([...passed, onOver.mock.calls.length]).toEqual(more === 0 ? [1] : [0, 0, 1])
  })

  it("is held back by one stall only", () => {
    const { onOver } = start(1_000)
    passes(1_000, 17_000)
    passes(1_000, 17_000)
    socketsAreRead()
    expect(onOver).toHaveBeenCalledOnce()
  })

  it("needs no setImmediate, which Workers may not have", () => {
    vi.stubGlobal("setImmediate", undefined)
    const { onOver } = start(1_000)
    passes(1_000)
    passes(1)
    expect(onOver).toHaveBeenCalledOnce()
  })
})
