/* oxlint-disable vitest/no-conditional-expect -- what is held depends on what the kernel did first */
/** Group D of the catalogue: slow, many and malicious clients, with the limits made small; and what the runtime must do. */
import { readFileSync, readdirSync } from "node:fs"
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import { defaultLimits } from "@project-ingress/forward/sockets"
import { describe, expect, it } from "vitest"
import { closedPort } from "../harness.ts"
import {
  KiB,
  MiB,
  Sink,
  afterHead,
  connectTo,
  gone,
  headTo,
  pour,
  residentOf,
  signal,
  startCommand,
  startMachine,
  startScript,
  startServer,
} from "./bulk.ts"
import { bytes, ok, pieces, silent, useMachine } from "./harness.ts"

const says = (status: string, ...fields: readonly string[]): string =>
  `HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`

/** Less than any time-out of `defaultLimits` that this file shortens, and much more than a busy machine needs. */
const WITHOUT_LIMIT_MS = 14_000

describe("slow clients", () => {
  const m = useMachine({ limits: { headersTimeoutMs: 400, bodyIdleTimeoutMs: 400, keepAliveTimeoutMs: 600 } })

  it("D01 with a head that never ends are answered 408 and closed in time, one octet after another or not", async () => {
    for (const trickle of [true, false]) {
      const client = await m.connect().write("GET / HTTP/1.1\r\nHost: app.example.com\r\nX-A: ")
      const start = performance.now()
      const timer = trickle ? setInterval(() => void client.write("a"), 50) : undefined
      const how = await client.close()
      clearInterval(timer)
      expect(how).toBe("fin")
      expect(client.answers.map(({ status }) => status)).toEqual([408])
      expect(performance.now() - start).toBeLessThan(WITHOUT_LIMIT_MS)
    }
  })

  it("D01 that send nothing at all are closed without a response, in time", async () => {
    const start = performance.now()
    const client = m.connect()
    expect(await client.close()).toBe("fin")
    expect(client.text).toBe("")
    expect(performance.now() - start).toBeLessThan(WITHOUT_LIMIT_MS)
  })

  it("D01 that send empty lines without end are closed in time", async () => {
    const start = performance.now()
    const client = m.connect()
    const timer = setInterval(() => void client.write("\r\n"), 30)
    await client.close()
    clearInterval(timer)
    expect(performance.now() - start).toBeLessThan(WITHOUT_LIMIT_MS)
  })

  it("D01 by the hundreds are all closed, and others are answered at once meanwhile", async () => {
    const start = performance.now()
    const slow = await Promise.all(
      Array.from({ length: 300 }, async () => {
        const sink = new Sink(await connectTo(m.port))
        sink.socket.write("GET / HTTP/1.1\r\nX")
        return sink
      }),
    )
    const times: number[] = []
    const probe = m.connect()
    for (let i = 0; i < 20; i++) {
      const asked = performance.now()
      await probe.write(m.get())
      await probe.answered(i + 1)
      times.push(performance.now() - asked)
    }
    expect(times.toSorted((a, b) => a - b)[18]).toBeLessThan(WITHOUT_LIMIT_MS / 2)
    await Promise.all(slow.map((sink) => sink.close()))
    expect(performance.now() - start).toBeLessThan(WITHOUT_LIMIT_MS)
    for (const { socket } of slow) socket.destroy()
  })

  it("D01 idle between two requests are closed without another response, in time", async () => {
    const start = performance.now()
    const client = await m.connect().write(m.get())
    await client.answered(1)
    expect(await client.close()).toBe("fin")
    expect(client.messages).toHaveLength(1)
    expect(performance.now() - start).toBeLessThan(WITHOUT_LIMIT_MS)
  })

  it("D02 with a body that stops are answered 408, and the app sees its request broken", async () => {
    for (const framing of ["Content-Length: 100", "Transfer-Encoding: chunked"]) {
      m.app.connections.splice(0)
      m.app.script = silent
      const client = await m.connect().write(m.post([framing], framing.startsWith("C") ? "12345" : "5\r\n12345\r\n"))
      await client.close()
      expect(client.answers.map(({ status }) => status)).toEqual([408])
      await m.app.until(
        () => m.app.connections[0]!.closed !== undefined,
        () => "the connection to the app to close",
      )
      expect(m.app.requests).toEqual([])
    }
  })

  it("D02 whose body goes on, slowly and for longer than the idle time, are served", async () => {
    m.app.script = ok("whole")
    const client = await m.connect().write(m.post(["Content-Length: 12"]))
    for (let i = 0; i < 12; i++) {
      await client.write("x")
      await new Promise((resolve) => setTimeout(resolve, 80))
    }
    expect((await client.answered(1))[0]!.text).toBe("whole")
    expect(m.app.request.text).toBe("x".repeat(12))
  })

  it("D02 whose body goes on after the app has begun its answer are served as well", async () => {
    let begun = false
    m.app.script = bytes("2\r\nok\r\n0\r\n\r\n")
    m.app.onData = (connection) => {
      if (begun) return
      begun = true
      connection.write(says("200 OK", "Transfer-Encoding: chunked"))
    }
    const client = await m.connect().write(m.post(["Content-Length: 12"]))
    for (let i = 0; i < 12; i++) {
      await client.write("x")
      await new Promise((resolve) => setTimeout(resolve, 80))
    }
    expect((await client.answered(1))[0]!.text).toBe("ok")
  })
})

