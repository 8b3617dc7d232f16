import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isLoopback } from "../src/loopback.ts"

describe("a loopback address", () => {
  it("is any of 127.0.0.0/8 in plain decimals, or ::1", () => {
    const octet = fc.integer({ min: 0, max: 255 })
    fc.assert(fc.property(octet, octet, octet, (a, b, c) => isLoopback(`127.${a}.${b}.${c}`)))
    expect(isLoopback("::1")).toBe(true)
  })

  it.each([
    "",
    "localhost",
    "loopback",
    "0.0.0.0",
    "10.0.0.1",
    "128.0.0.1",
    "127.1",
    "127.0.0.256",
    "127.0.0.01",
    "127.0.0.0x1",
    "0177.0.0.1",
    "2130706433",
    "127.0.0.1.evil.example",
    "127.0.0.1:80",
    "127.0.0.1\n",
    " 127.0.0.1",
    "[::1]",
    "::",
    "::1%lo",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    2_130_706_433,
    null,
    ["127.0.0.1"],
  ])("is not %j", (value) => expect(isLoopback(value)).toBe(false))
})
