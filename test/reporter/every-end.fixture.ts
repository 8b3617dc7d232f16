import { beforeAll, describe, expect, it } from "vitest"

it("passes", () => expect(1).toBe(1))
it("fails", () => expect(1).toBe(2))
it("lacks an engine", (test) => test.skip("no engine answers"))
it("lacks an engine, too", (test) => test.skip("no engine answers"))
it.todo("waits")
it("leaves an error behind", async () => {
  setTimeout(() => {
    throw new Error("nobody catches this")
  }, 0)
  await new Promise((resolve) => setTimeout(resolve, 50))
})
describe("a group whose hook throws", () => {
  beforeAll(() => {
    throw new Error("no")
  })
  it("does not run", () => expect(1).toBe(1))
})
