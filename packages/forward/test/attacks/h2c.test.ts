/** What an app that speaks HTTP/2 may try against the engine and its other tenants. */
import type { AddressInfo } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { describe, expect, it, onTestFinished } from "vitest"
import { asSent, eventually, listen } from "../engine/harness.ts"
import type { Front } from "../engine/harness.ts"
import {
  ACK,
  block,
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  framesApp,
  goaway,
  HEADERS,
  PING,
  resetStream,
  SETTINGS,
} from "../h2c/frames-app.ts"
import { cert, key } from "../http2/harness.ts"

const h2c = (port: number) => ({ pool: String(port), host: "loopback", port, protocol: "h2c" }) as const
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
const ok = (stream: number): Buffer => frame(HEADERS, END_HEADERS | END_STREAM, stream, block(":status", "200"))

/** An engine in front of a hostile app, and of another tenant's, who is served all the time. */
const tenants = async (hostile: number) => {
  const other = await framesApp((raw, stream) => raw.socket.write(ok(stream)))
  const front = await listen((request) => ({
    ...asSent(request, hostile),
    origin: h2c(request.head.target === "/other" ? other.port : hostile),
  }))
  return { front, isServed: async () => expect(await ask(front, GET.replace("/", "/other"))).toMatch(/ 200 /) }
}

const ask = async (front: Front, request = GET): Promise<string> => {
  const client = await front.connect()
  client.send(request)
  await client.when(({ state, text }) => state !== "open" || text.includes("\r\n\r\n"))
  client.socket.destroy()
  return client.text
}

describe("a head that HTTP/2 forbids", () => {
  it.each<[string, Buffer]>([
    ["a pseudo-field of requests", block(":status", "200", ":path", "/admin")],
    ["a pseudo-field after a field", block("x-a", "1", ":status", "200")],
    ["no status", block("x-a", "1")],
    ["two of them", block(":status", "200", ":status", "204")],
    ["an invalid status", block(":status", "2 0")],
    ["101, which is not there", block(":status", "101")],
    ["upper case in a name", block(":status", "200", "X-A", "1")],
    ["framing of HTTP/1.1", block(":status", "200", "transfer-encoding", "chunked")],
    ["a connection's field", block(":status", "200", "connection", "close, x-a")],
    ["an invalid length", block(":status", "200", "content-length", "+5")],
    ["two lengths", block(":status", "200", "content-length", "5", "content-length", "6")],
  ])("is a 502, and nothing of it reaches the client: %s", async (_, head) => {
    const app = await framesApp((raw, stream) => {
      raw.socket.write(frame(HEADERS, END_HEADERS, stream, head))
      raw.socket.write(frame(DATA, END_STREAM, stream, Buffer.from("hello")))
    })
    const { front, isServed } = await tenants(app.port)
    const response = await ask(front)
    expect(response).toMatch(/^HTTP\/1\.1 502 /)
    expect(response).not.toMatch(/x-[ab]|\/admin|hello/i)
    await isServed()
  })

  it.each<[string, Buffer]>([
    ["a line end in a value", block(":status", "200", "x-a", "1\r\nx-b: 2")],
    ["a line end in a name", block(":status", "200", "x-a\r\nx-b", "1")],
    ["a colon in a name", block(":status", "200", "x-a: 1", "1")],
    ["NUL in a value", block(":status", "200", "x-a", "\0")],
  ])("for one field is taken out with it, if it is no 502: %s", async (_, head) => {
    const app = await framesApp((raw, stream) => {
      raw.socket.write(frame(HEADERS, END_HEADERS, stream, head))
      raw.socket.write(frame(DATA, END_STREAM, stream, Buffer.from("hello")))
    })
    const { front, isServed } = await tenants(app.port)
    const response = await ask(front)
    expect(response).toMatch(/^HTTP\/1\.1 (?:200|502) /)
    expect(response).not.toMatch(/x-[ab]/i)
    await isServed()
  })

  it.each<[string, Buffer]>([
    ["a status", block(":status", "200")],
    ["upper case", block("X-A", "1")],
  ])("of trailers breaks the response off: %s", async (_, trailers) => {
    const app = await framesApp((raw, stream) => {
      raw.socket.write(frame(HEADERS, END_HEADERS, stream, block(":status", "200")))
      raw.socket.write(frame(DATA, 0, stream, Buffer.from("hello")))
      raw.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers))
    })
    const { front, isServed } = await tenants(app.port)
    const client = await front.connect()
    client.send(GET)
    await client.over()
    expect(client.text).not.toMatch(/\r\n0\r\n|x-a/i)
    await isServed()
  })

  it("with ten thousand fields, or a megabyte of them, is a 502", async () => {
    const many = block(":status", "200", ...Array.from({ length: 10_000 }, (_, i) => [`x-${i}`, "1"]).flat())
    const large = block(
      ":status",
      "200",
      ...Array.from({ length: 60 }, (_, i) => [`x-${i}`, "v".repeat(16_000)]).flat(),
    )
    for (const head of [many, large]) {
      const app = await framesApp((raw, stream) => {
        for (let at = 0; at < head.length; at += 16_384) {
          const piece = head.subarray(at, at + 16_384)
          const flags = at + 16_384 >= head.length ? END_HEADERS : 0
          raw.socket.write(frame(at === 0 ? HEADERS : CONTINUATION, flags, stream, piece))
        }
      })
      const { front, isServed } = await tenants(app.port)
      expect(await ask(front)).toMatch(/^HTTP\/1\.1 502 /)
      await isServed()
    }
  })
})

