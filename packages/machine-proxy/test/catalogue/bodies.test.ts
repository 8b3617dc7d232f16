/** Group S of the catalogue: bodies, flow control, and how exchanges begin, break and end. */
import { createHash, randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import { gzipSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { closedPort } from "../harness.ts"
import {
  KiB,
  MiB,
  READ,
  Sink,
  afterHead,
  connectTo,
  gone,
  headTo,
  heapOf,
  heldBetween,
  pour,
  residentOf,
  signal,
  startCommand,
  startMachine,
  startScript,
  startServer,
} from "./bulk.ts"
import { SOON_MS, bytes, closing, ok, pieces, resetting, silent, useMachine } from "./harness.ts"
import type { AppConnection, Client } from "./harness.ts"

const m = useMachine()

const says = (status: string, ...fields: readonly string[]): string =>
  `HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`

const appClosed = (connection: () => AppConnection | undefined = () => m.app.connections[0]): Promise<void> =>
  m.app.until(
    () => connection()?.closed !== undefined,
    () => "the connection to the app to close",
  )

/** Runs the script once the app has a head, complete body or not. */
const onHead = (run: (connection: AppConnection) => void): void => {
  const seen = new Set<AppConnection>()
  m.app.script = silent
  m.app.onData = (connection) => {
    if (seen.has(connection) || !connection.text.includes("\r\n\r\n")) return
    seen.add(connection)
    run(connection)
  }
}

const exchanges = () => m.events.filter((event) => event.type === "request")

describe("nothing is held back", () => {
  it("S01 the first octets of an upload reach the app while the rest is not there", async () => {
    for (const [framing, sent] of [
      ["Content-Length: 100", "0123456789"],
      ["Transfer-Encoding: chunked", "a\r\n0123456789\r\n"],
    ] as const) {
      m.app.connections.splice(0)
      const client = m.connect()
      const start = performance.now()
      await client.write(m.post([framing], sent))
      await m.app.until(
        () => m.app.text.includes("0123456789"),
        () => "ten octets",
      )
      expect(performance.now() - start).toBeLessThan(SOON_MS)
      client.destroy()
      await appClosed()
    }
  })

  it("S02 an event reaches the client at once, as it is, and so does the next", async () => {
    let next = (): void => undefined
    m.app.script = pieces(
      `${says("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")}8\r\ndata: 1\n\r\n`,
      new Promise<void>((resolve) => (next = resolve)),
      "8\r\ndata: 2\n\r\n0\r\n\r\n",
    )
    const start = performance.now()
    const client = await m.connect().write(m.get("/", "Accept-Encoding: gzip"))
    await client.until(
      () => client.text.includes("data: 1\n"),
      () => "an event",
    )
    expect(performance.now() - start).toBeLessThan(SOON_MS)
    next()
    expect((await client.answered(1))[0]!.text).toBe("data: 1\ndata: 2\n")
  })

  it("S03 a head reaches the client before any of its body", async () => {
    for (const framing of ["Content-Length: 2", "Transfer-Encoding: chunked", "X-Until: close"]) {
      m.app.script = bytes(says("200 OK", framing))
      const start = performance.now()
      const client = await m.connect().write(m.get())
      await client.until(
        () => client.messages.length === 1,
        () => "a head",
      )
      expect(performance.now() - start).toBeLessThan(SOON_MS)
      client.destroy()
    }
  })

  it("S03 request and answer flow at once: an echo while it uploads", async () => {
    m.app.script = silent
    onHead((connection) => connection.write(says("200 OK", "Transfer-Encoding: chunked")))
    const client = await m.connect().write(m.post(["Transfer-Encoding: chunked"]))
    for (let i = 0; i < 5; i++) {
      await client.write(`6\r\nping ${i}\r\n`)
      await m.app.until(
        () => m.app.text.includes(`ping ${i}`),
        () => `ping ${i}`,
      )
      m.app.connections[0]!.write(`6\r\npong ${i}\r\n`)
      await client.until(
        () => client.text.includes(`pong ${i}`),
        () => `pong ${i}`,
      )
    }
    m.app.script = bytes("0\r\n\r\n")
    await client.write("0\r\n\r\n")
    expect((await client.answered(1))[0]!.text).toBe("pong 0pong 1pong 2pong 3pong 4")
  })
})

describe("bodies are octets", () => {
  it.each([
    ["multipart/form-data; boundary=x", '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\0\r\n--x--\r\n'],
    ["application/x-www-form-urlencoded", "a=1&a=%zz&b=+%00"],
    ["application/json ;charset=latin1", '{"a": 1e400 , "a":\xe9}'],
    ["application/octet-stream", gzipSync("hello")],
    ["application/octet-stream", randomBytes(300_000)],
    ["text/plain", ""],
  ])("S06 passes %j unread, with a length and in chunks, both ways", async (type, body) => {
    const octets = typeof body === "string" ? Buffer.from(body, "latin1") : body
    const digest = (data: Uint8Array) => createHash("sha256").update(data).digest("hex")
    const half = Math.floor(octets.length / 2)
    const chunk = (data: Buffer) => [`${data.length.toString(16).toUpperCase()};ext="x"\r\n`, data, "\r\n"]
    const chunks = [octets.subarray(0, half), octets.subarray(half)].filter((data) => data.length > 0).flatMap(chunk)
    const sent = [
      [m.post([`Content-Type: ${type}`, `Content-Length: ${octets.length}`]), octets],
      [m.post([`Content-Type: ${type}`, "Transfer-Encoding: chunked"]), ...chunks, "0\r\n\r\n"],
    ]
    for (const request of sent) {
      m.app.script = bytes(says("200 OK", "Transfer-Encoding: chunked"), ...chunks, "0\r\n\r\n")
      const answer = await m.ask(...request)
      expect(digest(answer.body)).toBe(digest(octets))
      expect(digest(m.app.requests.at(-1)!.body)).toBe(digest(octets))
      expect(m.app.requests.at(-1)!.value("content-type")).toBe(type)
      // RFC 9112 §7.1.1: an unknown extension is ignored and not passed on.
      expect(m.app.text).not.toContain("ext=")
    }
  })
})

describe("the pace of the slower side is the pace of both", () => {
  // What the kernel has not taken of one read, and the read that is made of a paused socket; a little for the framing of chunks.
  const HELD = 2 * READ + 512
  // The client's socket is the caller's: below its mark of 64 KiB it is read once more while paused.
  const HELD_OF_UPLOAD = HELD + READ

  const open = async (
    head: (port: number) => string,
    onRequest: (socket: Socket) => void,
  ): Promise<{ client: Socket; app: Socket }> => {
    let accepted: Socket | undefined
    const app = await startServer((socket) => {
      accepted = socket
      afterHead(socket, () => onRequest(socket))
    })
    const client = await connectTo(m.port)
    client.write(head(app.port))
    await expect.poll(() => accepted).toBeDefined()
    return { client, app: accepted! }
  }

  it.each([
    ["a length", says("200 OK", `Content-Length: ${256 * MiB}`), undefined],
    ["the end of the connection", says("200 OK"), undefined],
    ["chunks", says("200 OK", "Transfer-Encoding: chunked"), Buffer.from(`10000\r\n${"x".repeat(64 * KiB)}\r\n`)],
    [
      "small chunks",
      says("200 OK", "Transfer-Encoding: chunked"),
      Buffer.from(`400\r\n${"x".repeat(KiB)}\r\n`.repeat(60)),
    ],
  ])("S04 a client that stops reading stops the app: an answer with %s", async (_, head, piece) => {
    const { client, app } = await open(
      (port) => headTo(port, "GET / HTTP/1.1"),
      (socket) => {
        socket.write(head)
        void pour(socket, 256 * MiB, piece)
      },
    )
    client.once("data", () => client.pause())
    const { held, sent } = await heldBetween(app, client)
    expect(held).toBeLessThanOrEqual(HELD)
    expect(sent).toBeLessThan(32 * MiB)
    client.destroy()
    await gone(app)
  })

  it.each([
    ["a length", `Content-Length: ${256 * MiB}`, undefined],
    ["chunks", "Transfer-Encoding: chunked", Buffer.from(`10000\r\n${"x".repeat(64 * KiB)}\r\n`)],
  ])("S05 an app that stops reading stops the client: an upload with %s", async (_, framing, piece) => {
    const { client, app } = await open(
      (port) => headTo(port, "POST / HTTP/1.1", framing),
      (socket) => socket.pause(),
    )
    void pour(client, 256 * MiB, piece)
    const { held, sent } = await heldBetween(client, app)
    expect(held).toBeLessThanOrEqual(HELD_OF_UPLOAD)
    expect(sent).toBeLessThan(32 * MiB)
    client.destroy()
    app.resume()
    await gone(app)
  })

  it("S05 an app that never accepts a request's connection does not have it read ahead without bound", async () => {
    // A ticket that is checked late, a slow connect: the body waits in the kernel, not in the proxy.
    const { client, app } = await open(
      (port) => headTo(port, "POST / HTTP/1.1", "Expect: 100-continue", `Content-Length: ${64 * MiB}`),
      (socket) => socket.pause(),
    )
    void pour(client, 64 * MiB)
    expect((await heldBetween(client, app)).held).toBeLessThanOrEqual(HELD_OF_UPLOAD)
    client.destroy()
    app.resume()
  })

  it("S05 pipelined requests wait while the client does not read their answers", async () => {
    let seen = 0
    const body = "x".repeat(32 * KiB)
    await using app = await startServer((socket) => {
      let rest = ""
      socket.on("data", (data: Buffer) => {
        const parts = (rest + data.toString("latin1")).split("\r\n\r\n")
        rest = parts.pop()!
        const count = parts.length
        seen += count
        for (let i = 0; i < count; i++) socket.write(`${says("200 OK", `Content-Length: ${body.length}`)}${body}`)
      })
    })
    const client = await connectTo(m.port)
    client.pause()
    const request = Buffer.from(headTo(app.port, "GET / HTTP/1.1"))
    const total = 2_000
    void pour(client, total * request.length, request)
    let [last, same] = [-1, 0]
    await expect
      .poll(
        () => {
          same = seen === last ? same + 1 : 0
          last = seen
          return same
        },
        { interval: 50, timeout: 10_000 },
      )
      .toBeGreaterThanOrEqual(5)
    // What fits into the kernel's queues of one connection, not 128 MiB.
    expect(seen * body.length).toBeLessThan(16 * MiB)
    expect(seen).toBeGreaterThan(0)
    // Once it reads, every request is answered.
    const sink = new Sink(client)
    client.resume()
    await expect.poll(() => seen, { timeout: 20_000 }).toBe(total)
    await sink.received(total * body.length, 20_000)
    client.destroy()
  })

  it("S07 passes 256 MiB down and up in constant memory, past every time-out that does not fit its progress", async () => {
    await using command = await startCommand()
    let arrived = 0
    await using app = await startServer((socket) => {
      afterHead(socket, (head, rest) => {
        if (head.startsWith("GET")) {
          socket.write(says("200 OK", "Connection: close", `Content-Length: ${256 * MiB}`))
          void pour(socket, 256 * MiB)
          return
        }
        arrived = rest.length
        const total = Number(/content-length: (\d+)/i.exec(head)![1])
        const done = () => {
          if (arrived === total) socket.write(says("200 OK", "Connection: close", "Content-Length: 0"))
        }
        socket.on("data", (data: Buffer) => {
          arrived += data.length
          done()
        })
        done()
      })
    })
    const up = async (octets: number): Promise<void> => {
      const client = await connectTo(command.port)
      const sink = new Sink(client)
      client.write(headTo(app.port, "POST / HTTP/1.1", `Content-Length: ${octets}`))
      await pour(client, octets)
      await sink.received(20, 20_000)
      expect(sink.head).toMatch(/^HTTP\/1\.1 200 /)
      expect(arrived).toBe(octets)
      client.destroy()
    }
    const down = async (): Promise<void> => {
      const client = await connectTo(command.port)
      const sink = new Sink(client)
      client.write(headTo(app.port, "GET / HTTP/1.1"))
      await sink.received(256 * MiB, 20_000)
      client.destroy()
    }
    // A runtime keeps what it once needed.
    await up(256 * MiB)
    await down()
    await heapOf(command)
    const before = residentOf(command.pid)
    await down()
    await up(256 * MiB)
    // What was read is garbage, collected by the question: the bound is on growth with the body, eight times smaller than it.
    await heapOf(command)
    expect(residentOf(command.pid) - before).toBeLessThan(64 * MiB)
  })
})

describe("an answer that breaks off looks broken", () => {
  /** The client has the beginning and a failure. Never a clean end, never a hang. */
  const broken = async (client: Client): Promise<void> => {
    expect(await client.close()).toBe("reset")
    expect(client.answers).toEqual([])
    expect(client.text).not.toMatch(/\r\n0\r\n/)
  }

  it.each([
    ["S08", "a FIN inside a length", closing(says("200 OK", "Content-Length: 100"), "0123456789")],
    ["S08", "a reset inside a length", resetting(says("200 OK", "Content-Length: 100"), "0123456789")],
    ["S08", "a FIN right after the head", closing(says("200 OK", "Content-Length: 100"))],
    ["S09", "a FIN instead of the last chunk", closing(says("200 OK", "Transfer-Encoding: chunked"), "5\r\nhello\r\n")],
    ["S09", "a reset instead of it", resetting(says("200 OK", "Transfer-Encoding: chunked"), "5\r\nhello\r\n")],
    ["S09", "a FIN inside a chunk", closing(says("200 OK", "Transfer-Encoding: chunked"), "5\r\nhe")],
    [
      "S09",
      "a FIN inside the last chunk",
      closing(says("200 OK", "Transfer-Encoding: chunked"), "5\r\nhello\r\n0\r\n"),
    ],
    ["S09", "a FIN inside trailers", closing(says("200 OK", "Transfer-Encoding: chunked"), "0\r\nX-T: 1\r\n")],
    ["S09", "a size that is none", bytes(says("200 OK", "Transfer-Encoding: chunked"), "5\r\nhello\r\n", "ZZ\r\n")],
    [
      "S09",
      "a chunk longer than its size",
      bytes(says("200 OK", "Transfer-Encoding: chunked"), "5\r\nhello!\r\n0\r\n\r\n"),
    ],
    ["S09", "a bare LF", bytes(says("200 OK", "Transfer-Encoding: chunked"), "5\nhello\n0\n\n")],
    ["S11", "a reset where the end is the end", resetting(says("200 OK"), "hello")],
    ["S11", "a reset of HTTP/1.0", resetting("HTTP/1.0 200 OK\r\n\r\n", "hello")],
  ] as const)("%s by %s", async (_, __, script) => {
    m.app.script = script
    await broken(await m.connect().write(m.get()))
    await appClosed()
    expect(exchanges()).toEqual([expect.objectContaining({ complete: false })])
  })

  it("S11 while an answer that ends with the connection is complete, framed anew", async () => {
    for (const version of ["1.0", "1.1"]) {
      m.app.script = closing(`HTTP/${version} 200 OK\r\n\r\n`, "hello ", "world")
      const client = await m.connect().write(m.get())
      const [answer] = await client.answered(1)
      expect(answer!.text).toBe("hello world")
      expect(answer!.value("transfer-encoding")).toBe("chunked")
      // The client's connection goes on.
      m.app.script = ok("again")
      await client.write(m.get())
      expect((await client.answered(2))[1]!.text).toBe("again")
    }
  })

  it("S11 by HTTP/1.0 with keep-alive and a length is complete", async () => {
    m.app.script = bytes("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello")
    expect((await m.ask(m.get())).text).toBe("hello")
  })

  it("S08 also when the client reads slowly and the app is killed", async () => {
    await using command = await startCommand()
    await using app = await startScript(
      `const head = "HTTP/1.1 200 OK\\r\\nContent-Length: ${512 * MiB}\\r\\n\\r\\n"
       require("net").createServer((s) => { s.on("error", () => 0); s.once("data", () => { s.write(head); const go = () => { while (s.write(Buffer.alloc(65536))); }; s.on("drain", go); go() }) })
         .listen(0, "127.0.0.1", function () { console.log(this.address().port) })`,
    )
    const sink = new Sink(await connectTo(command.port))
    sink.socket.write(headTo(app.port, "GET / HTTP/1.1"))
    await sink.received(4 * MiB)
    signal(app, "SIGKILL")
    await sink.close()
    // A FIN or a reset: by length it is incomplete in any case.
    expect(sink.octets).toBeLessThan(512 * MiB)
    expect(command.child.exitCode).toBeNull()
  })

  it("S09 when the app is killed: no last chunk, and a reset", async () => {
    await using command = await startCommand()
    await using app = await startScript(
      `require("http").createServer((q, s) => { s.write("hello"); setInterval(() => s.write("tick"), 5) })
         .listen(0, "127.0.0.1", function () { console.log(this.address().port) })`,
    )
    const sink = new Sink(await connectTo(command.port))
    sink.socket.write(headTo(app.port, "GET / HTTP/1.1"))
    await sink.until(
      () => sink.head.includes("tick"),
      () => "a tick",
    )
    signal(app, "SIGKILL")
    expect(await sink.close()).toBe("reset")
    expect(sink.head).not.toMatch(/\r\n0\r\n/)
  })

  it("S08 when the proxy is killed: neither side sees a clean end", async () => {
    await using command = await startCommand()
    const closed: string[] = []
    let upload = 0
    await using app = await startServer((socket) => {
      const sink = new Sink(socket)
      void sink.close(10_000).then((how) => closed.push(how))
      afterHead(socket, (head, rest) => {
        upload += rest.length
        if (head.startsWith("POST")) socket.on("data", (data: Buffer) => (upload += data.length))
        else socket.write(`${says("200 OK", "Transfer-Encoding: chunked")}5\r\nhello\r\n`)
      })
    })
    const [down, up] = [new Sink(await connectTo(command.port)), new Sink(await connectTo(command.port))]
    down.socket.write(headTo(app.port, "GET / HTTP/1.1"))
    up.socket.write(headTo(app.port, "POST / HTTP/1.1", "Transfer-Encoding: chunked") + "5\r\nhello\r\n")
    await down.until(
      () => down.head.includes("hello"),
      () => "the beginning of an answer",
    )
    await expect.poll(() => upload).toBeGreaterThan(0)
    signal(command, "SIGKILL")
    await Promise.all([down.close(), up.close()])
    expect(down.head).not.toMatch(/\r\n0\r\n/)
    expect(up.octets).toBe(0)
    await expect.poll(() => closed.length).toBe(2)
    expect(upload).toBe("5\r\nhello\r\n".length)
  })

  it("D15 when the proxy is stopped with a hundred streams open: all see a failure", async () => {
    const own = await startMachine()
    await using app = await startServer((socket) =>
      afterHead(socket, () => socket.write(`${says("200 OK", "Transfer-Encoding: chunked")}5\r\nhello\r\n`)),
    )
    const sinks = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const sink = new Sink(await connectTo(own.port))
        sink.socket.write(headTo(app.port, "GET / HTTP/1.1"))
        await sink.until(
          () => sink.head.includes("hello"),
          () => "the beginning of an answer",
        )
        return sink
      }),
    )
    own.server.close()
    await own.proxy.drain({ deadlineMs: 50 })
    await Promise.all(sinks.map((sink) => sink.close()))
    expect(sinks.every(({ head }) => !/\r\n0\r\n/.test(head))).toBe(true)
    expect(own.proxy.connections()).toBe(0)
    await expect.poll(() => app.sockets.size).toBe(0)
  })
})

