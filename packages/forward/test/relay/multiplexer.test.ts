import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { encodeFrame, MAX_DATA } from "../../src/relay/frames.ts"
import { MAX_STREAMS, Multiplexer } from "../../src/relay/multiplexer.ts"
import { BASE_WINDOW, MAX_WINDOW } from "../../src/relay/relay-stream.ts"
import type { RelayStream, StreamHandler } from "../../src/relay/relay-stream.ts"

/** A user of a stream that takes everything, or nothing until it is told to. */
class Reader implements StreamHandler {
  readonly stream: RelayStream
  readonly #pieces: Uint8Array[] = []
  readonly #taken: Uint8Array[] = []
  reads: boolean
  ended = false
  resets: string[] = []
  writable = 0
  held = 0
  constructor(stream: RelayStream, reads = true) {
    this.stream = stream
    this.reads = reads
  }
  onData(bytes: Uint8Array): void {
    this.#pieces.push(bytes.slice())
    this.held += bytes.length
    if (this.reads) this.take()
  }
  take(): void {
    for (let piece = this.#pieces.shift(); piece !== undefined; piece = this.#pieces.shift()) {
      this.#taken.push(piece)
      this.held -= piece.length
      this.stream.consumed(piece.length)
    }
  }
  get taken(): readonly number[] {
    return Array.from(Buffer.concat(this.#taken))
  }
  get takenBytes(): number {
    return this.#taken.reduce((sum, { length }) => sum + length, 0)
  }
  onEnd(): void {
    this.ended = true
  }
  onReset(reason: string): void {
    this.resets.push(reason)
  }
  onWritable(): void {
    this.writable++
  }
}

/** Both sides, with the messages between them, which arrive when the test says so. */
const both = ({ reads = true } = {}) => {
  const toMachine: Uint8Array[] = []
  const toRelay: Uint8Array[] = []
  const taken = new Map<number, Reader>()
  const problems: string[] = []
  let idle = 0
  let drained = 0
  const relay = new Multiplexer({
    send: (message) => toMachine.push(message),
    onIdle: () => idle++,
    onDrain: () => drained++,
  })
  const machine = new Multiplexer({
    send: (message) => toRelay.push(message),
    onOpen: (stream) => {
      const reader = new Reader(stream, reads)
      taken.set(stream.id, reader)
      return reader
    },
  })
  const deliver = (): void => {
    while (toMachine.length + toRelay.length > 0) {
      const problem = toMachine.length > 0 ? machine.receive(toMachine.shift()!) : relay.receive(toRelay.shift()!)
      if (problem !== undefined) problems.push(problem)
    }
  }
  const open = (reading = true): Reader => {
    let reader!: Reader
    relay.open((stream) => (reader = new Reader(stream, reading)))
    deliver()
    return reader
  }
  return {
    relay,
    machine,
    toMachine,
    toRelay,
    taken,
    problems,
    deliver,
    open,
    idle: () => idle,
    drained: () => drained,
  }
}

const frames = {
  data: (id: number, size: number) => encodeFrame({ type: "data", id, bytes: new Uint8Array(size) }),
  end: (id: number) => encodeFrame({ type: "end", id }),
  reset: (id: number) => encodeFrame({ type: "reset", id, reason: "cancelled" }),
  window: (id: number, bytes: number) => encodeFrame({ type: "window", id, bytes }),
  open: (id: number) => encodeFrame({ type: "open", id, socket: undefined }),
  drain: encodeFrame({ type: "drain" }),
}

describe("streams over one connection", () => {
  it("carry bytes both ways, and end each way by itself", () => {
    const { open, taken, deliver, relay, machine, idle, problems } = both()
    const mine = open()
    mine.stream.write(Uint8Array.of(1, 2, 3))
    mine.stream.end()
    deliver()
    const its = taken.get(1)!
    expect([its.taken, its.ended, mine.ended]).toEqual([[1, 2, 3], true, false])
    its.stream.write(Uint8Array.of(4))
    its.stream.end()
    deliver()
    expect([mine.taken, mine.ended, relay.size, machine.size, idle(), problems]).toEqual([[4], true, 0, 0, 1, []])
  })

  it("bring every byte in order, whatever the pieces and however many streams", () => {
    const piece = fc.record({ stream: fc.integer({ min: 0, max: 4 }), size: fc.integer({ min: 1, max: 200_000 }) })
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const { open, taken, deliver, problems } = both()
        const readers = Array.from({ length: 5 }, () => open())
        const sent = readers.map(() => 0)
        const next = readers.map(() => 0)
        for (const { stream, size } of pieces) {
          let rest = Uint8Array.from({ length: size }, () => next[stream]!++ & 255)
          while (rest.length > 0) {
            rest = rest.subarray(readers[stream]!.stream.write(rest))
            deliver()
          }
          sent[stream]! += size
        }
        for (const [i, reader] of readers.entries()) {
          const got = taken.get(reader.stream.id)!.taken
          expect(got.length).toBe(sent[i])
          expect(got.every((byte, at) => byte === (at & 255))).toBe(true)
        }
        expect(problems).toEqual([])
      }),
      { numRuns: 30 },
    )
  })

