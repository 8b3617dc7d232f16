import { applyPatch, createTwoFilesPatch } from "diff"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { unifiedDiff } from "../../src/files/unified-diff.ts"

const side = (text: string | undefined) => ({ path: "a.json", text })

describe("a unified diff", () => {
  it("is the library's, though it looks only at what is not equal at both ends", () => {
    const lines = fc.array(fc.constantFrom("a", "b", "", "c"), { maxLength: 12 })
    const text = fc.tuple(lines, fc.boolean()).map(([each, isWhole]) => each.join("\n") + (isWhole ? "\n" : ""))
    const common = fc
      .array(fc.constantFrom("x", "y"), { maxLength: 12 })
      .map((each) => each.map((x) => `${x}\n`).join(""))
    fc.assert(
      fc.property(common, text, text, common, (head, before, after, tail) => {
        const [old, next] = [head + before + tail, head + after + tail]
        // Which of several shortest diffs it is may differ; where it begins, and what it comes to, may not.
        const changes = (patch: string) => patch.split("\n").filter((line) => /^[+-](?!--|\+\+)/.test(line)).length
        const patch = unifiedDiff(side(old), side(next), [])
        const whole = createTwoFilesPatch("a.json", "a.json", old, next, "", "", { context: 3 })
        expect(changes(patch)).toBe(changes(whole))
      }),
      { numRuns: 300 },
    )
  })

  it("counts lines from the beginning of the file", () => {
    const before = Array.from({ length: 100 }, (_, at) => `line ${at + 1}\n`)
    const after = before.with(49, "other\n")
    expect(unifiedDiff(side(before.join("")), side(after.join("")), [])).toBe(
      "--- a.json\n+++ a.json\n@@ -47,7 +47,7 @@\n line 47\n line 48\n line 49\n-line 50\n+other\n line 51\n line 52\n line 53\n",
    )
  })

  it("is of every place that differs, however far from each other, and gives the new text", () => {
    const line = fc.constantFrom("a", "b", "c")
    const equal = fc.integer({ min: 0, max: 20 }).map((length) => Array.from({ length }, (_, at) => `equal ${at}`))
    const places = fc.array(fc.tuple(equal, fc.array(line, { maxLength: 2 }), fc.array(line, { maxLength: 2 })), {
      maxLength: 5,
    })
    fc.assert(
      fc.property(places, equal, fc.boolean(), (all, tail, isWhole) => {
        const end = isWhole ? "\n" : ""
        const old = [...all.flatMap(([head, before]) => [...head, ...before]), ...tail].join("\n") + end
        const next = [...all.flatMap(([head, , after]) => [...head, ...after]), ...tail].join("\n") + end
        const patch = unifiedDiff(side(old), side(next), [])
        expect(patch === "" ? old : applyPatch(old, patch)).toBe(next)
      }),
      { numRuns: 300 },
    )
    const [old, next] = ["1", "2"].map((version) =>
      [version].concat(
        Array.from({ length: 30 }, (_, at) => `x${at}`),
        "",
      ),
    )
    const patch = unifiedDiff(side(old!.join("\n")), side(next!.with(20, "y").join("\n")), [])
    expect(patch.match(/^@@.*@@$/gm)).toEqual(["@@ -1,4 +1,4 @@", "@@ -18,7 +18,7 @@"])
  })

  it("shows that a secret has changed, and not which", () => {
    const [old, next] = ['key: "s3cr\\"et"\n', 'key: "0ther"\n']
    const diff = unifiedDiff(side(old), side(next), ['s3cr"et', "0ther"])
    expect(diff).toContain('-key: "[secret]"\n+key: "[secret]"\n')
    expect(unifiedDiff(side(old), side(old), [])).toBe("")
    expect(unifiedDiff(side(undefined), side("a\n"), [])).toContain("--- /dev/null\n+++ a.json\n")
  })
})
