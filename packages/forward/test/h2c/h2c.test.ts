/** Apps that speak HTTP/2 by prior knowledge, behind an engine whose clients speak HTTP/1.1. */
import { once } from "node:events"
import { createServer as createHttp } from "node:http"
import * as http2 from "node:http2"
import type { AddressInfo } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { WebSocket } from "ws"
import { asSent, eventually, holdTime, listen, listenApp, passes, SCANS_MS, to } from "../engine/harness.ts"
import type { Front } from "../engine/harness.ts"
import { block, DATA, END_HEADERS, END_STREAM, frame, framesApp, HEADERS, resetStream } from "./frames-app.ts"

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

type OnStream = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, raw: readonly string[]) => void

/** An app of node:http2, and its connections. */
const startApp = async (onStream: OnStream, settings: http2.Settings = {}) => {
  const server = http2.createServer({ settings })
  const sessions = new Set<http2.ServerHttp2Session>()
  let opened = 0
  server.on("session", (session) => {
    opened++
    sessions.add(session)
    session.on("error", () => undefined)
    session.on("close", () => sessions.delete(session))
  })
  server.on("stream", (stream, headers, _, raw) => {
    stream.on("error", () => undefined)
    onStream(stream, headers, raw)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  closing.push(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, sessions, opened: () => opened }
}

const h2c = (port: number) => ({ pool: String(port), host: "loopback", port, protocol: "h2c" }) as const
const front = (port: number): Promise<Front> => listen((request) => ({ ...asSent(request, port), origin: h2c(port) }))

const POST = "POST /up HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n"
const GET = "GET /a?b=1 HTTP/1.1\r\nHost: app.test\r\n\r\n"

describe("a request to an app that speaks HTTP/2", () => {
  it("has its authority, lower-case names, one cookie, and nothing that ends at a connection", async () => {
    let seen: readonly string[] = []
    const { port } = await startApp((stream, _, raw) => {
      seen = raw
      stream.respond({ ":status": 200 }, { endStream: true })
    })
    const client = await (await front(port)).connect()
    client.send(
      "GET /a?b=1 HTTP/1.1\r\nHost: app.test:81\r\nX-Own: 1\r\nx-own: 2\r\nCookie: a=1\r\ncookie: b=2\r\n__proto__: p\r\n" +
        "Connection: TE, x-hop\r\nTE: trailers\r\nKeep-Alive: 5\r\nHTTP2-Settings: x\r\nProxy-Connection: x\r\n\r\n",
    )
    await client.until("200")
    const fields: [string, string][] = []
    for (let i = 0; i < seen.length; i += 2) fields.push([seen[i]!, seen[i + 1]!])
    expect(fields).toEqual(
      expect.arrayContaining([
        [":method", "GET"],
        [":path", "/a?b=1"],
        [":scheme", "http"],
        [":authority", "app.test:81"],
        ["x-own", "1"],
        ["x-own", "2"],
        ["cookie", "a=1; b=2"],
        ["te", "trailers"],
        ["__proto__", "p"],
      ]),
    )
    expect(fields).toHaveLength(9)
  })

  it("brings its body, which goes on while the response comes, and its trailers", async () => {
    const { port } = await startApp((stream) => {
      stream.respond({ ":status": 200 }, { waitForTrailers: true })
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-after": "the end" }))
      stream.on("trailers", ({ "x-sum": sum }) => stream.write(`sum ${String(sum)}`))
      stream.on("data", (bytes) => stream.write(`got ${String(bytes)}`))
      stream.on("end", () => stream.end())
    })
    const client = await (await front(port)).connect()
    client.send(POST)
    await client.until("200")
    client.send("3\r\none\r\n")
    await client.until("got one")
    client.send("3\r\ntwo\r\n")
    await client.until("got two")
    client.send("0\r\nx-sum: 6\r\n\r\n")
    const rest = await client.until("\r\n\r\n")
    expect(rest).toContain("sum 6")
    expect(rest).toMatch(/0\r\nx-after: the end\r\n\r\n$/)
  })

  it("waits for its `100 Continue`, which the app gives", async () => {
    const { port } = await startApp((stream, { expect: expectation }) => {
      stream.additionalHeaders({ ":status": 100 })
      stream
        .on("data", () => undefined)
        .on("end", () => {
          stream.respond({ ":status": 200, "x-expect": String(expectation) })
          stream.end("done")
        })
    })
    const client = await (await front(port)).connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    await client.until("100 Continue")
    client.send("ok")
    expect(await client.until("done")).toContain("x-expect: 100-continue")
  })

  it("is cancelled at the app when its client leaves", async () => {
    let code: number | undefined
    const { port } = await startApp((stream) => {
      stream.respond({ ":status": 200 })
      stream.write("begun")
      stream.on("close", () => (code = stream.rstCode))
    })
    const client = await (await front(port)).connect()
    client.send(GET)
    await client.until("begun")
    client.socket.destroy()
    await eventually(() => code !== undefined)
    expect(code).toBe(http2.constants.NGHTTP2_CANCEL)
  })
})

describe("its response", () => {
  const cases: [string, string, OnStream, RegExp][] = [
    [
      "of a length keeps it",
      GET,
      (stream) => {
        stream.respond({ ":status": 200, "content-length": 5 })
        stream.end("hello")
      },
      /^HTTP\/1\.1 200 \r\ncontent-length: 5\r\n[^]*\r\n\r\nhello$/,
    ],
    [
      "of no length is in chunks",
      GET,
      (stream) => {
        stream.respond({ ":status": 200 })
        stream.end("hello")
      },
      /Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/,
    ],
    [
      "that is a head alone is empty, and says so",
      GET,
      (stream) => stream.respond({ ":status": 200, "grpc-status": 5 }, { endStream: true }),
      /\r\ngrpc-status: 5\r\n[^]*content-length: 0\r\n\r\n$/,
    ],
    [
      "of gRPC is in chunks whatever length it names, for the sake of its trailers",
      GET,
      (stream) => {
        stream.respond(
          { ":status": 200, "content-type": "application/grpc+proto", "content-length": 2 },
          { waitForTrailers: true },
        )
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }))
        stream.end("ok")
      },
      /2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n$/,
    ],
    [
      "to HEAD has the length of what is not sent",
      GET.replace("GET", "HEAD"),
      (stream) => stream.respond({ ":status": 200, "content-length": 5 }, { endStream: true }),
      /content-length: 5\r\n[^]*\r\n\r\n$/,
    ],
    ["can be 204", GET, (stream) => stream.respond({ ":status": 204 }, { endStream: true }), /^HTTP\/1\.1 204 /],
    [
      "comes after early hints",
      GET,
      (stream) => {
        stream.additionalHeaders({ ":status": 103, link: "</a>" })
        stream.respond({ ":status": 200 }, { endStream: true })
      },
      /^HTTP\/1\.1 103 \r\nlink: <\/a>\r\n\r\nHTTP\/1\.1 200 /,
    ],
  ]
  it.each(cases)("%s", async (_, request, onStream, response) => {
    const { port } = await startApp(onStream)
    const client = await (await front(port)).connect()
    for (let time = 0; time < 2; time++) {
      client.text = ""
      client.send(request)
      await client.when(({ text, state }) => response.test(text) || state !== "open")
      expect(client.text).toMatch(response)
    }
    expect(client.state).toBe("open")
  })

  it.each(["NGHTTP2_NO_ERROR", "NGHTTP2_INTERNAL_ERROR", "NGHTTP2_CANCEL"] as const)(
    "that the app breaks off is broken off for the client, and not complete: %s",
    async (code) => {
      const app = await framesApp((raw, stream) => {
        raw.socket.write(frame(HEADERS, END_HEADERS, stream, block(":status", "200")))
        raw.socket.write(frame(DATA, 0, stream, Buffer.from("half of i")))
        setTimeout(() => raw.socket.write(resetStream(stream, http2.constants[code])), 20)
      })
      const client = await (await front(app.port)).connect()
      client.send(GET)
      await client.when(({ state, text }) => state !== "open" || text.includes("\r\n0\r\n"))
      expect(client.text).toContain("half of i")
      expect(client.text).not.toContain("\r\n0\r\n")
    },
  )

  it("of gRPC without trailers is broken off: nobody can tell what came of the call", async () => {
    const { port } = await startApp((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" })
      stream.end("message")
    })
    const client = await (await front(port)).connect()
    client.send(GET)
    await client.over()
    expect(client.text).not.toContain("\r\n0\r\n")
  })

  it("of a reset before its head is a 502", async () => {
    const app = await framesApp((raw, stream) =>
      raw.socket.write(resetStream(stream, http2.constants.NGHTTP2_INTERNAL_ERROR)),
    )
    const client = await (await front(app.port)).connect()
    client.send(GET)
    expect(await client.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 502 [^]*UPSTREAM_FAILED/)
  })
})

