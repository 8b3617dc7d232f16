import { describe, expect, it } from "vitest"
import { defaultHeaderNames, hopHeaderNames } from "../src/forward.ts"
import type { HopHeaderNames } from "../src/forward.ts"
import { validHeaderNames } from "../src/internal.ts"
import { createEngine } from "../src/sockets.ts"

const names = hopHeaderNames("x-acme")

const invalid: [what: string, value: unknown][] = [
  ["nothing", undefined],
  ["null", null],
  ["a prefix alone", "x-acme"],
  ["an empty object", {}],
  ["a name alone", { prefix: "x-acme-" }],
  ["a prefix that no name has", { ...names, prefix: "x-acme_" }],
  ["a prefix that is no text", { ...names, prefix: ["x-acme-"] }],
  // Without the prefix an app's own copy would pass as the machine proxy's stamp.
  ["a stamp of another family", { ...names, stamp: "x-other-stamp" }],
  ["a ticket that is missing", { ...names, ticket: undefined }],
]

describe("header names that are given as an option", () => {
  it("are what hopHeaderNames returns, or a copy of it", () => {
    for (const good of [names, { ...names }, defaultHeaderNames, hopHeaderNames("a")]) {
      expect(validHeaderNames(good)).toBeUndefined()
    }
  })

  it.each(invalid)("are not %s", (_what, value) => {
    expect(validHeaderNames(value)).toBe("what hopHeaderNames returns")
  })

  it("are checked by an engine", () => {
    const options = { onRequest: () => "relay" as const, failure: () => ({ status: 500, headers: [] }) }
    expect(() => createEngine({ ...options, headerNames: names })).not.toThrow()
    for (const [, value] of invalid.slice(1)) {
      expect(() => createEngine({ ...options, headerNames: value as HopHeaderNames })).toThrow(
        "createEngine: headerNames must be what hopHeaderNames returns, got ",
      )
    }
  })
})
