import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { retryAfterMs } from "../src/adapter-kit/retry-after.ts"

describe("Retry-After", () => {
  beforeEach(() => vi.useFakeTimers({ now: Date.UTC(1994, 10, 6, 8, 49, 0), toFake: ["Date"] }))
  afterEach(() => vi.useRealTimers())

  // RFC 9110 §10.2.3, and the three forms of a date in §5.6.7.
  it.each([
    ["0", 0],
    ["120", 120_000],
    ["Sun, 06 Nov 1994 08:49:37 GMT", 37_000],
    ["Sunday, 06-Nov-94 08:49:37 GMT", 37_000],
    ["Sun Nov  6 08:49:37 1994", 37_000],
    ["Sun, 06 Nov 1994 08:48:37 GMT", 0],
    ["", undefined],
    ["soon", undefined],
    ["-1", undefined],
    ["1.5", undefined],
    ["1 minute", undefined],
    ["5, 7", undefined],
    ["12345678901", undefined],
    ["1994-11-06T08:49:37Z", undefined],
    ["Sunday", undefined],
    [null, undefined],
    [undefined, undefined],
  ])("of %j is %j ms", (value, ms) => {
    expect(retryAfterMs(value)).toBe(ms)
  })
})