describe("slow apps and slow readers", () => {
  const m = useMachine({
    limits: { upstreamHeadersTimeoutMs: 300, upstreamIdleTimeoutMs: 300, poolIdleTimeoutMs: 200 },
  })

  it("S23 that never answer are 504", async () => {
    m.app.script = silent
    for (const request of [m.get(), m.post(["Content-Length: 2"], "ab")]) {
      const answer = await m.ask(request)
      expect([answer.status, answer.value("x-iterate-proxy-error")]).toEqual([504, "UPSTREAM_TIMEOUT"])
    }
  })

  it("S22 that stop inside a body break the answer off, before its first octet or after", async () => {
    for (const body of ["", "5\r\nhello\r\n"]) {
      m.app.script = bytes(says("200 OK", "Transfer-Encoding: chunked") + body)
      const client = await m.connect().write(m.get())
      expect(await client.close()).toBe("reset")
      expect(client.answers).toEqual([])
    }
  })

  it("S02 S22 may be silent inside an event stream for as long as they like", async () => {
    let speak = (): void => undefined
    m.app.script = pieces(
      says("200 OK", "Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked"),
      new Promise<void>((resolve) => (speak = resolve)),
      "5\r\ndata\n\r\n0\r\n\r\n",
    )
    const client = await m.connect().write(m.get())
    await new Promise((resolve) => setTimeout(resolve, 900))
    expect(client.closed).toBeUndefined()
    speak()
    expect((await client.answered(1))[0]!.text).toBe("data\n")
  })

  it.each(["application/octet-stream", "text/event-stream"])(
    "D02 a client that reads nothing of %s is let go, and the app with it",
    async (type) => {
      await using app = await startServer((socket) => {
        afterHead(socket, () => {
          socket.write(says("200 OK", `Content-Type: ${type}`))
          void pour(socket, 64 * MiB)
        })
      })
      const client = await connectTo(m.port)
      client.write(headTo(app.port, "GET / HTTP/1.1"))
      client.pause()
      await expect.poll(() => app.sockets.size).toBe(1)
      await expect.poll(() => app.sockets.size, { timeout: 5_000 }).toBe(0)
      client.destroy()
    },
  )

  // The pauses are the test's own and may be longer on a busy machine: nothing else here is about the idle time. That a slow
  // reader may take longer than it in all is a claim of forward's own tests, by a clock that they hold.
  const patient = useMachine()

  it("D02 a client that reads slowly but reads gets everything", async () => {
    await using app = await startServer((socket) =>
      afterHead(socket, () => {
        socket.write(says("200 OK", `Content-Length: ${24 * MiB}`))
        void pour(socket, 24 * MiB)
      }),
    )
    const sink = new Sink(await connectTo(patient.port))
    sink.socket.write(headTo(app.port, "GET / HTTP/1.1"))
    for (let i = 0; i < 12 && sink.closed === undefined; i++) {
      sink.socket.pause()
      await new Promise((resolve) => setTimeout(resolve, 100))
      sink.socket.resume()
      await sink.received(Math.min(24, (i + 1) * 2) * MiB)
    }
    await sink.received(24 * MiB)
    sink.socket.destroy()
  })

  it("S18 a connection to the app is closed by us before an app would", async () => {
    // What applies where nothing else is configured, and what node:http does then.
    expect(defaultLimits.poolIdleTimeoutMs + 200).toBeLessThan(createServer().keepAliveTimeout)
    const client = await m.connect().write(m.get())
    await client.answered(1)
    await m.app.until(
      () => m.app.connections[0]!.closed === "fin",
      () => "the free connection to close",
    )
  })

  it("S23 an app that does not even accept is 504 after the connect time-out", async () => {
    // Its backlog is full and stays so: the kernel drops what else would connect.
    await using app = await startScript(
      `const fs = require("fs"); require("net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () {
         fs.writeSync(1, this.address().port + "\\n"); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0) })`,
    )
    const fillers = Array.from({ length: 8 }, () => connectTo(app.port).catch(() => undefined))
    await Promise.race([Promise.all(fillers.slice(0, 2)), gone(await connectTo(m.port))])
    const answer = await m.ask(headTo(app.port, "GET / HTTP/1.1"))
    expect([answer.status, answer.value("x-iterate-proxy-error")]).toEqual([504, "UPSTREAM_TIMEOUT"])
    signal(app, "SIGKILL")
    for (const filler of fillers) void filler.then((socket) => socket?.destroy())
  })
})

