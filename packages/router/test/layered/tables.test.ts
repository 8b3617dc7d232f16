/** What the layered store keeps its memory in. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { makeClockTable } from "../../src/stores/reading/clock-table.ts"
import { makeNameFilter } from "../../src/stores/layered/name-filter.ts"

describe("the clock table", () => {
  it("never weighs more than its bound, and has what was stored last", () => {
    const step = fc.record({
      key: fc.integer({ min: 0, max: 30 }).map(String),
      share: fc.constantFrom("a", "b", "c"),
      weight: fc.integer({ min: 1, max: 5 }),
      does: fc.constantFrom("set", "get", "delete"),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = makeClockTable<number>(12)
        const stored = new Map<string, number>()
        const weights = new Map<string, number>()
        for (const [n, { key, share, weight, does }] of steps.entries()) {
          if (does === "set") {
            table.set(key, n, { share, weight })
            stored.set(key, n)
            weights.set(key, weight)
          } else if (does === "delete") {
            table.delete(key)
            stored.delete(key)
          }
          const allowed = does === "get" ? [undefined, stored.get(key)] : [stored.get(key)]
          expect(allowed).toContain(table.get(key))
          const kept = [...stored.keys()].filter((each) => table.get(each) !== undefined)
          expect(table.size()).toBe(kept.length)
          expect(table.weight()).toBe(kept.reduce((sum, each) => sum + weights.get(each)!, 0))
          expect(table.weight()).toBeLessThanOrEqual(12)
        }
      }),
    )
  })

  it("23: keeps its bound under a million names", () => {
    const table = makeClockTable<number>(1_000)
    for (let n = 0; n < 1_000_000; n++) table.set(`p:${n}`, n, { share: "" })
    expect([table.size(), table.weight()]).toEqual([1_000, 1_000])
  })

  it("keeps what is used, and removes what is not", () => {
    const table = makeClockTable<number>(100)
    const hot = Array.from({ length: 50 }, (_, n) => `hot-${n}`)
    for (const key of hot) table.set(key, 1, { share: key })
    for (let n = 0; n < 10_000; n++) {
      if (n % 25 === 0) for (const key of hot) table.get(key)
      table.set(`cold-${n}`, n, { share: `share-${n}` })
    }
    expect(hot.filter((key) => table.get(key) !== undefined)).toHaveLength(50)
  })

  it("takes nothing of a share for one that has more", () => {
    const table = makeClockTable<number>(100)
    for (let n = 0; n < 30; n++) table.set(`small-${n}`, n, { share: "small" })
    for (let n = 0; n < 30; n++) table.set(`middle-${n}`, n, { share: "middle" })
    for (let n = 0; n < 10_000; n++) {
      table.set(`big-${n}`, n, { share: "big" })
      // Used, so that the hand passes by its own first.
      for (let back = 0; back < 40; back++) table.get(`big-${n - back}`)
    }
    const left = (name: string) =>
      Array.from({ length: 30 }, (_, n) => table.get(`${name}-${n}`)).filter((n) => n !== undefined)
    expect([left("small").length, left("middle").length]).toEqual([30, 30])
  })

  it("does not keep what is heavier than all of it, nor what it replaces", () => {
    const table = makeClockTable<number>(10)
    table.set("a", 1, { share: "" })
    table.set("b", 1, { share: "" })
    table.set("a", 2, { share: "", weight: 11 })
    expect([table.get("a"), table.get("b")]).toEqual([undefined, 1])
    table.clear()
    expect([table.size(), table.weight(), table.get("b")]).toEqual([0, 0, undefined])
  })
})

describe("the filter of names", () => {
  it("knows the last half of its names at least, and takes few others for one of them", () => {
    const filter = makeNameFilter(10_000, () => 0.37)
    for (let n = 0; n < 100_000; n++) filter.add(`p:known-${n}`)
    for (let n = 95_000; n < 100_000; n++) expect(filter.has(`p:known-${n}`)).toBe(true)
    expect(filter.has("p:known-0")).toBe(false)
    let mistaken = 0
    for (let n = 0; n < 100_000; n++) if (filter.has(`p:random-${n}`)) mistaken++
    expect(mistaken).toBeLessThan(300)
    filter.clear()
    expect(filter.has("p:known-99999")).toBe(false)
  })

  it("takes others for one another with another seed: nobody outside knows which", () => {
    const mistakenOf = (seed: number) => {
      const filter = makeNameFilter(1_000, () => seed)
      for (let n = 0; n < 1_000; n++) filter.add(`p:known-${n}`)
      return Array.from({ length: 100_000 }, (_, n) => `p:random-${n}`).filter(filter.has)
    }
    const [one, other] = [mistakenOf(0.1), mistakenOf(0.9)]
    expect(one.length).toBeGreaterThan(10)
    expect(one.filter((name) => other.includes(name)).length).toBeLessThan(one.length / 4)
  })

  it("asks for its seed with its first name and not before", () => {
    let asked = 0
    const filter = makeNameFilter(10, () => (asked++, 0.5))
    expect([filter.has("p:a"), asked]).toEqual([false, 0])
    filter.add("p:a")
    expect([filter.has("p:a"), asked]).toEqual([true, 1])
  })
})
