import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { errorRows } from "../packages/forward/src/forward.ts"

/** The table of docs/architecture.md, as forward's own says it. */
const table = (): string => {
  const rows = Object.entries(errorRows).map(([tag, row]) => {
    const { status, code, error, retryAfter }: { status: number; code: string; error: string; retryAfter?: number } =
      row
    return [
      `\`${tag}\``,
      String(status),
      `\`${code}\``,
      `\`${error}\``,
      retryAfter === undefined ? "" : `${retryAfter} s`,
    ]
  })
  const head = ["failure", "status", "code", "`Proxy-Status`", "`Retry-After`"]
  const widths = head.map((name, at) => Math.max(name.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (cells: string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map((row) => line(row))].join("\n")
}

it("docs/architecture.md shows the answers that forward gives", () => {
  const text = readFileSync(new URL("../docs/architecture.md", import.meta.url), "utf8")
  const shown = /<!-- answers:.*?-->\n+(.*?)\n+<!-- \/answers -->/s.exec(text)?.[1]
  expect(shown).toBe(table())
})
