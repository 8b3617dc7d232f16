import { expect, it } from "vitest"

it("holds", () => expect(1).toBe(1))

it.skip("watch: ends when its signal says so (skipped: the vendor has no watch)", () => expect(1).toBe(1))

it("stats: are cheap", (test) => test.skip("not applicable: the store has no stats"))
