import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decodeFrame, encodeFrame, MAX_DATA, MAX_STREAM_ID, MAX_WINDOW_STEP } from "../../src/relay/frames.ts"
import type { Frame } from "../../src/relay/frames.ts"

const id = fc.integer({ min: 1, max: MAX_STREAM_ID })
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    type: fc.constant("open" as const),
    id,
    socket: fc.option(fc.uint8Array({ minLength: 16, maxLength: 16 }), { nil: undefined }),
  }),
  fc.record({ type: fc.constant("data" as const), id, bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }) }),
  fc.record({ type: fc.constant("end" as const), id }),
  fc.record({ type: fc.constant("reset" as const), id, reason: fc.constantFrom("cancelled", "refused", "failed") }),
  fc.record({ type: fc.constant("window" as const), id, bytes: fc.integer({ min: 1, max: MAX_WINDOW_STEP }) }),
  fc.constant({ type: "drain" } as const),
)

describe("a frame of the relay", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(frame, (written) => {
        expect(decodeFrame(encodeFrame(written))).toEqual(written)
      }),
    )
  })

  it("is a view that may begin anywhere in its memory", () => {
    const message = encodeFrame({ type: "window", id: 7, bytes: 70_000 })
    const memory = new Uint8Array(message.length + 3)
    memory.set(message, 3)
    expect(decodeFrame(memory.subarray(3))).toEqual({ type: "window", id: 7, bytes: 70_000 })
  })

  it.each<[string, readonly number[]]>([
    ["nothing", []],
    ["four bytes", [2, 0, 0, 0]],
    ["type 0", [0, 0, 0, 0, 1]],
    ["a type that there is not", [7, 0, 0, 0, 1]],
    ["type 255", [255, 0, 0, 0, 1]],
    ["stream 0", [3, 0, 0, 0, 0]],
    ["an id above the last", [3, 128, 0, 0, 0]],
    ["open without its kind", [1, 0, 0, 0, 1]],
    ["open of another kind", [1, 0, 0, 0, 1, 2]],
    ["open of a request with more", [1, 0, 0, 0, 1, 0, 0]],
    ["open of a WebSocket without its token", [1, 0, 0, 0, 1, 1]],
    ["open of a WebSocket with a short token", [1, 0, 0, 0, 1, 1, ...Array.from({ length: 15 }, () => 9)]],
    ["open of a WebSocket with a long token", [1, 0, 0, 0, 1, 1, ...Array.from({ length: 17 }, () => 9)]],
    ["open of a request with a token", [1, 0, 0, 0, 1, 0, ...Array.from({ length: 16 }, () => 9)]],
    ["data without bytes", [2, 0, 0, 0, 1]],
    ["data with too many", [2, 0, 0, 0, 1, ...Array.from({ length: MAX_DATA + 1 }, () => 0)]],
    ["end with a payload", [3, 0, 0, 0, 1, 0]],
    ["reset without a reason", [4, 0, 0, 0, 1]],
    ["reset with two", [4, 0, 0, 0, 1, 0, 0]],
    ["reset for a reason that there is not", [4, 0, 0, 0, 1, 3]],
    ["a window of nothing", [5, 0, 0, 0, 1, 0, 0, 0, 0]],
    ["a window too large", [5, 0, 0, 0, 1, 1, 0, 0, 1]],
    ["a window of three bytes", [5, 0, 0, 0, 1, 0, 0, 1]],
    ["a window of five bytes", [5, 0, 0, 0, 1, 0, 0, 0, 1, 0]],
    ["drain of a stream", [6, 0, 0, 0, 1]],
    ["drain with a payload", [6, 0, 0, 0, 0, 0]],
  ])("is not %s", (_, bytes) => {
    expect(decodeFrame(Uint8Array.from(bytes))).toBeUndefined()
  })

  it("has one spelling: whatever is read is written in the same bytes", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      // Nearly a frame.
      fc
        .tuple(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 2 }), fc.uint8Array({ maxLength: 20 }))
        .map(([type, id, rest]) => Uint8Array.from([type, 0, 0, 0, id, ...rest])),
    )
    fc.assert(
      fc.property(bytes, (message) => {
        const read = decodeFrame(message)
        expect([...(read === undefined ? message : encodeFrame(read))]).toEqual([...message])
      }),
      { numRuns: 5_000 },
    )
  })
})