describe("a request that breaks off looks broken", () => {
  it.each([
    ["Content-Length: 100", "0123456789"],
    ["Transfer-Encoding: chunked", "a\r\n0123456789\r\n"],
    ["Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n"],
    ["Transfer-Encoding: chunked", "a\r\n01234"],
  ])("S10 with %j and %j, by a FIN and by a reset", async (framing, sent) => {
    for (const leave of ["end", "reset"] as const) {
      m.app.connections.splice(0)
      m.app.script = silent
      const client = await m.connect().write(m.post([framing], sent))
      await m.app.until(
        () => m.app.text.includes("01234"),
        () => "the beginning of the body",
      )
      client[leave]()
      await appClosed()
      expect(m.app.requests).toEqual([])
      expect(m.app.text).not.toMatch(/\r\n0\r\n\r\n$/)
    }
  })

  it("S10 when the client is killed", async () => {
    m.app.script = silent
    await using client = await startScript(
      `const s = require("net").connect(${m.port}, "127.0.0.1"); s.write(${JSON.stringify(m.post(["Transfer-Encoding: chunked"], "5\r\nhello\r\n"))}); console.log(0); setInterval(() => s.write("1\\r\\nx\\r\\n"), 5)`,
    )
    await m.app.until(
      () => m.app.text.includes("hello"),
      () => "the beginning of the body",
    )
    signal(client, "SIGKILL")
    await appClosed()
    expect(m.app.requests).toEqual([])
  })
})

