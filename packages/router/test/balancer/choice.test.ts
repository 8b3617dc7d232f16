/** Choice and ejection by a clock that the test holds. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { chooseEntry, takeChoice } from "../../src/balancer/choose-entry.ts"
import type { Entry } from "../../src/balancer/choose-entry.ts"
import {
  checked,
  failed,
  isDue,
  isWell,
  newMachineState,
  startTrial,
  succeeded,
} from "../../src/balancer/machine-state.ts"
import type { Balance, MachineRoute } from "../../src/stores/record.ts"
import { machine } from "../fakes.ts"

const entries = (weights: readonly number[]): Entry[] =>
  weights.map((weight, at) => ({
    machine: machine(`mach_${at}`),
    port: 3000,
    own: undefined,
    weight,
    state: newMachineState(),
  }))

const record = (balance: Balance): MachineRoute => ({
  kind: "machine",
  machine: machine("mach_0"),
  balance,
  version: 1,
  epoch: 1,
})

const none = new Set<never>()
const choose = (of: readonly Entry[], balance: Balance, seed: string, now: number): Entry => {
  const choice = chooseEntry(of, { record: record(balance), seed }, none, now)
  takeChoice(of, choice, now)
  return choice.entry
}
const othersThan = (of: readonly Entry[], { state }: Entry) =>
  of.some((each) => each.state !== state && isWell(each.state))
const isEjected = ({ state }: Entry, now: number) => !isWell(state) && !isDue(state, now)

const balances = fc.constantFrom<Balance[]>("sticky", "round-robin", "least-requests")
const steps = fc.array(
  fc.record({
    seed: fc.nat({ max: 50 }).map(String),
    /** Which machines are down at that moment, by bit. */
    down: fc.nat({ max: 63 }),
    check: fc.option(fc.record({ at: fc.nat({ max: 5 }), problem: fc.constantFrom(undefined, "status 500") })),
    passedMs: fc.constantFrom(0, 0, 0, 10, 1_000, 6_000, 400_000),
  }),
  { maxLength: 120 },
)

describe("whatever fails, and whenever", () => {
  it("a request goes to a machine that is well, or to one whose time is over, while any is well", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), balances, steps, (count, balance, all) => {
        const of = entries(Array.from({ length: count }, () => 1))
        let now = 0
        for (const { seed, down, check, passedMs } of all) {
          now += passedMs
          if (check !== null && check.at < count) checked(of[check.at]!.state, check.problem)
          const anyWell = of.some(({ state }) => isWell(state))
          const usable = anyWell ? of.filter(({ state }) => isWell(state) || isDue(state, now)) : of
          const entry = choose(of, balance, seed, now)
          expect(usable).toContain(entry)
          if ((down >> of.indexOf(entry)) & 1) failed(entry.state, "PortClosed", othersThan(of, entry), now)
          else succeeded(entry.state)
          // Nobody is ejected for longer than it is said.
          for (const each of of) expect(each.state.until - now).toBeLessThanOrEqual(300_000 * 1.25)
        }
      }),
    )
  })

  it("the last one that is well is not ejected", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), balances, steps, (count, balance, all) => {
        const of = entries(Array.from({ length: count }, () => 1))
        let now = 0
        for (const { seed, down, passedMs } of all) {
          now += passedMs
          const entry = choose(of, balance, seed, now)
          const before = isEjected(entry, now)
          if ((down >> of.indexOf(entry)) & 1) failed(entry.state, "PortClosed", othersThan(of, entry), now)
          else succeeded(entry.state)
          const isNew = !before && isEjected(entry, now)
          expect(isNew && !othersThan(of, entry)).toBe(false)
        }
      }),
    )
  })
})

