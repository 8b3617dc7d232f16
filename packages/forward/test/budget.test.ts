import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { makeBudget, makeDividedTable } from "../src/internal.ts"

const of = (share: string, key: number | string) => ({ share, key: String(key) })

describe("a divided table that is full", () => {
  it("removes the oldest entry of the largest share, whoever adds one", () => {
    const table = makeDividedTable<number>()
    for (let i = 0; i < 5; i++) table.set(of("small", i), i)
    for (let i = 0; i < 9_995; i++) table.set(of("large", i), i)
    table.set(of("small", 5), 5)
    expect(table.get(of("large", 0))).toBeUndefined()
    for (let i = 0; i < 20_000; i++) table.set(of("large", `more${i}`), i)
    expect([0, 1, 2, 3, 4, 5].map((i) => table.get(of("small", i)))).toEqual([0, 1, 2, 3, 4, 5])
    expect(table.get(of("large", "more19999"))).toBe(19_999)
    expect(table.get(of("large", "more10005"))).toBeUndefined()
    expect(table.get(of("large", "more10006"))).toBe(10_006)
  })

  it("holds an entry for each of many shares, and counts one that is set again once", () => {
    const table = makeDividedTable<number>()
    for (let i = 0; i < 10_000; i++) table.set(of(`s${i}`, "k"), i)
    for (let i = 0; i < 10_000; i++) table.set(of(`s${i}`, "k"), -i)
    expect(table.get(of("s0", "k"))).toBe(-0)
    expect(table.get(of("s9999", "k"))).toBe(-9_999)
    table.delete(of("s5", "k"))
    table.set(of("new", "k"), 1)
    expect(table.get(of("s0", "k"))).toBe(-0)
  })

  it("forgets what begins with a prefix, in every share, and nothing else", () => {
    const table = makeDividedTable<number>()
    for (const share of ["a", "b"]) for (const key of ["m1 x", "m1 y", "m2"]) table.set(of(share, key), 1)
    table.deleteAll("m1 ")
    const left = ["a", "b"].map((share) => ["m1 x", "m1 y", "m2"].map((key) => table.get(of(share, key))))
    expect(left).toEqual([
      [undefined, undefined, 1],
      [undefined, undefined, 1],
    ])
  })
})

describe("a budget", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["Date", "performance"], now: 1_000_000 })
  })
  afterEach(() => {
    vi.useRealTimers()
  })
  const taken = (budget: ReturnType<typeof makeBudget>, times: number, key = "m"): number => {
    let allowed = 0
    for (let i = 0; i < times; i++) if (budget.take(of("s", key))) allowed++
    return allowed
  }

  it("allows so many at once, and one more after each pause, up to as many at once again", () => {
    const budget = makeBudget({ burst: 3, refillMs: 100 })
    expect(taken(budget, 10)).toBe(3)
    vi.advanceTimersByTime(99)
    expect(taken(budget, 10)).toBe(0)
    vi.advanceTimersByTime(1)
    expect(taken(budget, 10)).toBe(1)
    vi.advanceTimersByTime(100_000)
    expect(taken(budget, 10)).toBe(3)
  })

  it("says how much is left, and counts nothing by it", () => {
    const budget = makeBudget({ burst: 3, refillMs: 100 })
    expect([budget.left(of("s", "m")), taken(budget, 2), budget.left(of("s", "m"))]).toEqual([3, 2, 1])
    vi.advanceTimersByTime(150)
    expect([budget.left(of("s", "m")), budget.left(of("s", "m")), taken(budget, 10)]).toEqual([2, 2, 2])
  })

  it("is of each key alone", () => {
    const budget = makeBudget({ burst: 3, refillMs: 100 })
    expect([taken(budget, 10, "a"), taken(budget, 10, "b")]).toEqual([3, 3])
  })

  it("is neither refilled nor blocked by a wall clock that is set", () => {
    const budget = makeBudget({ burst: 3, refillMs: 100 })
    expect(taken(budget, 10)).toBe(3)
    vi.setSystemTime(1_000_000 + 3_600_000)
    expect(taken(budget, 10)).toBe(0)
    vi.setSystemTime(1_000_000 - 3_600_000)
    vi.advanceTimersByTime(100)
    expect(taken(budget, 10)).toBe(1)
  })
})
