import { describe, expect, it, vi } from "vitest"
import { DeadlineScanner } from "../../src/sockets/io/deadlines.ts"
import * as h from "./harness.ts"

const MiB = 1_048_576

describe("a client that reads slowly", () => {
  it("gets everything, however long it takes in all, as long as no pause is as long as the idle time", async () => {
    h.holdTime()
    const rounds = 6
    // More than the buffers of two connections hold, so that each round moves bytes through the engine.
    const step = 16 * MiB
    const app = await h.listenApp((raw) => {
      void raw.until("\r\n\r\n").then(() => {
        raw.send(`HTTP/1.1 200 OK\r\nContent-Length: ${rounds * step}\r\n\r\n`)
        for (let i = 0; i < rounds * 16; i++) raw.socket.write(Buffer.alloc(MiB))
      })
    })
    const front = await h.listen(() => h.to(app.port))
    const { socket } = await front.connect()
    let received = 0
    socket.removeAllListeners("data")
    socket.on("data", (bytes: Buffer) => {
      received += bytes.length
    })
    socket.write(h.get())
    for (let round = 1; round <= rounds; round++) {
      await h.eventually(() => received >= round * step - MiB)
      socket.pause()
      h.passes(299_000)
      socket.resume()
    }
    await h.eventually(() => front.events.length === 1)
    expect(front.events).toMatchObject([{ type: "request", status: 200, complete: true, bytesOut: rounds * step }])
  })
})

describe("the engine's clock", () => {
  it("does not count time in which the process did not run", () => {
    let time = 1_000
    const performance = vi.spyOn(globalThis.performance, "now").mockImplementation(() => time)
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
    try {
      const scanner = new DeadlineScanner(50)
      const fired: number[] = []
      const entry = { deadlineAt: 0, onDeadline: () => fired.push(time) }
      scanner.add(entry)
      entry.deadlineAt = scanner.in(1_000)
      const scan = (elapsed: number) => {
        time += elapsed
        vi.advanceTimersByTime(50)
      }
      // An hour without a scan is no sign that a peer was idle: what it sent is read first.
      scan(3_600_000)
      expect(fired).toEqual([])
      for (let i = 0; i < 18; i++) scan(50)
      expect(fired).toEqual([])
      for (let i = 0; i < 2; i++) scan(50)
      expect(fired).toHaveLength(1)
    } finally {
      performance.mockRestore()
      vi.useRealTimers()
    }
  })
})
