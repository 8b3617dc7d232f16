import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { describe, expect, it } from "vitest"

const folder = join(import.meta.dirname, "reporter")
const vitest = join(import.meta.dirname, "../node_modules/vitest/vitest.mjs")

const run = (fixture: string, require?: string) => {
  const { INGRESS_REQUIRE: _, VITEST: __, ...outer } = process.env
  const env = { ...outer, NO_COLOR: "1", ...(require === undefined ? {} : { INGRESS_REQUIRE: require }) }
  const { stdout, status } = spawnSync(process.execPath, [vitest, "run", fixture], {
    cwd: folder,
    env,
    encoding: "utf8",
  })
  return { lines: stdout.trimEnd().split("\n"), status }
}

describe("the last line of a run", () => {
  it("counts a broken file, a broken hook and a stray error as failed", () => {
    const { lines, status } = run("fixture")
    // Failed: one test, one hook, one stray error, one file. Skipped: four, the one to do, and the one behind the hook.
    expect(lines.at(-1)).toBe("4 passed, 4 failed, 6 skipped")
    expect(status).toBe(1)
  })

  it("follows each reason for a skip with the tests that gave it", () => {
    const { lines } = run("every-end")
    const at = lines.indexOf("skipped, no engine answers:")
    expect(lines.slice(at + 1, at + 3)).toEqual([
      "  every-end.fixture.ts > lacks an engine",
      "  every-end.fixture.ts > lacks an engine, too",
    ])
  })

  it("says that nothing failed when something was only skipped", () => {
    const { lines, status } = run("skips")
    expect(lines.at(-1)).toBe("1 passed, 0 failed, 1 skipped")
    expect(status).toBe(0)
  })

  it("allows a deviation that a suite declares in a test's name, also where INGRESS_REQUIRE forbids skips", () => {
    const { lines, status } = run("declares", "engine")
    expect(lines).toContain("skipped, the vendor has no watch:")
    expect(lines.at(-1)).toBe("1 passed, 0 failed, 1 skipped")
    expect(status).toBe(0)
  })

  it("stays true, but the run fails, when INGRESS_REQUIRE forbids a skip", () => {
    const { lines, status } = run("skips", "engine,browser")
    expect(lines).toContain("INGRESS_REQUIRE=engine,browser allows no skipped test: the run fails.")
    expect(lines.at(-1)).toBe("1 passed, 0 failed, 1 skipped")
    expect(status).toBe(1)
  })
})