const CONTINUATION = 9

describe("an app", () => {
  it("that resets every stream costs its own requests, two tries each", async () => {
    const app = await framesApp((raw, stream, nth) => raw.socket.write(resetStream(stream, nth % 2 === 0 ? 7 : 2)))
    const { front, isServed } = await tenants(app.port)
    const responses = await Promise.all(Array.from({ length: 50 }, () => ask(front)))
    expect(responses.every((text) => text.startsWith("HTTP/1.1 502"))).toBe(true)
    expect(app.seen.requests).toBeLessThanOrEqual(100)
    await isServed()
  })

  it("that says GOAWAY to every request gets a new connection for each try, and no third one", async () => {
    const app = await framesApp((raw) => raw.socket.write(goaway(0, 0)))
    const { front, isServed } = await tenants(app.port)
    for (let i = 0; i < 10; i++) expect(await ask(front)).toMatch(/^HTTP\/1\.1 502 /)
    expect(app.seen.connections).toBeLessThanOrEqual(20)
    await isServed()
    await eventually(() => app.connections.every(({ state }) => state !== "open"))
  })

  it("that says GOAWAY before anything else gets no request, and not one connection after another", async () => {
    const app = await framesApp(() => undefined)
    const { front, isServed } = await tenants(app.port)
    void app.connection(0).then((raw) => raw.socket.write(goaway(0, 11)))
    const asking = ask(front)
    await isServed()
    expect(await asking).toMatch(/^(?:HTTP\/1\.1 50\d |$)/)
    expect(app.seen.connections).toBeLessThanOrEqual(16)
  })

  it("that never reads makes its own client wait, and is sent no more than it takes", async () => {
    const app = await framesApp((raw) => void raw)
    const { front, isServed } = await tenants(app.port)
    const client = await front.connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
    const piece = Buffer.alloc(65_536)
    let taken = 0
    // Its window is 65 535 bytes, and is never opened again.
    while (taken < 50_000_000 && client.socket.write(piece)) taken += piece.length
    await app.connection(0)
    await isServed()
    const before = client.socket.bytesWritten - client.socket.writableLength
    for (let i = 0; i < 200; i++) client.socket.write(piece)
    await isServed()
    await new Promise((resolve) => setTimeout(resolve, 100))
    // What kernel and engine hold is bounded; most of what was written is still here.
    expect(client.socket.bytesWritten - client.socket.writableLength - before).toBeLessThan(16 << 20)
    expect(client.socket.writableLength).toBeGreaterThan(0)
    client.socket.destroy()
  })

  it("that sends without end to a client that does not read is held to its window", async () => {
    let sent = 0
    const app = await framesApp((raw, stream) => {
      raw.socket.write(frame(HEADERS, END_HEADERS, stream, block(":status", "200")))
      // It does not wait for the window: that is an error of the stream, and not of its size.
      for (; sent < 4_000; sent++) raw.socket.write(frame(DATA, 0, stream, Buffer.alloc(16_384)))
    })
    const { front, isServed } = await tenants(app.port)
    const client = await front.connect()
    client.socket.pause()
    client.send(GET)
    await isServed()
    client.socket.resume()
    await client.over()
    // 64 MB were sent.
    expect(client.text.length).toBeLessThan(8 << 20)
    await isServed()
  })

  it("that floods with PING and SETTINGS loses its connection at most", async () => {
    const app = await framesApp((raw, stream) => {
      const flood = Buffer.concat([
        frame(PING, 0, 0, Buffer.alloc(8)),
        frame(SETTINGS, 0, 0),
        frame(PING, ACK, 0, Buffer.alloc(8)),
      ])
      raw.socket.write(Buffer.concat(Array.from({ length: 5_000 }, () => flood)))
      raw.socket.write(ok(stream))
    })
    const { front, isServed } = await tenants(app.port)
    expect(await ask(front)).toMatch(/^HTTP\/1\.1 (?:200|502) /)
    await isServed()
  })

  it("that pushes is not listened to", async () => {
    const PUSH_PROMISE = 5
    const app = await framesApp((raw, stream) => {
      const promised = Buffer.alloc(4)
      promised.writeUInt32BE(2)
      const request = block(":method", "GET", ":scheme", "http", ":path", "/other", ":authority", "a")
      raw.socket.write(frame(PUSH_PROMISE, END_HEADERS, stream, Buffer.concat([promised, request])))
      raw.socket.write(ok(2))
      raw.socket.write(ok(stream))
    })
    const { front, isServed } = await tenants(app.port)
    expect(await ask(front)).toMatch(/^HTTP\/1\.1 (?:200|502) /)
    await isServed()
  })

  it("with interim responses without end is a 502", async () => {
    const app = await framesApp((raw, stream) => {
      const interim = frame(HEADERS, END_HEADERS, stream, block(":status", "103"))
      raw.socket.write(Buffer.concat(Array.from({ length: 1_000 }, () => interim)))
    })
    const { front, isServed } = await tenants(app.port)
    const client = await front.connect()
    client.send(GET)
    expect(await client.until("HTTP/1.1 502")).not.toContain("HTTP/1.1 200")
    await isServed()
  })
})

