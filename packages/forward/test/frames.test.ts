import fc from "fast-check"
import { expect, it } from "vitest"
import { Frames } from "../src/sockets/tunnel/frames.ts"

const frame = (payload: number, masked: boolean): Uint8Array => {
  const length =
    payload < 126
      ? [payload]
      : payload < 65_536
        ? [126, payload >> 8, payload & 255]
        : [127, 0, 0, 0, 0, 0, payload >> 16, (payload >> 8) & 255, payload & 255]
  length[0]! |= masked ? 128 : 0
  return Uint8Array.from([0x82, ...length, ...(masked ? [1, 2, 3, 4] : []), ...Array<number>(payload).fill(0xff)])
}

it("knows where a frame ends, however the octets are cut (property)", () => {
  const sizes = fc.oneof(fc.constantFrom(0, 1, 125, 126, 127, 65_535, 65_536), fc.nat(300))
  fc.assert(
    fc.property(
      fc.array(fc.tuple(sizes, fc.boolean()), { minLength: 1, maxLength: 5 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      (all, cuts) => {
        const frames = all.map(([size, masked]) => frame(size, masked))
        const ends = new Set<number>([0])
        let total = 0
        for (const bytes of frames) ends.add((total += bytes.length))
        const stream = Buffer.concat(frames)
        const follower = new Frames()
        let from = 0
        for (const to of [...cuts.map((cut) => cut % (total + 1)), ...ends].toSorted((a, b) => a - b)) {
          follower.push(stream.subarray(from, to))
          expect(follower.between).toBe(ends.has(to))
          from = to
        }
      },
    ),
    { numRuns: 300 },
  )
})
