import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { screen } from "../scripts/reporter.ts"

const folder = join(import.meta.dirname, "reporter")
const vitest = join(import.meta.dirname, "../node_modules/vitest/vitest.mjs")

const run = (fixture: string, all?: "1") => {
  const { INGRESS_ALL: _, VITEST: __, ...outer } = process.env
  const env = { ...outer, NO_COLOR: "1", ...(all === undefined ? {} : { INGRESS_ALL: all }) }
  const { stdout, status } = spawnSync(process.execPath, [vitest, "run", fixture], {
    cwd: folder,
    env,
    encoding: "utf8",
  })
  return { lines: stdout.trimEnd().split("\n"), status }
}

// One run of every fixture, for all claims about it.
const mixed = run("fixture")
/** The lines below a heading, sorted: files end in any order. */
const below = (heading: string): string[] => {
  const at = mixed.lines.indexOf(heading)
  return mixed.lines.slice(at + 1, mixed.lines.indexOf("", at)).toSorted()
}

describe("the last line of a run", () => {
  it("counts a broken file, a broken hook and a stray error as failed", () => {
    const { lines, status } = mixed
    // Failed: one test, one hook, one stray error, one file. Skipped: six, the one to do, and the one behind the hook.
    expect(lines.at(-1)).toBe("4 passed, 4 failed, 9 skipped")
    expect(status).toBe(1)
  })

  it("says that nothing failed when something was only skipped", () => {
    const { lines, status } = run("skips")
    expect(lines.at(-1)).toBe("1 passed, 0 failed, 3 skipped")
    expect(status).toBe(0)
  })
})

describe("the last screen of a run", () => {
  it("names each failure with the first line of its error", () => {
    expect(below("failed:")).toEqual(
      [
        "  outside of a test",
        "    nobody catches this",
        "  broken.fixture.ts",
        "    this file does not load",
        "  every-end.fixture.ts > a group whose hook throws",
        "    no",
        "  every-end.fixture.ts > fails",
        "    expected 1 to be 2 // Object.is equality",
      ].toSorted(),
    )
  })

  it("counts the skipped tests by reason, whether a test or its group gave it", () => {
    expect(below("skipped:")).toEqual(
      [
        "      4  no engine answers",
        "      1  to do",
        "      1  no reason given",
        "      1  no browser starts",
        "      2  declared by a suite: the test says why",
      ].toSorted(),
    )
  })

  it("stays short, however much failed or was skipped", () => {
    const reasons = new Map(Array.from({ length: 100 }, (_, at) => [`reason ${at} ${"x".repeat(500)}`, 1]))
    const failures = Array.from({ length: 100 }, (_, at) => ({ name: `test ${at}`, message: "y".repeat(500) }))
    const late = failures.map(({ name }) => name)
    const lines = screen({ passed: 1, failed: 100, skipped: 100, declared: 1, failures, late, reasons }, true)
    expect(lines.length).toBeLessThan(80)
    expect(Math.max(...lines.map((each) => each.length))).toBeLessThan(160)
    expect(lines.at(-1)).toBe("1 passed, 100 failed, 100 skipped")
  })
})

describe("with INGRESS_ALL=1", () => {
  it("a test that is skipped for want of something fails the run", () => {
    const { lines, status } = run("skips", "1")
    expect(lines).toContain("INGRESS_ALL=1 allows no test to be skipped for want of something: the run fails.")
    expect(lines.at(-1)).toBe("1 passed, 0 failed, 3 skipped")
    expect(status).toBe(1)
  })

  it("a deviation that a suite declares in a test's name, or finds out, is allowed", () => {
    const { lines, status } = run("declares", "1")
    expect(lines).toContain("      2  declared by a suite: the test says why")
    expect(lines.at(-1)).toBe("1 passed, 0 failed, 2 skipped")
    expect(status).toBe(0)
  })
})