describe("a client that leaves", () => {
  it.each(["end", "reset", "destroy"] as const)(
    "S12 by %s has its request to the app ended soon, and 499 is told",
    async (leave) => {
      m.app.script = silent
      const client = await m.connect().write(m.get())
      await m.app.seen(1)
      const start = performance.now()
      client[leave]()
      await appClosed()
      expect(performance.now() - start).toBeLessThan(SOON_MS)
      await expect.poll(exchanges).toEqual([expect.objectContaining({ status: 499, complete: false })])
    },
  )

  it("S12 in the middle of an answer has it ended soon", async () => {
    m.app.script = bytes(says("200 OK", "Transfer-Encoding: chunked"), "5\r\nhello\r\n")
    const client = await m.connect().write(m.get())
    await client.until(
      () => client.text.includes("hello"),
      () => "the beginning",
    )
    const start = performance.now()
    client.reset()
    await appClosed()
    expect(performance.now() - start).toBeLessThan(SOON_MS)
  })

  it("S12 while it is being connected leaves nothing behind", async () => {
    m.app.script = silent
    for (let i = 0; i < 20; i++) {
      const client = await m.connect().write(m.get())
      client.reset()
    }
    await expect.poll(() => m.app.connections.every(({ closed }) => closed !== undefined)).toBe(true)
  })

  it("S15 only half gets the answer that is on its way, and the connection ends", async () => {
    for (const request of [m.get(), m.post(["Content-Length: 5"], "hello")]) {
      m.app.script = ok("ok")
      const client = m.connect()
      client.socket.write(request)
      client.end()
      expect((await client.answered(1))[0]!.text).toBe("ok")
      expect(await client.close()).toBe("fin")
    }
  })

  it("S15 only half has its pipelined requests answered before the end", async () => {
    m.app.script = (request, connection) => void ok(request.target)(request, connection)
    const client = m.connect()
    client.socket.write(m.get("/1") + m.get("/2") + m.get("/3"))
    client.end()
    expect((await client.answered(3)).map(({ text }) => text)).toEqual(["/1", "/2", "/3"])
    expect(await client.close()).toBe("fin")
  })

  it("S15 only half, with an unfinished request behind a finished one, has the connection ended", async () => {
    m.app.script = ok("ok")
    const client = m.connect()
    client.socket.write(`${m.get()}GET /half HTTP/1.1\r\nHost: x\r\n`)
    client.end()
    expect((await client.answered(1))[0]!.text).toBe("ok")
    expect(await client.close()).toBe("fin")
  })
})