describe("a connection to an app", () => {
  const named = (who: string) => framesApp((raw, stream) => raw.socket.write(answered(stream, who)))
  const answered = (stream: number, who: string): Buffer =>
    frame(HEADERS, END_HEADERS | END_STREAM, stream, block(":status", "200", "x-who", who))

  it("is for one address, and for the rule that it was checked by, whatever the pool is called", async () => {
    const [one, two] = await Promise.all([named("one"), named("two")])
    const places = {
      "/one": { port: one.port },
      "/two": { port: two.port },
      "/refused": { port: one.port, addresses: {} },
    }
    const front = await listen((request) => ({
      ...asSent(request, one.port),
      origin: { ...h2c(one.port), pool: "p", host: "127.0.0.1", ...places[request.head.target as keyof typeof places] },
    }))
    expect(await ask(front, GET.replace("/", "/one"))).toContain("x-who: one")
    expect(await ask(front, GET.replace("/", "/two"))).toContain("x-who: two")
    expect(await ask(front, GET.replace("/", "/refused"))).toMatch(/^HTTP\/1\.1 502 /)
  })
})

it("an app over TLS that names origins without end has its connection ended, not all of them kept", async () => {
  const ORIGIN = 12
  const name = Buffer.from("https://a.example")
  let sent = 0
  const server = createTlsServer({ cert, key, ALPNProtocols: ["h2"] }, (socket) => {
    socket.on("error", () => undefined).resume()
    socket.write(frame(SETTINGS, 0, 0))
    const more = setInterval(() => {
      socket.write(frame(ORIGIN, 0, 0, Buffer.concat([Buffer.from([0, name.length]), name])))
      sent++
    }, 1)
    socket.on("close", () => {
      clearInterval(more)
      closed()
    })
  })
  let closed = (): void => undefined
  const closing = new Promise<void>((resolve) => (closed = resolve))
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const front = await listen((request) => ({
    ...asSent(request, port),
    origin: { ...h2c(port), host: "127.0.0.1", tls: { rejectUnauthorized: false } },
  }))
  expect(await ask(front)).toMatch(/^HTTP\/1\.1 502 /)
  await closing
  expect(sent).toBeLessThan(10_000)
})

it("a client whose HEAD the app cannot be sent has no bytes before the next response", async () => {
  const app = await framesApp((raw, stream) => raw.socket.write(ok(stream)))
  const front = await listen((request) => ({ ...asSent(request, app.port), origin: h2c(app.port) }))
  const client = await front.connect()
  client.send("HEAD / HTTP/1.1\r\nHost: a\r\nReferer: a\r\nReferer: b\r\n\r\n")
  client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
  await client.over()
  expect(client.text).toMatch(/^HTTP\/1\.1 400 [^]*?\r\n\r\nHTTP\/1\.1 200 /)
  expect(client.text).not.toContain("field")
})
