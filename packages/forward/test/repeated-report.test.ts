import { describe, expect, it, vi } from "vitest"
import { repeatedReport } from "../src/repeated-report.ts"

describe("what happens again and again", () => {
  it("is reported at once, and then once a second with how often it happened, until it stops", () => {
    vi.useFakeTimers()
    try {
      const reports: (readonly [string, number])[] = []
      const report = repeatedReport<string>((subject, count) => reports.push([subject, count]))
      for (let i = 0; i < 10; i++) report("a", "A")
      report("b", "B")
      expect(reports.splice(0)).toEqual([
        ["A", 1],
        ["B", 1],
      ])
      vi.advanceTimersByTime(1_000)
      expect(reports.splice(0)).toEqual([["A", 9]])
      vi.advanceTimersByTime(10_000)
      expect(reports).toEqual([])
      expect(vi.getTimerCount()).toBe(0)
      report("a", "A")
      expect(reports).toEqual([["A", 1]])
    } finally {
      vi.useRealTimers()
    }
  })

  it("keeps no more than a thousand different ones", () => {
    let reports = 0
    const report = repeatedReport<number>(() => void reports++)
    for (let i = 0; i < 5_000; i++) report(String(i), i)
    expect(reports).toBe(1_000)
  })

  it("is reported again a second later where the timer has ended with a request, as in a Worker", () => {
    vi.useFakeTimers({ toFake: ["performance"] })
    const timers = vi.spyOn(globalThis, "setTimeout").mockReturnValue(0 as never)
    try {
      const reports: (readonly [string, number])[] = []
      const report = repeatedReport<string>((subject, count) => reports.push([subject, count]))
      for (let i = 0; i < 10; i++) report("a", "A")
      vi.advanceTimersByTime(2_001)
      report("a", "A")
      expect(reports).toEqual([
        ["A", 1],
        ["A", 9],
      ])
      vi.advanceTimersByTime(2_001)
      report("b", "B")
      expect(reports.slice(2)).toEqual([
        ["A", 1],
        ["B", 1],
      ])
    } finally {
      timers.mockRestore()
      vi.useRealTimers()
    }
  })
})