describe("an answer before the end of the request", () => {
  it("S13 reaches the client, and neither connection is used again", async () => {
    onHead((connection) => connection.write(`${says("413 Content Too Large", "Content-Length: 2")}no`))
    const client = await m.connect().write(m.post(["Content-Length: 1000000"], "x".repeat(1_000)))
    const [answer] = await client.answered(1)
    expect([answer!.status, answer!.text, answer!.value("connection")]).toEqual([413, "no", "close"])
    await appClosed()
    expect(await client.close()).toBe("fin")
  })

  it("S13 reaches the client also when the app reads nothing of the upload, as long as it waits before it closes", async () => {
    await using app = await startServer((socket) => {
      socket.once("data", () => {
        socket.pause()
        socket.end(`${says("413 Content Too Large", "Content-Length: 2", "Connection: close")}no`)
      })
    })
    for (let i = 0; i < 10; i++) {
      const sink = new Sink(await connectTo(m.port))
      sink.socket.write(headTo(app.port, "POST / HTTP/1.1", `Content-Length: ${8 * MiB}`))
      void pour(sink.socket, 8 * MiB)
      expect(await sink.close()).toBe("fin")
      expect(sink.head).toMatch(/^HTTP\/1\.1 413 .*no$/s)
      sink.socket.destroy()
    }
  })

  it("S13 is the app's, also when it closes at once and so resets its own connection", async () => {
    // RFC 9112 §9.6: what the app wrote before the reset has arrived, though a write to it fails before it is read.
    await using app = await startServer((socket) => {
      socket.once("data", () => {
        socket.pause()
        socket.end(`${says("413 Content Too Large", "Content-Length: 2")}no`, () => socket.destroy())
      })
    })
    for (let i = 0; i < 10; i++) {
      const sink = new Sink(await connectTo(m.port))
      sink.socket.write(headTo(app.port, "POST / HTTP/1.1", `Content-Length: ${8 * MiB}`))
      void pour(sink.socket, 8 * MiB)
      expect(await sink.close()).toBe("fin")
      expect(sink.head).toMatch(/^HTTP\/1\.1 413 .*\r\nConnection: close\r\n.*no$/s)
      sink.socket.destroy()
    }
  })

  it("S16 of the proxy's own can be read by a client that goes on sending", async () => {
    const port = await closedPort()
    for (const head of [
      headTo(port, "POST / HTTP/1.1", `Content-Length: ${16 * MiB}`),
      "POST / HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 16777216\r\n\r\n",
      `POST / HTTP/1.1\r\nHost: a b\r\nContent-Length: ${16 * MiB}\r\n\r\n`,
    ]) {
      const sink = new Sink(await connectTo(m.port))
      sink.socket.write(head)
      void pour(sink.socket, 16 * MiB)
      expect(await sink.close()).toBe("fin")
      expect(sink.head).toMatch(/^HTTP\/1\.1 (?:502|401|400) .*\r\nConnection: close\r\n/s)
      sink.socket.destroy()
    }
  })

  it("S16 by the app can be read by a client that goes on sending, and ends it within the linger time", async () => {
    onHead((connection) => connection.write(`${says("413 Content Too Large", "Content-Length: 2")}no`))
    const sink = new Sink(await connectTo(m.port))
    sink.socket.write(m.post([`Content-Length: ${64 * MiB}`]))
    const all = pour(sink.socket, 64 * MiB)
    expect(await sink.close()).toBe("fin")
    expect(sink.head).toMatch(/^HTTP\/1\.1 413 /)
    await all
    sink.socket.destroy()
  })
})

