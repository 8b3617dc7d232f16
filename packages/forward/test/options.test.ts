import { describe, expect, it } from "vitest"
import { accept, checkOptions, kindOf } from "../src/internal.ts"

const fields = {
  grammar: accept.object,
  lingerMs: accept.number(),
  port: accept.integer(1, 65_535),
  host: accept.oneOf("localhost", "preserve"),
  onEvent: accept.function,
  domains: accept.array(accept.string),
  name: accept.string,
  strict: accept.boolean,
}

const check = (options: unknown, settings?: Parameters<typeof checkOptions>[3]) => () =>
  checkOptions("owner", options, fields, settings)

describe("options", () => {
  it("that are right pass, and so do those that are not given or undefined", () => {
    const all = { grammar: {}, lingerMs: 0, port: 80, host: "preserve", onEvent: () => {}, domains: ["a"], name: "n" }
    expect(check({ ...all, strict: false }, { required: ["grammar", "strict"] })).not.toThrow()
    expect(check({})).not.toThrow()
    expect(check({ lingerMs: undefined })).not.toThrow()
    expect(check(Object.create({ port: 80 }))).not.toThrow()
  })

  it.each([
    [{ grammer: {} }, "owner: grammer is not an option (did you mean grammar?)"],
    [{ lingerms: 1 }, "owner: lingerms is not an option (did you mean lingerMs?)"],
    [{ zebra: 1 }, "owner: zebra is not an option (the options are "],
    [{ linger: 1 }, "owner: linger is not an option (did you mean lingerMs?)"],
    [{ toString: 1 }, "owner: toString is not an option"],
    [Object.create({ prot: 80 }), "owner: prot is not an option (did you mean port?)"],
    [{ ["a".repeat(100_000)]: 1 }, /^owner: a{64} is not an option \(the options are /],
    [undefined, "owner: options must be an object, got undefined"],
    [null, "owner: options must be an object, got null"],
    [[], "owner: options must be an object, got an empty array"],
    ["secret", "owner: options must be an object, got a string"],
    [{ lingerMs: Number.NaN }, "owner: lingerMs must be a number from 0 up, got NaN"],
    [{ lingerMs: -1 }, "owner: lingerMs must be a number from 0 up, got -1"],
    [{ lingerMs: Infinity }, "owner: lingerMs must be a number from 0 up, got Infinity"],
    [{ lingerMs: "1" }, "owner: lingerMs must be a number from 0 up, got a string"],
    [{ lingerMs: null }, "owner: lingerMs must be a number from 0 up, got null"],
    [{ port: 65_536 }, "owner: port must be an integer from 1 to 65535, got 65536"],
    [{ port: 1.5 }, "owner: port must be an integer from 1 to 65535, got 1.5"],
    [{ host: "secret" }, `owner: host must be "localhost" or "preserve", got a string`],
    [{ onEvent: {} }, "owner: onEvent must be a function, got an object"],
    [
      { domains: ["a", ""] },
      "owner: domains must be an array in which every element is a non-empty string, got an array",
    ],
    [{ domains: "a" }, "owner: domains must be an array, got a string"],
    [{ name: "" }, "owner: name must be a non-empty string, got an empty string"],
    [{ grammar: [] }, "owner: grammar must be an object, got an empty array"],
    [{ strict: 1 }, "owner: strict must be true or false, got 1"],
  ])("that are wrong are named (%#)", (options, message) => {
    expect(check(options)).toThrow(TypeError)
    expect(check(options)).toThrow(message)
  })

  it("that are missing are named", () => {
    expect(check({ grammar: undefined }, { required: ["grammar"] })).toThrow(
      "owner: grammar must be an object, got undefined",
    )
  })

  it("inside of options are named with their place", () => {
    expect(check({ lingerMs: -1 }, { at: "limits" })).toThrow(
      "owner: limits.lingerMs must be a number from 0 up, got -1",
    )
    expect(check({ linger: 1 }, { at: "limits" })).toThrow(
      "owner: limits.linger is not an option (did you mean limits.lingerMs?)",
    )
    expect(check(7, { at: "limits" })).toThrow("owner: limits must be an object, got 7")
  })
})

it.each([
  [undefined, "undefined"],
  [true, "true"],
  [1n, "a bigint"],
  [Symbol("secret"), "a symbol"],
  [Promise.resolve("secret"), "a promise"],
  [() => "secret", "a function"],
  [["secret"], "an array"],
])("the kind of a value does not show the value (%#)", (value, kind) => expect(kindOf(value)).toBe(kind))
