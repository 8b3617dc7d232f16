import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { FrameReader } from "../../src/websocket/frame-reader.ts"
import type { FrameEvent, FrameReaderOptions } from "../../src/websocket/frame-reader.ts"
import { closePayload, frame, noKey, opcodes, randomKey } from "../../src/websocket/frame-writer.ts"
import { bytesOf } from "./frames.ts"

const tcp: FrameReaderOptions = { masked: true, text: "end" }
const udp: FrameReaderOptions = { masked: true, maxMessage: 65_507 }

const pushed = (reader: FrameReader, bytes: Uint8Array): FrameEvent[] => {
  const events: FrameEvent[] = []
  reader.push(bytes)
  for (let event = reader.read(); event !== undefined; event = reader.read()) events.push(event)
  return events
}

/** What a reader says of bytes that come in these pieces: the data of one message as one text, however it was cut. */
const read = (options: FrameReaderOptions, pieces: readonly Uint8Array[]): unknown[] => {
  const reader = new FrameReader(options)
  const seen: unknown[] = []
  let data = ""
  const on = (event: FrameEvent): void => {
    if (event.type === "data") {
      if (event.isText) data += data === "" ? "text " : ""
      data += Buffer.from(event.bytes).toString("latin1")
      if (!event.last) return
      seen.push(data)
      data = ""
    } else if (event.type === "ping" || event.type === "pong")
      seen.push({ [event.type]: Buffer.from(event.bytes).toString("latin1") })
    else if (event.type === "error") seen.push({ error: event.code, reason: event.reason })
    else if (event.type === "close") seen.push({ close: event.code, reason: event.reason })
    else seen.push(event.type)
  }
  for (const piece of pieces) pushed(reader, piece).forEach(on)
  if (data !== "") seen.push({ unfinished: data })
  return seen
}

const [FIN, TEXT, BINARY, CLOSE, PING, PONG] = [0x80, 1, 2, 8, 9, 10]
const of = (first: number, payload: Uint8Array | string = "") => bytesOf({ first, payload })

describe("what a reader accepts", () => {
  type Accepted = readonly [string, readonly Buffer[], readonly unknown[], FrameReaderOptions?]
  const accepted: readonly Accepted[] = [
    ["a message", [of(FIN | BINARY, "abc")], ["abc"]],
    ["an empty message", [of(FIN | BINARY)], [""]],
    ["a message of 126 bytes", [of(FIN | BINARY, "a".repeat(126))], ["a".repeat(126)]],
    ["a message of 65 536 bytes", [of(FIN | BINARY, "a".repeat(65_536))], ["a".repeat(65_536)]],
    ["fragments", [of(BINARY, "a"), of(0, "b"), of(FIN, "c")], ["abc"]],
    ["a ping between fragments", [of(BINARY, "a"), of(FIN | PING, "p"), of(FIN, "b")], [{ ping: "p" }, "ab"]],
    ["a pong", [of(FIN | PONG, "x".repeat(125))], [{ pong: "x".repeat(125) }]],
    ["the end", [of(FIN | TEXT, "end")], ["end"]],
    ["the end in fragments", [of(TEXT, "e"), of(0), of(FIN, "nd")], ["end"]],
    ["a close without a code", [of(FIN | CLOSE)], [{ close: 1005, reason: "" }]],
    ["a close with a code", [of(FIN | CLOSE, Buffer.from([3, 232]))], [{ close: 1000, reason: "" }]],
    [
      "a close of an application",
      [of(FIN | CLOSE, Buffer.from([15, 160, 0xc3, 0xa4]))],
      [{ close: 4000, reason: "ä" }],
    ],
    ["nothing after a close", [of(FIN | CLOSE), of(FIN | BINARY, "a")], [{ close: 1005, reason: "" }]],
    ["the longest datagram", [of(FIN | BINARY, "a".repeat(65_507))], ["a".repeat(65_507)], udp],
    [
      "frames of a server",
      [bytesOf({ first: FIN | BINARY, payload: "abc", masked: false })],
      ["abc"],
      { masked: false },
    ],
    ["text", [of(TEXT, "e"), of(FIN | PING), of(FIN, "nd")], [{ ping: "" }, "text end"], { masked: true, text: "any" }],
    ["text beside bytes", [of(FIN | TEXT, "a"), of(FIN | BINARY, "b")], ["text a", "b"], { masked: true, text: "any" }],
  ]
  it.each(accepted.map((row) => ({ name: row[0], row })))("$name", ({ row: [, frames, expected, options = tcp] }) => {
    expect(read(options, frames)).toEqual(expected)
  })
})