describe("an app that is not there", () => {
  it("S17 fifty times over is an instant answer that is the proxy's own by a header", async () => {
    const port = await closedPort()
    const times: number[] = []
    for (let i = 0; i < 50; i++) {
      const start = performance.now()
      const answer = await m.ask(headTo(port, "GET / HTTP/1.1"))
      times.push(performance.now() - start)
      expect([answer.status, answer.value("x-iterate-proxy-error")]).toEqual([502, "PORT_CLOSED"])
    }
    // Nine of ten, since other tests run beside this one.
    expect(times.toSorted((a, b) => a - b)[44]).toBeLessThan(500)
    m.app.script = bytes(says("502 Bad", "X-Iterate-Proxy-Error: PORT_CLOSED", "Content-Length: 0"))
    expect((await m.ask(m.get())).value("x-iterate-proxy-error")).toBeUndefined()
  })

  it.each([
    ["a FIN", closing()],
    ["a reset", resetting()],
    ["a FIN inside the head", closing("HTTP/1.1 200 OK\r\nContent-Le")],
    ["a reset inside the head", resetting("HTTP/1.1 200")],
    ["a FIN after an interim answer", closing("HTTP/1.1 103 Early Hints\r\n\r\n")],
  ] as const)("S19 answers with %s: 502, once, for every method", async (_, script) => {
    m.app.script = script
    for (const method of ["GET", "POST", "DELETE"]) {
      const answer = await m.ask(m.routed(`${method} / HTTP/1.1`, "Host: app.example.com", "Content-Length: 0"))
      expect([answer.status, answer.value("x-iterate-proxy-error")]).toEqual([502, "UPSTREAM_FAILED"])
    }
    expect(m.app.requests).toHaveLength(3)
  })

  it("S19 closes as soon as it has accepted: 502", async () => {
    m.app.onConnection = ({ socket }) => socket.destroy()
    expect((await m.ask(m.get())).status).toBe(502)
  })
})