describe("many at once", () => {
  it("D04 connections beyond the limit get 503 at once, and there is room again afterwards", async () => {
    const own = await startMachine({ limits: { maxConnections: 50 } })
    await using app = await startServer((socket) =>
      socket.on("data", () => socket.write(`${says("200 OK", "Content-Length: 2")}ok`)),
    )
    const held = await Promise.all(Array.from({ length: 50 }, () => connectTo(own.port)))
    await expect.poll(() => own.proxy.connections()).toBe(50)
    for (let i = 0; i < 20; i++) {
      const late = new Sink(await connectTo(own.port))
      await late.close()
      expect(late.head).toMatch(/^HTTP\/1\.1 503 /)
    }
    held.pop()!.destroy()
    await expect.poll(() => own.proxy.connections()).toBe(49)
    const sink = new Sink(await connectTo(own.port))
    sink.socket.write(headTo(app.port, "GET / HTTP/1.1"))
    await sink.received(20)
    for (const socket of [...held, sink.socket]) socket.destroy()
    await expect.poll(() => own.proxy.connections()).toBe(0)
    await own[Symbol.asyncDispose]()
  })

  it("D04 two thousand idle connections cost little, and running out of descriptors ends nothing", async () => {
    await using command = await startCommand()
    await using app = await startServer((socket) =>
      socket.on("data", () => socket.write(`${says("200 OK", "Content-Length: 2")}ok`)),
    )
    const answered = async (): Promise<Sink> => {
      const sink = new Sink(await connectTo(command.port))
      sink.socket.write(headTo(app.port, "GET / HTTP/1.1"))
      await sink.received(20)
      return sink
    }
    await answered()
    const before = residentOf(command.pid)
    const idle: Sink[] = []
    for (let i = 0; i < 20; i++) idle.push(...(await Promise.all(Array.from({ length: 100 }, answered))))
    expect(residentOf(command.pid) - before).toBeLessThan(100 * MiB)
    for (const { socket } of idle) socket.destroy()
    await using poor = await startCommand({}, 64)
    const many = await Promise.all(Array.from({ length: 150 }, () => connectTo(poor.port)))
    for (const socket of many) socket.destroy()
    await expect
      .poll(
        async () => {
          const sink = new Sink(await connectTo(poor.port))
          sink.socket.write("GET /__ingress/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
          await sink.close().catch(() => undefined)
          sink.socket.destroy()
          return sink.head.slice(0, 12)
        },
        { timeout: 10_000 },
      )
      .toBe("HTTP/1.1 200")
    expect(poor.child.exitCode).toBeNull()
  })

  it("D05 beyond the limit of one app are 503 at once, not queued; a free place is used again", async () => {
    const own = await startMachine({ limits: { maxConnectionsPerPool: 5 } })
    const waiting: (() => void)[] = []
    await using app = await startServer((socket) =>
      socket.on("data", () => waiting.push(() => void socket.write(`${says("200 OK", "Content-Length: 2")}ok`))),
    )
    const sinks = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const sink = new Sink(await connectTo(own.port))
        sink.socket.write(headTo(app.port, "GET / HTTP/1.1"))
        return sink
      }),
    )
    await expect.poll(() => sinks.filter(({ head }) => head.startsWith("HTTP/1.1 503")).length).toBe(15)
    expect(sinks.find(({ head }) => head !== "")!.head).toMatch(
      /x-iterate-proxy-error: OVERLOADED\r\n.*Retry-After: 1\r\n/s,
    )
    for (const answer of waiting) answer()
    await expect.poll(() => sinks.filter(({ head }) => head.startsWith("HTTP/1.1 200")).length).toBe(5)
    const next = new Sink(await connectTo(own.port))
    next.socket.write(headTo(app.port, "GET / HTTP/1.1"))
    await expect.poll(() => waiting.length).toBe(6)
    waiting[5]!()
    await next.received(20)
    for (const { socket } of [...sinks, next]) socket.destroy()
    await own[Symbol.asyncDispose]()
  })

  it("D05 five hundred at once to a closed port are all answered, and leave nothing open", async () => {
    const own = await startMachine()
    const port = await closedPort()
    const sinks = await Promise.all(
      Array.from({ length: 500 }, async () => {
        const sink = new Sink(await connectTo(own.port))
        sink.socket.write(headTo(port, "GET / HTTP/1.1", "Connection: close"))
        await sink.close()
        sink.socket.destroy()
        return sink
      }),
    )
    expect(new Set(sinks.map(({ head }) => head.slice(9, 12)))).toEqual(new Set(["502"]))
    await expect.poll(() => own.proxy.connections()).toBe(0)
    await own[Symbol.asyncDispose]()
  })
})