describe("what a reader refuses", () => {
  const longest = [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
  type Refused = readonly [string, number, Buffer, FrameReaderOptions?]
  const refused: readonly Refused[] = [
    ["RSV1, as of a compressed message", 1002, of(FIN | 0x40 | BINARY, "a")],
    ["RSV2", 1002, of(FIN | 0x20 | BINARY, "a")],
    ["RSV3", 1002, of(FIN | 0x10 | BINARY, "a")],
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => [`opcode ${opcode}`, 1002, of(FIN | opcode, "a")] as const),
    ["a client's frame without a mask", 1002, bytesOf({ first: FIN | BINARY, payload: "a", masked: false })],
    ["a server's frame with one", 1002, of(FIN | BINARY, "a"), { masked: false, text: "end" }],
    ["a fragmented ping", 1002, of(PING, "a")],
    ["a fragmented close", 1002, of(CLOSE)],
    ["a ping of 126 bytes", 1002, of(FIN | PING, "a".repeat(126))],
    ["a close of 126 bytes", 1002, of(FIN | CLOSE, "a".repeat(126))],
    ["a continuation of nothing", 1002, of(FIN, "a")],
    ["a message within a message", 1002, Buffer.concat([of(BINARY), of(FIN | BINARY, "b")])],
    ["the end within a message", 1002, Buffer.concat([of(BINARY), of(FIN | TEXT, "end")])],
    ["125 in two bytes of length", 1002, bytesOf({ first: FIN | BINARY, length: [126, 0, 125] })],
    ["0 in two bytes of length", 1002, bytesOf({ first: FIN | BINARY, length: [126, 0, 0] })],
    [
      "65 535 in eight bytes of length",
      1002,
      bytesOf({ first: FIN | BINARY, length: [127, 0, 0, 0, 0, 0, 0, 255, 255] }),
    ],
    ["2^63", 1002, bytesOf({ first: FIN | BINARY, length: [127, 0x80, 0, 0, 0, 0, 0, 0, 0] })],
    ["2^63 - 1", 1009, bytesOf({ first: FIN | BINARY, length: [127, ...longest] })],
    ["a text that is not the end", 1003, of(FIN | TEXT, "END")],
    ["a beginning of the end", 1003, of(FIN | TEXT, "en")],
    ["an empty text", 1003, of(FIN | TEXT)],
    ["a longer text, before its first byte", 1003, of(TEXT, "ends").subarray(0, 6)],
    ["a text without an end, in fragments", 1003, Buffer.concat([of(TEXT, "en"), of(0, "d!")])],
    ["any text where there is no end", 1003, of(FIN | TEXT, "end"), udp],
    [
      "a datagram that is too long, before its first byte",
      1009,
      of(FIN | BINARY, "a".repeat(65_508)).subarray(0, 8),
      udp,
    ],
    ["the same in fragments", 1009, Buffer.concat([of(BINARY, "a".repeat(65_507)), of(FIN, "b")]), udp],
    ["half a close code", 1002, of(FIN | CLOSE, "a")],
    ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map(
      (code) => [`close code ${code}`, 1002, of(FIN | CLOSE, Buffer.from([code >> 8, code & 255]))] as const,
    ),
    ["a reason that is not UTF-8", 1007, of(FIN | CLOSE, Buffer.from([3, 232, 0xc3]))],
    ["a reason with half a surrogate", 1007, of(FIN | CLOSE, Buffer.from([3, 232, 0xed, 0xa0, 0x80]))],
  ]
  it.each(refused.map((row) => ({ name: row[0], row })))("$name", ({ row: [, code, bytes, options = tcp] }) => {
    const seen = read(options, [bytes, of(FIN | BINARY, "never read")])
    expect(seen.filter((event) => typeof event === "object" && event !== null && "error" in event)).toMatchObject([
      { error: code },
    ])
    expect(seen).not.toContain("never read")
  })
})

