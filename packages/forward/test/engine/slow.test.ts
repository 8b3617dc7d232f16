import { describe, expect, it, vi } from "vitest"
import { UpstreamPools } from "../../src/sockets/connection/upstream-pool.ts"
import { DeadlineScanner } from "../../src/sockets/io/deadlines.ts"
import { defaultLimits } from "../../src/sockets.ts"
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
  /** A scanner whose time, scans and turns of the event loop are this test's to make. */
  const scanning = (run: (loop: Loop) => void) => {
    let time = 1_000
    const performance = vi.spyOn(globalThis.performance, "now").mockImplementation(() => time)
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
    let immediates: (() => void)[] = []
    vi.stubGlobal("setImmediate", (run: () => void) => immediates.push(run))
    try {
      const scanner = new DeadlineScanner(50)
      const passes = (ms: number) => void (time += ms)
      run({
        passes,
        scan: (ms, read) => {
          passes(ms)
          vi.advanceTimersByTime(50)
          read?.()
          const due = immediates
          immediates = []
          for (const run of due) run()
        },
        start: (ms) => {
          const entry = { deadlineAt: 0, fired: 0, onDeadline: () => void entry.fired++, renew: () => {} }
          entry.renew = () => void (entry.deadlineAt = scanner.in(ms))
          scanner.add(entry)
          entry.renew()
          return entry
        },
      })
    } finally {
      performance.mockRestore()
      vi.unstubAllGlobals()
      vi.useRealTimers()
    }
  }
  interface Loop {
    /** Lets time pass without a scan. */
    readonly passes: (ms: number) => void
    /** A turn of the event loop: after `ms` the timers run, then sockets are read, then what waited for that. */
    readonly scan: (ms: number, read?: () => void) => void
    readonly start: (ms: number) => { readonly fired: number; readonly renew: () => void; deadlineAt: number }
  }

  it("fire only after the sockets were read, and not for what they have renewed", () => {
    scanning(({ scan, start }) => {
      const [idle, renewed] = [start(1_000), start(1_000)]
      for (let waited = 50; waited < 1_000; waited += 50) scan(50)
      scan(50, () => {
        expect([idle.fired, renewed.fired]).toEqual([0, 0])
        renewed.renew()
      })
      expect([idle.fired, renewed.fired]).toEqual([1, 0])
    })
  })

  it("that came due in a stall have as long again as it took, at most a second", () => {
    const heldFor = (stallMs: number) => {
      let held = 0
      scanning(({ scan, start }) => {
        const entry = start(100)
        scan(50)
        for (scan(stallMs); entry.fired === 0; held += 50) scan(50)
      })
      return held
    }
    // 100 ms late is a busy event loop, and no stall.
    expect([heldFor(100), heldFor(150), heldFor(600), heldFor(3_600_000)]).toEqual([0, 150, 600, 1_000])
  })

  it("are renewed after a stall by what needs more than one turn", () => {
    scanning(({ scan, start }) => {
      const handshake = start(1_000)
      scan(17_000)
      for (let turn = 0; turn < 5; turn++) scan(50)
      handshake.renew()
      for (let waited = 50; waited < 1_000; waited += 50) scan(50)
      expect(handshake.fired).toBe(0)
      scan(50)
      expect(handshake.fired).toBe(1)
    })
  })

  it("are held back by one stall only", () => {
    scanning(({ scan, start }) => {
      const entry = start(1_000)
      scan(17_000)
      expect(entry.fired).toBe(0)
      scan(200)
      expect(entry.fired).toBe(1)
    })
  })

  it("of 15 s are over after 16 s at most where every turn of the event loop takes 500 ms, and never early", () => {
    scanning(({ scan, start }) => {
      const entry = start(15_000)
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
    scanning(({ scan, start, passes }) => {
      const entry = start(0)
      scan(50)
      passes(900)
      entry.deadlineAt = performance.now() + 1_000
      for (let waited = 0; waited < 950; waited += 50) scan(50)
      expect(entry.fired).toBe(0)
      scan(50)
      expect(entry.fired).toBe(1)
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

describe("a free connection to an app", () => {
  it("is not used past its idle time, though a stall has kept its deadline from firing", async () => {
    h.holdTime()
    const app = await h.listenApp()
    const pools = new UpstreamPools(defaultLimits, new DeadlineScanner(50))
    const { origin } = h.to(app.port)
    const first = pools.take(origin, false)!
    await app.connection(0)
    pools.give(first)
    expect(pools.take(origin, false)).toBe(first)
    pools.give(first)
    const now = performance.now.bind(performance)
    // Without a scan: what the client sent in the stall is read before the timers run.
    performance.now = () => now() + defaultLimits.poolIdleTimeoutMs
    expect(pools.take(origin, false)).not.toBe(first)
    expect(first.closed).toBe(true)
    await app.connection(1)
    pools.closeFree()
  })
})