describe("hostile input", () => {
  const m = useMachine()

  it("D07 takes linear time for 60 KB of anything", async () => {
    const long = (piece: string) => piece.repeat(Math.floor((60 * KiB) / piece.length))
    for (const field of [
      `Connection: ${long("a,")}`,
      `Connection: ${long(" ,")}x`,
      `Connection: ${long(", \t")}`,
      `Cookie: ${long("a=b; ")}`,
      `X-Forwarded-For: ${long("1.2.3.4, ")}`,
      `TE: ${long(" trailers;")}`,
      `TE: ${long(",\t ")}x`,
      `Upgrade: ${long("websocket, ")}`,
      `Via: ${long("1.1 x, ")}`,
      `X-A:${long(" \t")}x${long(" ")}`.slice(0, 60 * KiB),
    ]) {
      const client = m.connect()
      const start = performance.now()
      await client.write(m.get("/", field))
      const [answer] = await client.answered(1)
      // With the app's own time and the test's parser in it.
      expect(performance.now() - start, field.slice(0, 30)).toBeLessThan(1_000)
      expect(answer!.status).toBe(200)
    }
    for (const target of [
      `/${"a".repeat(30_000)}`,
      `/?${"a&".repeat(15_000)}`,
      `/${"../".repeat(10_000)}`,
      `/${"%2e".repeat(10_000)}`,
    ]) {
      expect((await m.ask(m.get(target))).status).toBe(200)
    }
  })

  it("D07 takes linear time for a head that comes octet by octet", async () => {
    const client = m.connect()
    const head = m.get("/", `X-A: ${"a".repeat(2_000)}`)
    const start = performance.now()
    for (const c of head) await client.write(c)
    expect((await client.answered(1))[0]!.status).toBe(200)
    expect(performance.now() - start).toBeLessThan(3_000)
  })

  it("D13 speaks no HTTP/2: its preface is refused, and so is a frame flood behind it", async () => {
    const client = await m.sendUntilClose(
      Buffer.concat([
        Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Buffer.alloc(64 * KiB, "\0\0\x04\x09\0\0\0\0\x01"),
      ]),
    )
    expect(client.answers[0]!.status).not.toBe(200)
    expect(m.app.connections).toHaveLength(0)
  })

  it("D14 has a health path that hides no path of an app: with a target it goes to the app", async () => {
    const own = await m.ask("GET /__ingress/health HTTP/1.1\r\nHost: x\r\n\r\n")
    expect([own.status, own.text]).toEqual([200, '{"status":"ok"}\n'])
    expect(m.app.connections).toHaveLength(0)
    m.app.script = ok("the app's")
    expect((await m.ask(m.get("/__ingress/health"))).text).toBe("the app's")
    expect((await m.ask("POST /__ingress/health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")).status).toBe(401)
  })

  it("D16 ignores what an app says after its exchange is over", async () => {
    for (const late of ["5\r\nhello\r\n", "0\r\nX-T: 1\r\n\r\n", "garbage\0", says("500 X", "Content-Length: 0")]) {
      m.app.connections.splice(0)
      m.app.script = bytes(says("200 OK", "Transfer-Encoding: chunked"), "2\r\nok\r\n")
      const client = await m.connect().write(m.get())
      await client.until(
        () => client.text.includes("ok"),
        () => "the beginning",
      )
      const [connection] = m.app.connections
      const told = m.events.length
      client.reset()
      await expect.poll(() => m.events.length).toBeGreaterThan(told)
      connection!.write(late)
      await m.app.until(
        () => connection!.closed !== undefined,
        () => "the connection to the app to close",
      )
      connection!.write(late)
      connection!.reset()
    }
  })

  it("D16 ignores what a client says after its answer is refused", async () => {
    const client = await m.connect().write("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    await client.answered(1)
    for (const late of [m.get("/late"), "\0\0\0", "5\r\n"]) await client.write(late)
    await client.close()
    expect(client.messages).toHaveLength(1)
    expect(m.app.connections).toHaveLength(0)
  })

  it("D17 survives three thousand mutated answers: a client has a whole answer, a 502 or a failure", async () => {
    const whole = [
      `${says("200 OK", "Content-Length: 5", "X-A: b")}hello`,
      `${says("103 Early Hints", "Link: </a>")}${says("200 OK", "Transfer-Encoding: chunked")}5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n`,
      "HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\nnope",
    ]
    const junk = ["\r", "\n", "\0", " ", ":", "\r\n", "0", "9", "\xff", "chunked", "Content-Length: 3\r\n", ";", "\t"]
    // A fixed seed: what fails once fails again.
    let seed = 42
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
      return Math.floor((seed / 2 ** 32) * below)
    }
    let said = ""
    await using app = await startServer((socket) => {
      socket.on("data", (data: Buffer) => {
        if (!data.includes("\r\n\r\n")) return
        const cut = random(said.length)
        socket.write(Buffer.from(said.slice(0, cut), "latin1"))
        socket.end(Buffer.from(said.slice(cut), "latin1"))
      })
    })
    const one = async (): Promise<void> => {
      let text = whole[random(whole.length)]!
      for (let i = random(3) + 1; i > 0; i--) {
        const at = random(text.length)
        text = text.slice(0, at) + junk[random(junk.length)]! + text.slice(at + random(3))
      }
      said = text
      const sink = new Sink(await connectTo(m.port))
      sink.socket.write(headTo(app.port, "GET / HTTP/1.1", "Connection: close"))
      const how = await sink.close()
      sink.socket.destroy()
      const statuses = sink.head.match(/^HTTP\/1\.1 \d{3}/gm) ?? []
      expect(how === "reset" || statuses.length > 0, JSON.stringify(text)).toBe(true)
      const [head] = sink.head.split("\r\n\r\n")
      expect(head, JSON.stringify(text)).not.toMatch(/[^\r\n\t\x20-\x7e\x80-\xff]|[^\r]\n|\r[^\n]/)
    }
    for (let i = 0; i < 3_000; i++) await one()
  })
})

