import { readFileSync } from "node:fs"
import { expect } from "vitest"
import type { TestRunner } from "@project-ingress/router/testing"
import type { FeatureResult } from "../../src/testing/fronts/front-suite.ts"

/** Registers the last test of a front: that the table of `docs/fronts.md` says of it what its tests have found. */
export const checkReport = (test: TestRunner, front: string, report: readonly FeatureResult[]): void => {
  test("is documented as it was found", async () => {
    const page = readFileSync(new URL("../../../../docs/fronts.md", import.meta.url), "utf8")
    const rows = page
      .split("\n")
      .flatMap((line) => (line.startsWith("|") ? [line.split("|").map((cell) => cell.trim())] : []))
    const head = rows.find((cells) => cells.includes("feature"))
    const column = head?.indexOf(front) ?? -1
    expect(column, `docs/fronts.md has a column ${front}`).toBeGreaterThan(0)
    const documented = rows.flatMap((cells) =>
      report.some(({ feature }) => cells[1] === `\`${feature}\``) ? [[cells[1], cells[column]]] : [],
    )
    const found = report.map(({ feature, result, reason }) => [
      `\`${feature}\``,
      result === "skipped" ? `skipped: ${reason}` : result,
    ])
    expect(documented).toEqual(found)
  })
}