/** Bytes that are mostly frames, and often wrong. */
const wire = fc
  .array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc
          .tuple(
            fc.constantFrom(FIN | BINARY, BINARY, 0, FIN, FIN | TEXT, TEXT, FIN | PING, FIN | PONG),
            fc.oneof(fc.constantFrom("", "end", "e", "nd"), fc.string({ maxLength: 140 })),
          )
          .map(([first, payload]) => of(first, Buffer.from(payload, "latin1"))),
      },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)) },
      {
        weight: 1,
        arbitrary: fc
          .integer({ min: 0, max: 65_535 })
          .map((code) => of(FIN | CLOSE, Buffer.from([code >> 8, code & 255]))),
      },
    ),
    { maxLength: 8 },
  )
  .map((frames) => Buffer.concat(frames))

const cut = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
  const places = [0, ...cuts.map((at) => at % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)
  return places.slice(1).map((to, at) => bytes.subarray(places[at], to))
}

it("says the same however the bytes are cut (property)", () => {
  fc.assert(
    fc.property(wire, fc.array(fc.nat(), { maxLength: 12 }), fc.boolean(), (bytes, cuts, isTcp) => {
      const options = isTcp ? tcp : udp
      const whole = read(options, [bytes])
      expect(read(options, cut(bytes, cuts))).toEqual(whole)
      expect(
        read(
          options,
          [...bytes].map((byte) => Uint8Array.of(byte)),
        ),
      ).toEqual(whole)
    }),
    { numRuns: 2_000 },
  )
})

it("never throws, changes no byte that it is given, and says nothing after an error or a close (fuzz)", () => {
  fc.assert(
    fc.property(fc.oneof(wire, fc.uint8Array({ maxLength: 400 })), fc.boolean(), (bytes, masked) => {
      const before = Buffer.from(bytes)
      const events = pushed(new FrameReader({ masked, text: "end" }), bytes).map(({ type }) => type)
      expect(before.equals(bytes)).toBe(true)
      const over = events.findIndex((type) => type === "error" || type === "close")
      expect(over === -1 || over === events.length - 1).toBe(true)
    }),
    { numRuns: 5_000 },
  )
})

it("reads what the writer writes, masked and not (property)", () => {
  const sizes = fc.oneof(fc.constantFrom(0, 1, 125, 126, 127, 65_535, 65_536, 70_000), fc.nat(300))
  fc.assert(
    fc.property(sizes, fc.boolean(), (size, masked) => {
      const payload = Uint8Array.from({ length: size }, (_, at) => at % 251)
      const pieces = frame(opcodes.binary, payload, (masked ? randomKey : noKey)())
      expect(read({ masked }, pieces)).toEqual([Buffer.from(payload).toString("latin1")])
    }),
    { numRuns: 200 },
  )
})

it("cuts a close reason to what a control frame holds, at a character, and writes none without a code", () => {
  expect(Buffer.from(closePayload(1000, "ä".repeat(70)).subarray(2)).toString()).toBe("ä".repeat(61))
  expect(closePayload(1005, "unsaid")).toEqual(new Uint8Array(0))
})

it("masks each frame with a key of its own", () => {
  const seen = new Set(Array.from({ length: 1_000 }, () => Buffer.from(randomKey()!).toString("hex")))
  expect(seen.size).toBeGreaterThan(990)
})
