import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { trackedFiles } from "./repository.ts"
import { findRetired } from "./words/find.ts"

// The words of this repository are those of its field: RFC 9110's and Envoy's. The retired ones, what to write instead, and the
// exceptions with their reasons are in words/retired.ts.
const root = join(import.meta.dirname, "..")
const files = trackedFiles(
  (file) =>
    /^packages\/[^/]+\/src\/.*\.ts$/.test(file) ||
    /^examples\/[^/]+\/src\/.*\.ts$/.test(file) ||
    /^scripts\/.*\.ts$/.test(file) ||
    /^(?!.*CHANGELOG).*\.md$/.test(file) ||
    /^docs\/.*\.svg$/.test(file),
)

describe("the words", () => {
  it("are plain English: no retired one in sources, docs and READMEs", () => {
    const found = files.flatMap((file) => findRetired(file, readFileSync(join(root, file), "utf8")))
    const lines = found.map(({ file, line, words, write }) => `${file}:${line}  ${words}  →  ${write}`)
    expect(lines.join("\n")).toBe("")
  })

  it("are looked for in every package", () => {
    for (const name of ["hostname", "forward", "providers", "router", "machine-proxy"])
      expect(files.filter((file) => file.startsWith(`packages/${name}/`)).length).toBeGreaterThan(5)
    expect(files).toEqual(expect.arrayContaining(["README.md", "AGENTS.md", "docs/architecture.md"]))
  })
})

describe("a retired word is found", () => {
  const inSource = (text: string) => findRetired("a.ts", text).map(({ line, words }) => `${line}: ${words}`)
  const inPage = (text: string) => findRetired("a.md", text).map(({ line, words }) => `${line}: ${words}`)

  it.each([
    ["// one\n/* Sizes are\n * in octets. */", ["3: octets"]],
    ["const answer = 1", ["1: answer"]],
    ["const first = () =>\n  sendAnswers()", ["2: sendAnswers"]],
    ['throw new Error("a port that is none")', ["1: is none"]],
    ["const a = `requests at hand: ${ answer.size }`", ["1: at hand", "1: answer"]],
    ["// The head of an answer, and its own answers.", ["1: an answer", "1: own answers"]],
    ["interface TroubleEvent {}", ["1: TroubleEvent"]],
  ])("in %j", (text, found) => expect(inSource(text)).toEqual(found))

  it.each([
    ["one\n\ntwo begun anew", ["3: anew"]],
    ["the `eatenHeaders` of it", ["1: eatenHeaders"]],
    ["```ts\nconst answer = 1\n```\nthe answer", ["2: answer", "4: the answer"]],
  ])("in the page %j", (text, found) => expect(inPage(text)).toEqual(found))

  it.each([
    "// The port answers. Machines that answer. It may answer 404, and is answered.",
    '// `application/octet-stream`; "any octet" (RFC 9110 §5.5)',
    "// Told apart by `kind`. If there is none, undefined.",
    "const wakes = true",
    'import { makeSingleFlight } from "./single-flight.ts"',
  ])("but not in %j", (text) => expect(inSource(text)).toEqual([]))
})
