import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parse } from "yaml"
import { parseYaml } from "../../src/documents/parse-yaml.ts"
import { yamlText } from "../../src/documents/yaml-text.ts"

/** What tempts a reader of YAML to see something else than a text. */
const odd = fc.constantFrom(
  ..."y,no,On,null,~,true,<<,=,-,--- ,...,? a,: b,a: b,a #b,# c,&a,*a,!t,|,>,%YAML,@a,`a,[a],{a},1_000,0o14,012,0x1F,1e3,.inf,.nan,2001-01-01,12:30:45,{{ x }},${X},\",',\\,\n,\r\n,\t,\u0085,\u2028,\u2029,\ufeff,\u0000,\u007f,é,😀,__proto__,constructor".split(
    ",",
  ),
  "",
  " ",
  ",",
)
const text = fc.oneof(odd, fc.string({ unit: "binary", maxLength: 12 }))
const tree = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.boolean(),
    fc.integer(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(text, tie("value")), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  ),
})).value

describe("a document in YAML", () => {
  it.each(["1.1", "1.2"] as const)(
    "is read by a parser of version %s as it was, whatever its keys and texts",
    (version) => {
      fc.assert(
        fc.property(tree, (value) => {
          const written = yamlText(value, "a comment")
          // What YAML does not print, and what some versions take for a line break.
          expect(written).not.toMatch(/[\x7f-\x9f\u2028\u2029\ufeff]/)
          const read = parse(written, { version, uniqueKeys: true, merge: true }) as unknown
          // By text: a key `__proto__` must be a key.
          expect(JSON.stringify(read)).toBe(JSON.stringify(value))
        }),
        { numRuns: 300 },
      )
    },
  )

  it("keeps integers that a number cannot hold", () => {
    expect(yamlText({ priority: 2n ** 63n - 1_001n })).toBe("priority: 9223372036854774807\n")
    expect(parseYaml("priority: 9223372036854774807\nport: 80\n")).toEqual({
      document: { priority: 9223372036854774807n, port: 80 },
    })
  })

  it("cannot be left by its comment", () => {
    expect(parse(yamlText({ a: 1 }, "x\nb: 2\u2028c: 3"))).toEqual({ a: 1 })
  })

  it("leaves out what is undefined, and refuses what is no data", () => {
    expect(yamlText({ a: undefined, b: {}, c: [undefined] })).toBe("b: {}\nc: []\n")
    expect(() => yamlText({ a: Number.NaN })).toThrow(TypeError)
    expect(() => yamlText({ a: () => 1 })).toThrow(TypeError)
  })

  it.each(["a: 1\na: 2\n", "a: [", "a: &x [*x]\n".repeat(2), "\t- a"])("says that %j cannot be read", (broken) => {
    expect(parseYaml(broken)).toMatchObject({ reason: expect.stringContaining("not valid YAML") })
  })

  it("does not follow aliases without end", () => {
    const bomb = `a: &a [1,1,1,1,1,1,1,1,1]\n${"bcdefgh"
      .split("")
      .map((name, at) => `${name}: &${name} [${`*${"abcdefgh"[at]},`.repeat(9)}]\n`)
      .join("")}`
    expect(parseYaml(bomb)).toMatchObject({ reason: "is not valid YAML" })
  })
})