describe("a kept connection that the app closes under a request", () => {
  const second = async (request: string): Promise<Client> => {
    m.app.script = ok("first")
    const client = await m.connect().write(m.get("/first"))
    await client.answered(1)
    let fell = false
    m.app.script = (got, connection) => {
      if (fell) return ok("retried")(got, connection)
      fell = true
      connection.socket.end()
    }
    return client.write(request)
  }

  it.each(["POST", "PATCH", "PUT", "DELETE", "OPTIONS", "PROPFIND"])(
    "S20 never has a %s sent twice",
    async (method) => {
      const client = await second(
        m.routed(`${method} /second HTTP/1.1`, "Host: app.example.com", "Content-Length: 2") + "ab",
      )
      expect((await client.answered(2))[1]!.status).toBe(502)
      expect(m.app.requests.filter(({ target }) => target === "/second")).toHaveLength(1)
    },
  )

  it.each(["POST", "DELETE"])("S20 never has a %s without a body sent twice", async (method) => {
    const client = await second(m.routed(`${method} /second HTTP/1.1`, "Host: app.example.com"))
    expect((await client.answered(2))[1]!.status).toBe(502)
    expect(m.app.requests.filter(({ target }) => target === "/second")).toHaveLength(1)
  })

  it("S20 has a GET sent once more, on a new connection", async () => {
    const client = await second(m.get("/second"))
    expect((await client.answered(2))[1]!.text).toBe("retried")
    expect(m.app.connections).toHaveLength(2)
  })

  it("S20 has no GET with a body sent twice", async () => {
    const client = await second(m.get("/second", "Content-Length: 2") + "ab")
    expect((await client.answered(2))[1]!.status).toBe(502)
    expect(m.app.requests.filter(({ target }) => target === "/second")).toHaveLength(1)
  })

  it("S20 gives up when the second connection breaks as well", async () => {
    m.app.script = ok("first")
    const client = await m.connect().write(m.get("/first"))
    await client.answered(1)
    m.app.script = closing()
    await client.write(m.get("/second"))
    expect((await client.answered(2))[1]!.status).toBe(502)
    expect(m.app.requests.filter(({ target }) => target === "/second")).toHaveLength(2)
  })

  it("S21 is not one on which a chunked request was sent: that is closed", async () => {
    m.app.script = ok("ok")
    const client = await m.connect().write(m.post(["Transfer-Encoding: chunked"], "2\r\nab\r\n0\r\n\r\n"))
    await client.answered(1)
    await appClosed()
    await client.write(m.get())
    await client.answered(2)
    expect(m.app.connections).toHaveLength(2)
  })

  it("S21 is used again after plain requests and lengths", async () => {
    m.app.script = ok("ok")
    const client = await m.connect().write(m.get(), m.post(["Content-Length: 2"], "ab"), m.get())
    await client.answered(3)
    expect(m.app.connections).toHaveLength(1)
  })

  it.each(["Connection: close", "Connection: Close, x"])("S21 is not kept when the app says %j", async (field) => {
    m.app.script = ok("ok", field)
    const client = await m.connect().write(m.get())
    await client.answered(1)
    await appClosed()
    await client.write(m.get())
    expect((await client.answered(2))[1]!.text).toBe("ok")
  })
})