describe("connections to it", () => {
  it("are shared, and closed when idle", async () => {
    const app = await startApp((stream) => stream.respond({ ":status": 200 }, { endStream: true }))
    holdTime()
    const engine = await front(app.port)
    const clients = await Promise.all(Array.from({ length: 20 }, () => engine.connect()))
    for (const client of clients) client.send(GET)
    for (const client of clients) await client.until("200")
    expect(app.opened()).toBe(1)
    passes(3_800)
    expect(app.sessions.size).toBe(1)
    passes(200 + SCANS_MS)
    await eventually(() => app.sessions.size === 0)
  })

  it("carry as many streams at a time as the app allows", async () => {
    const open: http2.ServerHttp2Stream[] = []
    const app = await startApp((stream) => open.push(stream), { maxConcurrentStreams: 3 })
    const engine = await front(app.port)
    const clients = await Promise.all(Array.from({ length: 10 }, () => engine.connect()))
    for (const client of clients) client.send(GET)
    await eventually(() => open.length === 10)
    expect(app.opened()).toBe(4)
    for (const stream of open) stream.respond({ ":status": 200 }, { endStream: true })
    for (const client of clients) await client.until("200")
  })

  it("are sixteen at most: what is beyond gets a 503, or waits for a place as long as for a connection", async () => {
    const open: http2.ServerHttp2Stream[] = []
    const app = await startApp((stream) => open.push(stream), { maxConcurrentStreams: 1 })
    const engine = await front(app.port)
    const clients = await Promise.all(Array.from({ length: 17 }, () => engine.connect()))
    for (const client of clients.slice(0, 16)) client.send(GET)
    await eventually(() => open.length === 16)
    clients[16]!.send(GET)
    expect(await clients[16]!.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 503 /)
    for (const stream of open) stream.respond({ ":status": 200 }, { endStream: true })
    for (const client of clients.slice(0, 16)) await client.until("200")
    clients[16]!.socket.destroy()
    const next = await engine.connect()
    next.send(GET)
    await eventually(() => open.length === 17)
    open[16]!.respond({ ":status": 200 }, { endStream: true })
    await next.until("200")
  })

  it("end with a drain", async () => {
    const app = await startApp((stream) => stream.respond({ ":status": 200 }, { endStream: true }))
    const { connect, engine } = await front(app.port)
    const client = await connect()
    client.send(GET)
    await client.until("200")
    await engine.drain({ deadlineMs: 100 })
    await eventually(() => app.sessions.size === 0)
    expect(engine.connections()).toBe(0)
  })

  const status = async (port: number, engine?: Front) => {
    const client = await (engine ?? (await front(port))).connect()
    client.send(GET)
    return (await client.until("\r\n\r\n")).split("\r\n")[0]!.slice(9, 12)
  }

  it("are refused like any other: nobody listens, or somebody who speaks HTTP/1.1", async () => {
    const old = createHttp((_, response) => response.end("old")).listen(0, "127.0.0.1")
    await once(old, "listening")
    closing.push(() => old.close())
    const engine = await front((old.address() as AddressInfo).port)
    const client = await engine.connect()
    client.send(GET)
    expect(await client.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 502 [^]*http_protocol_error/)
    const nobody = createHttp().listen(0, "127.0.0.1")
    await once(nobody, "listening")
    const { port } = nobody.address() as AddressInfo
    await new Promise((resolve) => nobody.close(resolve))
    const asked = await (await front(port)).connect()
    asked.send(GET)
    expect(await asked.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 502 [^]*PORT_CLOSED/)
  })

  it("to somebody who says nothing are given up in time", async () => {
    const silent = await listenApp()
    holdTime()
    const engine = await front(silent.port)
    const client = await engine.connect()
    client.send(GET)
    await silent.connection(0)
    passes(1_000 + SCANS_MS)
    expect(await client.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 504 /)
    await silent.connections[0]!.over()
  })

  it("by IPv6 are tried when nobody listens on 127.0.0.1", async () => {
    const server = http2.createServer((_, response) => response.end("six"))
    const listening = await new Promise<boolean>((resolve) => {
      server.on("error", () => resolve(false))
      server.listen(0, "::1", () => resolve(true))
    })
    // A machine without IPv6 has nothing to try.
    if (!listening) return
    closing.push(() => server.close())
    expect(await status((server.address() as AddressInfo).port)).toBe("200")
  })
})