  it("send no more than their window to a reader that stands still, and the rest when it reads", () => {
    const { open, taken, deliver } = both({ reads: false })
    const mine = open()
    const bytes = new Uint8Array(3 * BASE_WINDOW)
    expect(mine.stream.write(bytes)).toBe(BASE_WINDOW)
    deliver()
    expect([mine.stream.write(bytes), taken.get(1)!.held, mine.writable]).toEqual([0, BASE_WINDOW, 0])
    taken.get(1)!.take()
    deliver()
    expect(mine.writable).toBeGreaterThan(0)
    expect(mine.stream.write(bytes)).toBeGreaterThan(0)
  })

  it("hold no other stream up when their reader stands still", () => {
    const { open, taken, deliver } = both({ reads: false })
    const stuck = Array.from({ length: MAX_STREAMS - 1 }, () => open())
    for (const { stream } of stuck) stream.write(new Uint8Array(10 * BASE_WINDOW))
    const quick = open()
    deliver()
    const its = taken.get(quick.stream.id)!
    its.reads = true
    let sent = 0
    while (sent < 5_000_000) {
      sent += quick.stream.write(new Uint8Array(500_000))
      deliver()
    }
    expect(its.held).toBe(0)
    expect(its.takenBytes).toBe(sent)
  })

  it("have windows that grow while their reader keeps up, to one MiB and within the connection's budget", () => {
    const { open, deliver } = both()
    const readers = Array.from({ length: 40 }, () => open())
    const pumped = (reader: Reader): number => {
      let last = 0
      for (let i = 0; i < 12; i++) {
        last = reader.stream.write(new Uint8Array(2 * MAX_WINDOW))
        deliver()
      }
      return last
    }
    expect(pumped(readers[0]!)).toBe(MAX_WINDOW)
    const windows = readers.map(pumped)
    const base = readers.length * BASE_WINDOW
    expect(windows.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(base + 16_777_216)
    expect(windows.every((each) => each >= BASE_WINDOW / 2)).toBe(true)
    // What a stream had grown by is free again once it is over.
    for (const { stream } of readers) stream.reset("cancelled")
    deliver()
    expect(pumped(open())).toBe(MAX_WINDOW)
  })

  it("write in frames of at most 64 KiB", () => {
    const { open, toMachine, deliver } = both()
    const mine = open()
    for (let i = 0; i < 8; i++) {
      mine.stream.write(new Uint8Array(MAX_WINDOW))
      for (const message of toMachine) expect(message.length).toBeLessThanOrEqual(MAX_DATA + 5)
      deliver()
    }
  })

  it("end early on both sides with a reset, once", () => {
    const { open, taken, deliver, relay, machine } = both()
    const mine = open()
    taken.get(1)!.stream.reset("failed")
    taken.get(1)!.stream.reset("failed")
    deliver()
    mine.stream.reset("cancelled")
    deliver()
    expect([mine.resets, taken.get(1)!.resets, relay.size, machine.size]).toEqual([["failed"], [], 0, 0])
    expect(mine.stream.write(Uint8Array.of(1))).toBe(0)
  })

  it("are all lost with their connection, and nothing is sent after that", () => {
    const { open, relay, toMachine } = both()
    const readers = [open(), open()]
    relay.close()
    expect(readers.map(({ resets }) => resets)).toEqual([["lost"], ["lost"]])
    readers[0]!.stream.write(Uint8Array.of(1))
    readers[0]!.stream.end()
    expect([toMachine, relay.size, relay.receive(frames.end(9))]).toEqual([[], 0, undefined])
  })

  it("are refused above their number, and the others are as before", () => {
    const { open, machine, relay, toMachine, deliver, problems } = both()
    const readers = Array.from({ length: MAX_STREAMS + 1 }, () => open())
    expect(readers.at(-1)!.resets).toEqual(["refused"])
    expect([machine.size, relay.size, problems]).toEqual([MAX_STREAMS, MAX_STREAMS, []])
    readers[0]!.stream.write(Uint8Array.of(1))
    expect(toMachine).toHaveLength(1)
    deliver()
  })

  it("may be over on one side while the other still sends", () => {
    const { open, taken, relay, problems, deliver } = both()
    const mine = open()
    const its = taken.get(1)!
    its.stream.write(Uint8Array.of(1))
    its.stream.end()
    mine.stream.reset("cancelled")
    deliver()
    expect([problems, relay.size, mine.taken]).toEqual([[], 0, []])
  })

  it("are told that the machine drains", () => {
    const { relay, drained } = both()
    expect([relay.receive(frames.drain), drained()]).toEqual([undefined, 1])
  })

  it.each<[string, "relay" | "machine", readonly Uint8Array[]]>([
    ["no frame", "machine", [Uint8Array.of(9)]],
    ["a stream that the machine opens", "relay", [frames.open(5)]],
    ["a relay that drains", "machine", [frames.drain]],
    ["a stream that was never opened", "relay", [frames.data(2, 1)]],
    ["an id that is used twice", "machine", [frames.open(1), frames.open(1)]],
    ["an id below the last", "machine", [frames.open(7), frames.open(6)]],
    ["data beyond the window", "relay", [frames.data(1, MAX_DATA), frames.data(1, 1)]],
    ["data after the end", "relay", [frames.end(1), frames.data(1, 1)]],
    ["two ends", "relay", [frames.end(1), frames.end(1)]],
    ["a window above the largest", "relay", [frames.window(1, MAX_WINDOW - BASE_WINDOW), frames.window(1, 1)]],
  ])("close the connection for %s", (_, side, messages) => {
    const sides = both({ reads: false })
    // The relay's reader, too, leaves what comes unread.
    if (side === "relay") sides.open(false)
    const problems = messages.map((message) => sides[side].receive(message))
    expect(problems.slice(0, -1).every((problem) => problem === undefined)).toBe(true)
    expect(problems.at(-1)).toEqual(expect.any(String))
  })

  it("survive any messages of a peer with a bounded memory", () => {
    const message = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc
        .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 3 }), fc.uint8Array({ maxLength: 64 }))
        .map(([type, id, rest]) => Uint8Array.from([type, 0, 0, 0, id, ...rest])),
      fc.constantFrom(frames.end(1), frames.reset(1), frames.window(1, 9), frames.data(1, MAX_DATA), frames.open(1)),
    )
    fc.assert(
      fc.property(fc.array(message, { maxLength: 40 }), (messages) => {
        const { relay, machine, open } = both({ reads: false })
        const mine = open(false)
        for (const each of messages) {
          if (relay.receive(each) !== undefined) break
          expect(mine.held).toBeLessThanOrEqual(BASE_WINDOW)
        }
        for (const each of messages) if (machine.receive(each) !== undefined) break
        expect(machine.size).toBeLessThanOrEqual(MAX_STREAMS)
        relay.close()
        machine.close()
        expect([relay.size, machine.size]).toEqual([0, 0])
      }),
      { numRuns: 2_000 },
    )
  })
})