describe("ejection", () => {
  const failTimes = (of: readonly Entry[], entry: Entry, count: number, now: number) => {
    for (let at = 0; at < count; at++) failed(entry.state, "PortClosed", othersThan(of, entry), now)
  }

  it("comes with the fifth failure in a row, and any success ends the row", () => {
    const of = entries([1, 1])
    const [first] = of as [Entry, Entry]
    failTimes(of, first, 4, 0)
    succeeded(first.state)
    failTimes(of, first, 4, 0)
    expect(isWell(first.state)).toBe(true)
    failTimes(of, first, 1, 0)
    expect([isWell(first.state), isEjected(first, 3_000), isEjected(first, 7_000)]).toEqual([false, true, false])
  })

  it("lasts twice as long each time, up to five minutes, and what was on its way adds nothing", () => {
    const of = entries([1, 1])
    const [first] = of as [Entry, Entry]
    let now = 0
    failTimes(of, first, 5, now)
    const lengths: number[] = []
    for (let round = 0; round < 10; round++) {
      const { until } = first.state
      lengths.push(until - now)
      // A hundred more that were sent before.
      failTimes(of, first, 100, now)
      expect(first.state.until).toBe(until)
      now = until
      startTrial(first.state, now)
      failTimes(of, first, 1, now)
    }
    for (const [round, ms] of lengths.entries()) {
      const nominal = Math.min(5_000 * 2 ** round, 300_000)
      expect(ms).toBeGreaterThanOrEqual(nominal * 0.75)
      expect(ms).toBeLessThanOrEqual(nominal * 1.25)
    }
  })

  it("does not come to the last one that is well, however often it fails, before another one is", () => {
    const of = entries([1, 1, 1])
    const [first, second, last] = of as [Entry, Entry, Entry]
    failTimes(of, first, 5, 0)
    failTimes(of, second, 5, 0)
    failTimes(of, last, 50, 0)
    expect(of.map((entry) => isEjected(entry, 1_000))).toEqual([true, true, false])
    succeeded(second.state)
    failTimes(of, last, 1, 1_000)
    expect(of.map((entry) => isEjected(entry, 2_000))).toEqual([true, false, true])
  })

  it("begins again for a machine that was well for a minute", () => {
    const of = entries([1, 1])
    const [first] = of as [Entry, Entry]
    failTimes(of, first, 5, 0)
    startTrial(first.state, 10_000)
    failTimes(of, first, 1, 10_000)
    expect(first.state.until - 10_000).toBeGreaterThanOrEqual(7_500)
    succeeded(first.state)
    failTimes(of, first, 5, 200_000)
    expect(first.state.until - 200_000).toBeLessThanOrEqual(6_250)
  })

  it("ends with one request that finds out: until that has ended, or for 5 s, the others go elsewhere", () => {
    for (const balance of ["sticky", "round-robin", "least-requests"] as const) {
      const of = entries([1, 1])
      const [first, second] = of as [Entry, Entry]
      failTimes(of, first, 5, 0)
      const goTo = (now: number) => Array.from({ length: 40 }, (_, at) => choose(of, balance, String(at), now))
      expect(goTo(7_000).filter((entry) => entry === first).length).toBe(1)
      expect(goTo(11_000)).not.toContain(first)
      expect(goTo(12_500).filter((entry) => entry === first).length).toBe(1)
      succeeded(first.state)
      expect(new Set(goTo(12_500))).toEqual(new Set([first, second]))
    }
  })

  it("is not for a machine whose health check fails: that one comes back by its checks alone", () => {
    const of = entries([1, 1])
    const [first] = of as [Entry, Entry]
    checked(first.state, "status 500")
    expect(isWell(first.state)).toBe(true)
    checked(first.state, "status 500")
    succeeded(first.state)
    expect([isWell(first.state), isDue(first.state, 1e9)]).toEqual([false, false])
    checked(first.state, undefined)
    expect(isWell(first.state)).toBe(false)
    checked(first.state, undefined)
    expect(isWell(first.state)).toBe(true)
  })
})

describe("the choice", () => {
  const countOf = (of: readonly Entry[], balance: Balance, count: number, now = 0) => {
    const counts = of.map(() => 0)
    for (let at = 0; at < count; at++) counts[of.indexOf(choose(of, balance, String(at), now))]!++
    return counts
  }

  it("in turn is even to one, by weight, for any number of machines and requests", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 200 }),
        (weights, count) => {
          const total = weights.reduce((sum, weight) => sum + weight, 0)
          for (const [at, got] of countOf(entries(weights), "round-robin", count).entries()) {
            const share = (count * weights[at]!) / total
            expect(Math.abs(got - share)).toBeLessThanOrEqual(
              weights.every((each) => each === weights[0]) ? 1 : weights[at]!,
            )
          }
        },
      ),
    )
  })

  it("in turn does not give a machine that was away, or is new, all the turns that it missed", () => {
    const of = entries([1, 1])
    const [first] = of as [Entry, Entry]
    for (let at = 0; at < 5; at++) failed(first.state, "PortClosed", true, 0)
    expect(countOf(of, "round-robin", 100)).toEqual([0, 100])
    succeeded(first.state)
    for (const count of countOf(of, "round-robin", 100)) expect(Math.abs(count - 50)).toBeLessThanOrEqual(1)
    const more = [...of, ...entries([1])]
    for (const count of countOf(more, "round-robin", 99)) expect(Math.abs(count - 33)).toBeLessThanOrEqual(1)
  })

  it("by requests in flight is the one with the fewest for its weight, and in turn where they are equal", () => {
    const of = entries([1, 2, 1])
    of[0]!.state.open = 3
    of[1]!.state.open = 4
    of[2]!.state.open = 3
    expect(choose(of, "least-requests", "", 0)).toBe(of[1])
    for (const { state } of of) state.open = 0
    expect(countOf(entries([1, 1, 1]), "least-requests", 9)).toEqual([3, 3, 3])
  })

  it("by address moves nobody else when a machine is added, and is spread by weight", () => {
    const before = entries([1, 1, 1])
    const after = [...before, ...entries([1, 1, 1, 1]).slice(3)]
    let moved = 0
    for (let at = 0; at < 2_000; at++) {
      const seed = `192.0.${at >> 8}.${at % 256}`
      const [was, is] = [choose(before, "sticky", seed, 0), choose(after, "sticky", seed, 0)]
      if (was === is) continue
      moved++
      expect(is).toBe(after[3])
    }
    // 500 are expected; 9 standard deviations are 174.
    expect(moved).toBeGreaterThan(326)
    expect(moved).toBeLessThan(674)
    const [heavy] = countOf(entries([3, 1]), "sticky", 2_000)
    expect(heavy).toBeGreaterThan(1_326)
    expect(heavy).toBeLessThan(1_674)
  })

  it("names what is the matter with those left out, three at most", () => {
    const of = entries([1, 1, 1, 1, 1, 1])
    for (const { state } of of.slice(1)) for (let at = 0; at < 5; at++) failed(state, "PortClosed", true, 0)
    const { reason } = chooseEntry(of, { record: record("round-robin"), seed: "" }, new Set([of[1]!.state]), 0)
    expect(reason).toBe(
      "in turn of 1 of 6, without mach_1 (tried), mach_2 (PortClosed), mach_3 (PortClosed) and 2 more",
    )
  })
})