describe("the source", () => {
  const folder = fileURLToPath(new URL("../../../forward/src/", import.meta.url))
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    /^(?:http1|sockets)\/.*\.ts$/.test(file),
  )
  const sources = files.map((file) => [file, readFileSync(folder + file, "utf8")] as const)

  /** Files that put bytes together, of which there are never more than a limit has. */
  const joins = new Set([
    "sockets/h2c/event-reader.ts", // what came of a WebSocket together with its response: at most the window of its stream
    "sockets/proxy-protocol/write-proxy-header.ts", // a header of at most 52 bytes
    "sockets/tcp/client-hello.ts", // a ClientHello: `maxHello`
    "sockets/tunnel/datagram-tunnel.ts", // a datagram: 65 535
    "sockets/tunnel/udp-side.ts", // a datagram: 65 535
  ])

  it("D12 has nothing that gathers a whole body", () => {
    expect(files.length).toBeGreaterThan(10)
    const gathering = sources.filter(([, text]) =>
      /\.(?:arrayBuffer|text|json|blob|tee|clone|formData)\(\)|Buffer\.concat|toArray/.test(text),
    )
    expect(new Set(gathering.map(([file]) => file))).toEqual(joins)
  })

  /** What a file or a folder may import beside node:net and node:tls. */
  const more: readonly (readonly [string, readonly string[]])[] = [
    // The look-up of names whose addresses are checked; the machine's own address is never looked up.
    ["sockets/connection/checked-lookup.ts", ["dns", "os"]],
    // The hash of a peer's public key.
    ["sockets/connection/peer-key.ts", ["crypto"]],
    // The process's limit of descriptors.
    ["sockets/io/descriptors.ts", ["fs"]],
    // Streams that others read: a message's connection, a tunnel.
    ["sockets/messages/message-stream.ts", ["stream"]],
    ["sockets/tunnel/tunnel-stream.ts", ["stream"]],
    // Frames of HTTP/2 are Node's; keys of WebSockets are of random bytes and hashed.
    ["sockets/http2/", ["http2", "crypto"]],
    ["sockets/h2c/", ["http2"]],
    ["sockets/io/accept-of.ts", ["crypto"]],
    // The client of a tunnel, which no server runs.
    ["sockets/tunnel/open-tunnel.ts", ["crypto", "http", "https"]],
    ["sockets/tunnel/udp-side.ts", ["dgram"]],
    ["sockets/datagrams/dial-udp.ts", ["dgram", "dns"]],
  ]

  it("N10 stands on node:net, whose sockets are alike in Node 22, 24 and 26, and not on the server of node:http", () => {
    const used = new Set<string>()
    for (const [file, text] of sources) {
      for (const [line, name] of text.matchAll(/^import (?!type).*"node:(\w+)"/gm)) {
        if (line === 'import { STATUS_CODES } from "node:http"' || name === "net" || name === "tls") continue
        const allowed = more.find(([place]) => file.startsWith(place))
        expect(allowed?.[1], `${file}: ${line}`).toContain(name)
        used.add(`${allowed![0]} ${name}`)
        // Only the client of a tunnel may use node:http, and nobody its server.
        if (name === "http" || name === "https") expect(line, file).not.toMatch(/createServer|Server/)
      }
    }
    expect(used).toEqual(new Set(more.flatMap(([place, names]) => names.map((name) => `${place} ${name}`))))
  })
})
