import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { cases } from "./cases.ts"
import { departures } from "./departures.ts"

it("docs/workers.md has the differences of the cases, and no others", () => {
  const text = readFileSync(new URL("../../../../docs/workers.md", import.meta.url), "utf8")
  const table = /<!-- differences:[^>]*-->\n+([^]*?)\n+<!-- \/differences -->/.exec(text)?.[1] ?? ""
  const rows = table
    .split("\n")
    .slice(2)
    .map((row) => row.split("|").map((cell) => cell.trim()))
    .map(([, title, instead, reason]) => [title, instead, reason])
  const declared = [...cases, ...departures].flatMap(({ title, worker }) =>
    worker === undefined ? [] : [[title, worker.instead, worker.reason]],
  )
  expect(rows).toEqual(declared)
})