describe("drain", () => {
  it("S24 closes idle connections at once, finishes what is at hand, refuses new ones, and ends what remains", async () => {
    const own = await startMachine()
    const answers: Socket[] = []
    await using app = await startServer((socket) =>
      afterHead(socket, (head) => {
        if (head.startsWith("GET /ws")) {
          socket.write(says("101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"))
        } else if (head.startsWith("GET /wait")) answers.push(socket)
        else socket.write(`${says("200 OK", "Connection: close", "Content-Length: 2")}ok`)
      }),
    )
    const open = async (text: string): Promise<Sink> => {
      const sink = new Sink(await connectTo(own.port))
      sink.socket.write(text)
      return sink
    }
    const idle = await open(headTo(app.port, "GET / HTTP/1.1"))
    await idle.received(20)
    const fresh = await open("")
    const waiting = await open(headTo(app.port, "GET /wait HTTP/1.1"))
    const webSocket = await open(headTo(app.port, "GET /ws HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket"))
    await webSocket.received(20)
    await expect.poll(() => answers.length).toBe(1)

    let drained = false
    const draining = own.proxy.drain({ deadlineMs: 1_000 }).then(() => (drained = true))
    expect(await idle.close()).toBe("fin")
    expect(await fresh.close()).toBe("fin")
    const late = new Sink(await connectTo(own.port))
    await late.close()
    expect(late.octets).toBe(0)
    expect(drained).toBe(false)
    answers[0]!.write(`${says("200 OK", "Content-Length: 4")}done`)
    expect(await waiting.close()).toBe("fin")
    expect(waiting.head).toMatch(/^HTTP\/1\.1 200 .*Connection: close\r\n.*done$/s)
    // 1001, "going away" (RFC 6455 §7.4.1), and then the end.
    expect(await webSocket.close()).toBe("fin")
    expect(webSocket.head.endsWith("\x88\x02\x03\xe9")).toBe(true)
    await draining
    expect(own.proxy.connections()).toBe(0)
    await expect.poll(() => app.sockets.size).toBe(0)
    own.server.close()
  })

  it("S24 by SIGTERM lets an answer finish and exits with 0", async () => {
    await using command = await startCommand({ INGRESS_DRAIN_MS: "5000" })
    let finish = (): void => undefined
    await using app = await startServer((socket) =>
      afterHead(socket, () => {
        finish = () => void socket.write(`${says("200 OK", "Content-Length: 2")}ok`)
      }),
    )
    const client = new Sink(await connectTo(command.port))
    client.socket.write(headTo(app.port, "GET / HTTP/1.1"))
    await expect.poll(() => app.sockets.size).toBe(1)
    await new Promise<void>((resolve) => {
      command.child.stdout!.once("data", () => resolve())
      signal(command, "SIGTERM")
    })
    finish()
    expect(await client.close()).toBe("fin")
    expect(client.head).toMatch(/ok$/)
    client.socket.destroy()
    expect(await command.exited).toEqual([0, null])
    expect(command.complaints()).toBe("")
  })
})

