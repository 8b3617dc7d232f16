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

describe("the engine's deadlines", () => {
  /** A scanner whose scans are this test's to make. */
  const scanning = (run: (scan: (elapsedMs: number) => void, scanner: DeadlineScanner) => void) => {
    let time = 1_000
    const performance = vi.spyOn(globalThis.performance, "now").mockImplementation(() => time)
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
    try {
      run((elapsed) => {
        time += elapsed
        vi.advanceTimersByTime(50)
      }, new DeadlineScanner(50))
    } finally {
      performance.mockRestore()
      vi.useRealTimers()
    }
  }
  const entryOf = (scanner: DeadlineScanner, ms: number) => {
    const entry = { deadlineAt: 0, fired: 0, onDeadline: () => void entry.fired++ }
    scanner.add(entry)
    entry.deadlineAt = scanner.in(ms)
    return entry
  }

  it("that came due while the process did not run fire one scan later, unless what arrived meanwhile renewed them", () => {
    scanning((scan, scanner) => {
      const [idle, renewed] = [entryOf(scanner, 1_000), entryOf(scanner, 1_000)]
      // An hour without a scan is no sign that a peer was idle: what it sent is read first.
      scan(3_600_000)
      expect([idle.fired, renewed.fired]).toEqual([0, 0])
      renewed.deadlineAt = scanner.in(1_000)
      scan(50)
      expect([idle.fired, renewed.fired]).toEqual([1, 0])
      for (let i = 0; i < 18; i++) scan(50)
      expect(renewed.fired).toBe(0)
      for (let i = 0; i < 2; i++) scan(50)
      expect([idle.fired, renewed.fired]).toEqual([1, 1])
    })
  })

  it("of 15 s are over after 16 s at most where every turn of the event loop takes 500 ms, and never early", () => {
    scanning((scan, scanner) => {
      const entry = entryOf(scanner, 15_000)
      let elapsed = 0
      while (entry.fired === 0 && elapsed < 100_000) {
        scan(500)
        elapsed += 500
      }
      expect(elapsed).toBeGreaterThanOrEqual(15_000)
      expect(elapsed).toBeLessThanOrEqual(16_000)
    })
  })

  it("are never early for what was set late in a long turn", () => {
    scanning((scan, scanner) => {
      const waiting = entryOf(scanner, 0)
      const now = vi.mocked(globalThis.performance.now)
      scan(50)
      const before = now()
      now.mockImplementation(() => before + 900)
      waiting.deadlineAt = scanner.in(1_000)
      for (let at = 900; at < 1_900; at += 50) {
        now.mockImplementation(() => before + at)
        vi.advanceTimersByTime(50)
        expect(waiting.fired).toBe(0)
      }
      now.mockImplementation(() => before + 1_900)
      vi.advanceTimersByTime(50)
      expect(waiting.fired).toBe(1)
    })
  })

  it("do not end a client whose bytes arrived while the process did not run", async () => {
    const apps = await h.listenApp()
    const front = await h.listen((request) => h.asSent(request, apps.port), { limits: { bodyIdleTimeoutMs: 1_000 } })
    const client = await front.connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    const app = await apps.connection(0)
    await app.until("\r\n\r\n")
    client.send("abc")
    // The bytes are in the engine's socket, unread, while its deadline passes.
    const end = performance.now() + 1_500
    while (performance.now() < end) continue
    await app.until("abc")
    app.send("HTTP/1.1 204 N\r\n\r\n")
    expect(h.status(await client.until("\r\n\r\n"))).toBe(204)
  })
})
