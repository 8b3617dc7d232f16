import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { rowTable } from "../scripts/error-docs/render.ts"

it("docs/architecture.md shows the error responses of every package (pnpm errors writes them)", () => {
  const text = readFileSync(new URL("../docs/architecture.md", import.meta.url), "utf8")
  const shown = /<!-- responses:.*?-->\n+(.*?)\n+<!-- \/responses -->/s.exec(text)?.[1]
  expect(shown).toBe(rowTable())
})