describe("many failures at once", () => {
  it("S25 twenty uploads of 6 MiB to an app that breaks in the middle neither hang nor leak", async () => {
    const own = await startMachine()
    await using app = await startServer((socket) => {
      let octets = 0
      socket.on("data", (data: Buffer) => {
        octets += data.length
        if (octets > MiB) socket.resetAndDestroy()
      })
    })
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const sink = new Sink(await connectTo(own.port))
        sink.socket.write(headTo(app.port, "POST / HTTP/1.1", `Content-Length: ${6 * MiB}`))
        void pour(sink.socket, 6 * MiB)
        await sink.close()
        expect(sink.head).toMatch(/^HTTP\/1\.1 502 /)
        sink.socket.destroy()
      }),
    )
    await expect.poll(() => [own.proxy.connections(), app.sockets.size]).toEqual([0, 0])
    expect(own.events.filter(({ type }) => type === "request")).toHaveLength(20)
    await own[Symbol.asyncDispose]()
  })

  it("S26 each exchange is told of once, whatever breaks at the same time", async () => {
    const scripts = [
      ok("x"),
      closing(),
      resetting(),
      closing(says("200 OK", "Content-Length: 9"), "x"),
      resetting(says("200 OK", "Content-Length: 9"), "x"),
      bytes(says("999 X")),
    ]
    let sent = 0
    for (const script of scripts) {
      for (const leave of ["end", "reset", "destroy"] as const) {
        m.app.script = script
        const client = await m.connect().write(m.post(["Content-Length: 2"], "ab"))
        sent++
        client[leave]()
        await client.until(
          () => client.socket.destroyed || client.closed !== undefined,
          () => "an end",
        )
      }
    }
    await expect.poll(() => exchanges().length).toBeGreaterThanOrEqual(sent)
    expect(exchanges()).toHaveLength(sent)
  })
})
