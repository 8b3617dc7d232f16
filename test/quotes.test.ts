import { existsSync, readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"

const root = join(import.meta.dirname, "..")
const read = (file: string): string => readFileSync(join(root, file), "utf8")

interface Quote {
  /** Where the quoted text is: `examples/custom-provider/src/nimbus.ts`. */
  readonly source: string
  readonly block: string
}

/** The blocks of a README that say whose words they are: `<!-- quote: examples/a.ts -->` before the fence. */
const quotes = (readme: string): Quote[] =>
  [...readme.matchAll(/^<!-- quote: (?<source>\S+) -->\n+(?:```\w+\n(?<block>.*?)^```$)?/gms)].map(({ groups }) => ({
    source: groups?.["source"] ?? "",
    block: groups?.["block"] ?? "",
  }))

const dedented = (lines: readonly string[]): string => {
  const indents = lines.filter((line) => line.trim() !== "").map((line) => line.length - line.trimStart().length)
  return lines.map((line) => line.slice(Math.min(...indents))).join("\n")
}

/** Whether these are some lines of that text, one after the other, but for an indent that all of them have. */
const isExcerpt = (block: string, text: string): boolean => {
  const wanted = block.trimEnd().split("\n")
  const lines = text.split("\n")
  const found = lines.map((_, at) => dedented(lines.slice(at, at + wanted.length)))
  return block.trim() !== "" && found.includes(wanted.join("\n"))
}

const readmes = [
  "README.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
  ...readdirSync(join(root, "packages")).map((each) => `packages/${each}/README.md`),
].filter((file) => existsSync(join(root, file)))
const found = readmes.flatMap((readme) =>
  quotes(read(readme)).map(({ source, block }) => [source, readme, block] as const),
)

describe("a README quotes", () => {
  it.each(found)("%s word for word, in %s", (source, _, block) => {
    expect(isExcerpt(block, read(source)), `${source} has no such lines:\n\n${block}`).toBe(true)
  })

  it("the example of a provider and the run that proves it", () => {
    expect(quotes(read("packages/providers/README.md")).map(({ source }) => source)).toEqual([
      "examples/custom-provider/src/nimbus.ts",
      "examples/custom-provider/test/nimbus.test.ts",
    ])
  })
})

describe("a quote", () => {
  const text = "first\n  second {\n    third\n\n  }\nlast\n"
  it.each(["first\n", "second {\n  third\n\n}\n", "third\n", "  second {\n    third\n\n  }\nlast\n"])(
    "is some lines, without the indent they share: %j",
    (block) => {
      expect(isExcerpt(block, text)).toBe(true)
    },
  )
  it.each(["", "\n", "second\n", "first\nlast\n", "second {\n  third\n}\n", "second {\nthird\n\n}\n", "last\nmore\n"])(
    "is nothing else: %j",
    (block) => {
      expect(isExcerpt(block, text)).toBe(false)
    },
  )
  it("is what stands in the fence after its name", () => {
    expect(quotes("x\n<!-- quote: a/b.ts -->\n\n```js\nfirst\n```\n\n<!-- quote: c.ts -->\n\nno fence\n")).toEqual([
      { source: "a/b.ts", block: "first\n" },
      { source: "c.ts", block: "" },
    ])
  })
})
