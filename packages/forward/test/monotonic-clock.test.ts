import { fileURLToPath } from "node:url"
import { afterEach, describe, expect, it, vi } from "vitest"
import { inWorkerd } from "../../../test/in-workerd.ts"
import { makeMonotonicClock, monotonicNow } from "../src/monotonic-clock.ts"

const HOUR = 3_600_000

afterEach(() => {
  vi.useRealTimers()
})

describe("a clock for durations", () => {
  it("is not moved by setting the wall clock", () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 100 * HOUR })
    const before = monotonicNow()
    vi.setSystemTime(101 * HOUR)
    expect(monotonicNow() - before).toBeLessThan(HOUR)
    vi.setSystemTime(99 * HOUR)
    expect(monotonicNow()).toBeGreaterThanOrEqual(before)
  })

  it("never goes backwards, and goes on at once, where only the wall clock exists and is set back", () => {
    let wall = 100 * HOUR
    const now = makeMonotonicClock(() => wall)
    const first = now()
    wall += 1_000
    expect(now() - first).toBe(1_000)
    wall -= HOUR
    expect(now() - first).toBe(1_000)
    wall += 500
    expect(now() - first).toBe(1_500)
  })

  it("counts no more than ten minutes for a step of the wall clock, where nothing else exists", () => {
    let wall = 100 * HOUR
    const now = makeMonotonicClock(() => wall)
    const first = now()
    wall += HOUR
    expect(now() - first).toBe(HOUR / 6)
    wall += 500
    expect(now() - first).toBe(HOUR / 6 + 500)
  })

  it("takes the first reading for what it is, however late it comes", () => {
    // Workers: 0 while a script loads, then the time since 1970.
    let wall = 0
    const now = makeMonotonicClock(() => wall)
    wall = 1_800_000_000_000
    const first = now()
    wall += 1
    expect(now() - first).toBe(1)
  })
})

// To start another runtime takes long on a busy machine.
describe("in workerd", { timeout: 120_000 }, () => {
  it("a clock for durations is not moved by an hour either, though performance.now() is the wall clock", async () => {
    const durations = await inWorkerd({
      contents: `
          import { monotonicNow } from "../src/monotonic-clock.ts"
          export default {
            fetch() {
              const [real, realPerformance] = [Date.now, performance.now]
              const first = monotonicNow()
              performance.now = () => realPerformance.call(performance) - ${HOUR}
              Date.now = () => real() - ${HOUR}
              const setBack = monotonicNow() - first
              Date.now = () => real()
              return Response.json({ setBack, setForward: monotonicNow() - first })
            },
          }`,
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
      loader: "ts",
    })
    expect(durations).toEqual({ setBack: 0, setForward: HOUR / 6 })
  })
})
