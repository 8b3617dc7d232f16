import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { circles, importGraph, type Graph } from "./import-graph.ts"
import { trackedFiles } from "./repository.ts"

const root = join(import.meta.dirname, "..")
const files = trackedFiles((file) =>
  /^(?:packages\/[^/]+\/(?:src|test|bench)|examples\/[^/]+\/(?:src|test)|bench|scripts|test)\/.*\.ts$/.test(file),
)

describe("no file imports itself in a circle, type imports counted", () => {
  const graph = importGraph(files, (file) => readFileSync(join(root, file), "utf8"))

  it("in sources, tests, examples and benchmarks", () => {
    const found = circles(graph).map((circle) => circle.join(" → "))
    expect(found.join("\n")).toBe("")
  })

  it("and every relative import leads to a file of the graph", () => {
    const missing = [...graph].flatMap(([file, imports]) =>
      imports.filter((each) => each.endsWith(".ts") && !graph.has(each)).map((each) => `${file} → ${each}`),
    )
    expect(missing.join("\n")).toBe("")
    expect([...graph.values()].flat().length).toBeGreaterThan(500)
  })
})

const graphOf = (sources: Record<string, string>): Graph =>
  importGraph(Object.keys(sources), (file) => sources[file] ?? "")

describe("a circle is found", () => {
  it.each([
    ["by import", 'import { b } from "./b.ts"', 'import { a } from "./a.ts"'],
    ["by type imports alone", 'import type { B } from "./b.ts"', 'import { type A } from "./a.ts"'],
    ["by export", 'export * from "./b.ts"', 'export type { A } from "./a.ts"'],
    ["by import()", 'export const b = () => import("./b.ts")', 'export type A = typeof import("./a.ts")'],
  ])("%s", (_, a, b) => {
    expect(circles(graphOf({ "x/a.ts": a, "x/b.ts": b }))).toEqual([["x/a.ts", "x/b.ts", "x/a.ts"]])
  })

  it("by a package's name", () => {
    const [a, b] = ["packages/forward/src/forward.ts", "packages/router/src/b.ts"]
    const sources = { [a]: 'import "../../router/src/b.ts"', [b]: 'import type { A } from "@project-ingress/forward"' }
    expect(circles(graphOf(sources))).toEqual([[a, b, a]])
  })

  it("through several files, and once", () => {
    const sources = {
      "x/a.ts": 'import "./b.ts"',
      "x/b.ts": 'import "./c.ts"\nimport "./d.ts"',
      "x/c.ts": 'import "./a.ts"',
      "x/d.ts": "",
    }
    expect(circles(graphOf(sources))).toEqual([["x/a.ts", "x/b.ts", "x/c.ts", "x/a.ts"]])
  })

  it("and no circle where two files import a third", () => {
    const sources = { "x/a.ts": 'import "./c.ts"\nimport "./b.ts"', "x/b.ts": 'import "./c.ts"', "x/c.ts": "" }
    expect(circles(graphOf(sources))).toEqual([])
  })
})

describe("a source file", () => {
  const limit = 350
  const tooLong = (text: string) => text.split("\n").length - 1 > limit && !/^\/\/ Long because .{10,}/m.test(text)

  it(`has at most ${limit} lines, or says at its top why not: // Long because …`, () => {
    const sources = files.filter((file) => /^packages\/[^/]+\/src\//.test(file))
    const found = sources.filter((file) => tooLong(readFileSync(join(root, file), "utf8")))
    expect(found.join("\n")).toBe("")
  })

  it("with more lines and no reason is found", () => {
    const long = "const a = 1\n".repeat(limit + 1)
    expect([tooLong(long), tooLong(long.slice(12)), tooLong(`// Long because it is one table\n${long}`)]).toEqual([
      true,
      false,
      false,
    ])
  })
})
