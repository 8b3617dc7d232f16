import { describe, expect, it } from "vitest"
import { missingTests } from "../../../../test/named-tests.ts"
import { edgeProxyCases, situations, workerCases } from "./named-cases.ts"
import type { Shown } from "./named-cases.ts"

const numbers = (from: number, to: number, without: readonly number[]): number[] =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n).filter((number) => !without.includes(number))
const ids = (system: number, list: readonly number[]) =>
  list.map((number) => `${system}-${String(number).padStart(2, "0")}`)
const testsOf = (shown: Readonly<Record<string, Shown>>) =>
  Object.values(shown).flatMap((each) => ("instead" in each ? [] : each))

describe("a test shows", () => {
  it("every situation of the facts about route data", () => {
    // Those left out have no text there.
    const all = numbers(1, 40, [8, 14, 18, 24, 28, 35, 36]).map(String)
    expect(Object.keys(situations)).toEqual(all)
    expect(missingTests(testsOf(situations))).toEqual([])
  })

  it("every case of EdgeProxy", () => {
    const all = ids(1, numbers(1, 29, [4, 9, 16, 17, 19, 25, 26, 28]))
    expect(Object.keys(edgeProxyCases)).toEqual(all)
    expect(missingTests(testsOf(edgeProxyCases))).toEqual([])
  })

  it("every case of the worker and its successors, or it is about signing in", () => {
    const missing = [19, 28, 36, 37, 38, 39, 44, 47, 53, 57, 58, 59, 73, 74, 75, 76, 77, 78, 79, 86, 87, 88, 89]
    const all = ids(0, numbers(1, 108, [...missing, 94, 96, 98, 99, 106]))
    expect(Object.keys(workerCases).toSorted()).toEqual(all.toSorted())
    expect(missingTests(testsOf(workerCases))).toEqual([])
  })

  it("nothing that is not there", () => {
    const file = "packages/router/test/situations/named-cases.test.ts"
    const absent = ["no", "such", "claim"].join("-")
    expect(
      missingTests([
        [file, "nothing that is not there"],
        [file, absent],
      ]),
    ).toEqual([`${file}: ${absent}`])
  })
})