describe("a request that the app refused without looking at it", () => {
  const ok = (stream: number): Buffer => frame(HEADERS, END_HEADERS | END_STREAM, stream, block(":status", "200"))
  const REFUSED = http2.constants.NGHTTP2_REFUSED_STREAM

  it.each([
    ["without a body", GET],
    ["with one", `${POST}3\r\nabc\r\n0\r\n\r\n`],
  ])("is sent once more, %s", async (_, request) => {
    const app = await framesApp((raw, stream, nth) =>
      raw.socket.write(nth === 0 ? resetStream(stream, REFUSED) : ok(stream)),
    )
    const client = await (await front(app.port)).connect()
    client.send(request)
    await client.until("200")
    expect(app.seen.requests).toBe(2)
  })

  it("is not sent a third time", async () => {
    const app = await framesApp((raw, stream) => raw.socket.write(resetStream(stream, REFUSED)))
    const client = await (await front(app.port)).connect()
    client.send(GET)
    expect(await client.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 502 /)
    expect(app.seen.requests).toBe(2)
  })
})

describe("a WebSocket", () => {
  const open = (port: number) => new WebSocket(`ws://127.0.0.1:${port}/chat`)

  it("is opened by an extended CONNECT where the app takes it, and echoes", async () => {
    let fields: http2.IncomingHttpHeaders = {}
    const { port } = await startApp(
      (stream, headers) => {
        fields = headers
        stream.respond({ ":status": 200 })
        // Frames of a client are masked: an echo of the payload needs more than a pipe.
        stream.once("data", (bytes: Buffer) => {
          const mask = bytes.subarray(2, 6)
          const payload = Buffer.from(bytes.subarray(6).map((byte, i) => byte ^ mask[i % 4]!))
          stream.write(Buffer.concat([Buffer.from([0x81, payload.length]), payload]))
        })
      },
      { enableConnectProtocol: true },
    )
    const engine = await front(port)
    const socket = open((engine.server.address() as AddressInfo).port)
    closing.push(() => socket.terminate())
    await once(socket, "open")
    socket.send("hello")
    const [message] = (await once(socket, "message")) as [Buffer]
    expect(String(message)).toBe("hello")
    expect(fields).toMatchObject({ ":method": "CONNECT", ":protocol": "websocket", ":path": "/chat" })
    expect(fields["sec-websocket-key"]).toBe(undefined)
    expect(fields["sec-websocket-version"]).toBe("13")
  })

  it("is a 501 that says why where the app does not", async () => {
    const { port } = await startApp(() => undefined)
    const engine = await front(port)
    const socket = open((engine.server.address() as AddressInfo).port)
    const [, response] = (await once(socket, "unexpected-response")) as [
      unknown,
      AsyncIterable<Buffer> & { statusCode: number },
    ]
    let text = ""
    for await (const piece of response) text += String(piece)
    expect([response.statusCode, text]).toEqual([501, expect.stringContaining("RFC 8441")])
  })
})

it("a field that HTTP/2 allows once and that comes twice is a 400", async () => {
  const { port } = await startApp(() => undefined)
  const client = await (await front(port)).connect()
  client.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n")
  expect(await client.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /)
})

it("HTTP/1.1 to the same port has connections of its own", async () => {
  const { port } = await startApp((stream) => stream.respond({ ":status": 200 }, { endStream: true }))
  const engine = await listen(({ head }) => ({ ...to(port), ...(head.target === "/old" ? {} : { origin: h2c(port) }) }))
  const client = await engine.connect()
  client.send(GET)
  await client.until("200")
  client.send(GET.replace("/a?b=1", "/old"))
  // A server of HTTP/2 that is asked in HTTP/1.1.
  expect(await client.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 (?:502|403) /)
})
