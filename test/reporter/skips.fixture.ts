import { expect, it } from "vitest"

it("passes", () => expect(1).toBe(1))
it("lacks a browser", (test) => test.skip("no browser is installed"))
