import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { MessageReader } from "../../src/hosts/websocket/message-reader.ts"
import type { SocketEvent } from "../../src/hosts/websocket/message-reader.ts"
import { frameOf } from "./raw-socket.ts"

const readAll = (pieces: readonly Uint8Array[], maxMessageBytes = 1_000): SocketEvent[] => {
  const reader = new MessageReader(maxMessageBytes)
  const events: SocketEvent[] = []
  for (const piece of pieces) {
    reader.push(piece)
    for (let event = reader.read(); event !== undefined; event = reader.read()) events.push(event)
  }
  return events
}
const frame = (opcode: number, payload: string | Uint8Array, fin = true) =>
  frameOf(opcode, Buffer.from(payload as string), fin, false)

describe("the frames of a machine", () => {
  it("are the same messages however they are cut", () => {
    const part = fc.record({ payload: fc.uint8Array({ maxLength: 200 }), ping: fc.boolean() })
    fc.assert(
      fc.property(
        fc.array(fc.array(part, { minLength: 1, maxLength: 4 }), { maxLength: 4 }),
        fc.array(fc.nat(40)),
        (sent, cuts) => {
          const frames = sent.flatMap((parts) =>
            parts.flatMap(({ payload, ping }, i) => [
              ...(ping ? [frame(9, "p")] : []),
              frame(i === 0 ? 2 : 0, payload, i === parts.length - 1),
            ]),
          )
          const bytes = Buffer.concat(frames)
          const pieces: Uint8Array[] = []
          let at = 0
          for (const cut of cuts) pieces.push(bytes.subarray(at, (at += cut + 1)))
          pieces.push(bytes.subarray(at))
          const events = readAll(pieces)
          const messages = events.flatMap((event) =>
            event.type === "message" ? [Buffer.from(event.data).toString("hex")] : [],
          )
          expect(messages).toEqual(
            sent.map((parts) => Buffer.concat(parts.map(({ payload }) => payload)).toString("hex")),
          )
          expect(events.filter(({ type }) => type === "ping").length).toBe(
            sent.flat().filter(({ ping }) => ping).length,
          )
        },
      ),
      { numRuns: 100 },
    )
  })

  it.each([
    ["a reserved bit", Buffer.of(0xc1, 0), 1002],
    ["a mask", Buffer.of(0x81, 0x80, 0, 0, 0, 0), 1002],
    ["an unknown opcode", Buffer.of(0x83, 0), 1002],
    ["an unknown control opcode", Buffer.of(0x8b, 0), 1002],
    ["a control frame in parts", Buffer.of(0x09, 0), 1002],
    ["a control frame of 126 bytes", frame(9, "x".repeat(126)), 1002],
    ["a continuation of nothing", frame(0, "x"), 1002],
    ["a message within a message", Buffer.concat([frame(1, "a", false), frame(1, "b")]), 1002],
    ["a close frame of one byte", frame(8, Uint8Array.of(3)), 1002],
    ["a close code that cannot be sent", frame(8, Uint8Array.of(3, 0xed)), 1002],
    ["a reason that is not UTF-8", frame(8, Uint8Array.of(3, 0xe8, 0xff)), 1007],
    ["text that is not UTF-8", frame(1, Uint8Array.of(0xc3)), 1007],
    ["a message that is too large", frame(2, "x".repeat(1_001)), 1009],
    [
      "a message whose parts are too large",
      Buffer.concat([frame(2, "x".repeat(600), false), frame(0, "x".repeat(401))]),
      1009,
    ],
    ["a length of 2^63", Buffer.of(0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0), 1002],
    ["a length of 2^62", Buffer.of(0x82, 127, 0x40, 0, 0, 0, 0, 0, 0, 0), 1009],
    ["more bytes of length than it needs", Buffer.of(0x82, 126, 0, 1, 0x78), 1002],
  ])("with %s are a failure, and nothing after it is read", (_, bytes, code) => {
    expect(readAll([bytes, frame(1, "after")])).toEqual([{ type: "failure", code }])
  })

  it("take no memory for what is only announced", () => {
    const before = process.memoryUsage().arrayBuffers
    const readers = Array.from({ length: 200 }, () => {
      const reader = new MessageReader(16_777_216)
      reader.push(Buffer.of(0x82, 127, 0, 0, 0, 0, 0x01, 0, 0, 0))
      reader.read()
      return reader
    })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16_777_216)
    expect(readers).toHaveLength(200)
  })
})
