import { describe, expect, it } from "vitest"

it("passes", () => expect(1).toBe(1))
it("lacks a browser", (test) => test.skip("no browser starts"))
describe.skipIf(true)("a group as a whole: no engine answers", () => {
  it("lacks an engine", () => expect(1).toBe(1))
  describe("with a group inside", () => {
    it("lacks an engine, too", () => expect(1).toBe(1))
  })
})
