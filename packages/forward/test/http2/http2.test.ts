import { connect } from "node:http2"
import { get } from "node:https"
import { connect as connectTcp } from "node:net"
import type { AddressInfo } from "node:net"
import { connect as connectTls, createServer as createTlsServer } from "node:tls"
import { describe, expect, it, onTestFinished } from "vitest"
import { selfSigned } from "../../../../test/apps/certificate.ts"
import { asSent, eventually, listenApp, respondingApp, switching, to } from "../engine/harness.ts"
import { cert, key, listenHttp2, send } from "./harness.ts"
import * as raw from "./raw-client.ts"

/** Error codes of HTTP/2 (RFC 9113 §7). */
const [NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR] = [0, 1, 2]

describe("a request by HTTP/2", () => {
  it("reaches the app as HTTP/1.1, and its response the client", async () => {
    const app = await listenApp((raw) => {
      raw.socket.on("data", () => {
        if (raw.text.includes("\r\n\r\n"))
          raw.send(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: 1\r\nETag: 2\r\n\r\nok",
          )
      })
    })
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const seen = await send(front.connect(), { ":path": "/a?b", cookie: ["a=1", "b=2"], "x-a": "\xe9" })
    expect(seen).toMatchObject({ status: 200, text: "ok", code: 0, trailers: undefined })
    expect(seen.headers).toMatchObject({ "set-cookie": ["a=1", "b=2"], etag: "1", "content-length": "2" })
    const { text } = await app.connection(0)
    expect(text).toMatch(/^GET \/a\?b HTTP\/1\.1\r\nHost: localhost\r\n/)
    expect(text).toContain("cookie: a=1; b=2\r\n")
    expect(text).toContain("x-a: \xe9\r\n")
    await eventually(() => front.events.length > 0)
    expect(front.events).toMatchObject([
      { type: "request", target: "/a?b", host: "localhost", status: 200, bytesIn: 0, bytesOut: 2, complete: true },
    ])
  })

  it("has a body of a length or none, and trailers, both ways", async () => {
    const response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nGrpc-Status: 0\r\n\r\n"
    const app = await listenApp((raw) => {
      raw.socket.on("data", () => {
        if (raw.text.includes("X-Sum: 1\r\n\r\n") || raw.text.includes("x-sum: 1\r\n\r\n")) raw.send(response)
      })
    })
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const headers = { ":method": "POST", te: "trailers" }
    const seen = await send(front.connect(), headers, "hello", { "x-sum": "1" })
    expect(seen).toMatchObject({ status: 200, text: "ok", trailers: { "grpc-status": "0" }, code: 0 })
    expect((await app.connection(0)).text).toContain("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n")
    await eventually(() => front.events.length > 0)
    expect(front.events).toMatchObject([{ bytesIn: 5, bytesOut: 2 }])
  })

  it("gets a head alone as one frame that ends the stream", async () => {
    const app = await respondingApp("HTTP/1.1 204 No Content\r\n\r\n")
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const session = front.connect()
    expect(await send(session)).toMatchObject({ status: 204, text: "", code: 0 })
    expect(await send(session, { ":method": "HEAD" })).toMatchObject({ status: 204, code: 0 })
  })

  it("gets every head that the engine takes of an app, with as many and as large fields", async () => {
    const fields = Array.from({ length: 900 }, (_, i) => `x-${i}: ${"v".repeat(60)}\r\n`).join("")
    const app = await respondingApp(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${fields}\r\n`)
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    // Node's own client takes no more than 128 fields by default.
    const seen = await send(front.connect({ maxHeaderListPairs: 2_000 } as object))
    expect([seen.status, seen.code, Object.keys(seen.headers).length > 900]).toEqual([200, 0, true])
  })

  it("gets interim responses", async () => {
    const app = await respondingApp(
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const seen = await send(front.connect())
    expect(seen.interims).toMatchObject([{ ":status": 103, link: "</a>" }])
    expect(seen.status).toBe(200)
  })
})

describe("what is wrong with a request by HTTP/2", () => {
  const head = (fields: readonly (readonly [string, string])[]) => raw.block(fields)
  const base = [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/"],
  ] as const

  it.each([
    ["a Host that differs", [...base, [":authority", "localhost"], ["host", "other"]]],
    [
      "another scheme than the connection's",
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/"],
        [":authority", "localhost"],
      ],
    ],
    ["userinfo in the authority", [...base, [":authority", "a@localhost"]]],
    ["a coding of HTTP/1.1", [...base, [":authority", "localhost"], ["transfer-encoding", "chunked"]]],
    ["Connection", [...base, [":authority", "localhost"], ["connection", "x-a"]]],
    ["Upgrade", [...base, [":authority", "localhost"], ["upgrade", "websocket"]]],
    ["TE that is not trailers", [...base, [":authority", "localhost"], ["te", "gzip"]]],
    ["an upper-case name", [...base, [":authority", "localhost"], ["X-A", "1"]]],
    [
      "an absolute path",
      [
        [":method", "GET"],
        [":scheme", "https"],
        [":path", "http://other/"],
        [":authority", "localhost"],
      ],
    ],
    [
      "a space in the path",
      [
        [":method", "GET"],
        [":scheme", "https"],
        [":path", "/ HTTP/1.1\r\nx: y"],
        [":authority", "localhost"],
      ],
    ],
    ["an unknown pseudo-header", [...base, [":authority", "localhost"], [":x", "1"]]],
    ["a pseudo-header after the fields", [...base, ["x-a", "1"], [":authority", "localhost"]]],
    ["a pseudo-header twice", [...base, [":authority", "localhost"], [":authority", "localhost"]]],
    ["no authority", [...base]],
    [
      "no path",
      [
        [":method", "GET"],
        [":scheme", "https"],
        [":authority", "localhost"],
      ],
    ],
    ["a length without a body", [...base, [":authority", "localhost"], ["content-length", "5"]]],
    ["two lengths", [...base, [":authority", "localhost"], ["content-length", "0"], ["content-length", "0"]]],
  ] as [string, (readonly [string, string])[]][])("refuses %s, and the next request is served", async (_, fields) => {
    const app = await respondingApp()
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const client = (await front.raw()).start()
    client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 1, head(fields))
    await client.when(({ frames }) => frames.some(({ stream }) => stream === 1))
    client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 3, raw.get())
    await client.when(({ frames }) => frames.some(({ stream, type }) => stream === 3 && type === raw.DATA))
    expect(app.connections).toHaveLength(1)
    // By Node with PROTOCOL_ERROR, and by the engine with a response.
    const seen = client.frames.filter(({ stream }) => stream === 1)
    const [{ type, payload }] = seen as [raw.Frame]
    // The first byte of a head is its status, an index of HPACK's table: 400.
    expect(type === raw.HEADERS ? payload[0] : client.resetCode(1)).toBe(type === raw.HEADERS ? 0x8c : PROTOCOL_ERROR)
  })

  it.each([
    ["x-a", "1\r\nx-b: 2"],
    ["x-a", "1\0"],
    ["x:a", "1"],
    ["x a", "1"],
    ["x-a\r\nx-b", "2"],
  ])("does not pass %j: %j on: the field is taken off, or the stream reset", async (name, value) => {
    const app = await listenApp((each) => void each.send("HTTP/1.1 204 No Content\r\n\r\n"))
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const client = (await front.raw()).start()
    client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 1, raw.get("/", [[name, value]]))
    await client.when(({ frames }) => frames.some(({ stream }) => stream === 1))
    const clean = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for (const { text } of app.connections) expect(text).toBe(clean)
    expect(app.connections.length > 0 || client.resetCode(1) !== undefined).toBe(true)
  })

  it("is answered as in HTTP/1.1 where the parser refuses it", async () => {
    const front = await listenHttp2(() => to(1))
    const session = front.connect()
    expect((await send(session, { ":path": `/${"a".repeat(40_000)}` })).status).toBe(414)
    expect((await send(session, { ":method": "BREW" })).status).toBe(501)
    expect((await send(session, { ":method": "TRACE" })).status).toBe(405)
    expect((await send(session, { expect: "the-worst" })).status).toBe(417)
  })

  it("refuses a head that is too large by a response", async () => {
    const front = await listenHttp2(() => to(1))
    const client = (await front.raw()).start()
    const head = raw.get("/", [
      ["x-a", "a".repeat(35_000)],
      ["x-b", "b".repeat(35_000)],
    ])
    client.send(raw.HEADERS, raw.END_STREAM, 1, head.subarray(0, 16_384))
    for (let at = 16_384; at < head.length; at += 16_384)
      client.send(raw.CONTINUATION, at + 16_384 < head.length ? 0 : raw.END_HEADERS, 1, head.subarray(at, at + 16_384))
    await client.when(({ frames, closed }) => closed || frames.some(({ stream }) => stream === 1))
    expect(front.events).toMatchObject([{ type: "error", tag: "RequestHeadTooLarge" }])
  })

  it.each(["ab", "abcdef"])("breaks off a body of 4 bytes that is %j", async (body) => {
    const app = await listenApp()
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const client = (await front.raw()).start()
    client.send(raw.HEADERS, raw.END_HEADERS, 1, raw.post([["content-length", "4"]]))
    const at = await app.connection(0)
    client.send(raw.DATA, raw.END_STREAM, 1, Buffer.from(body))
    await client.when(({ closed }) => closed || client.resetCode(1) !== undefined)
    expect([PROTOCOL_ERROR, INTERNAL_ERROR]).toContain(client.resetCode(1) ?? client.goAwayCode)
    await at.over()
    expect(at.text.split("\r\n\r\n")[1]!.length).toBeLessThan(4)
  })
})

describe("one connection for many hosts", () => {
  it("has each request decided for itself, and 421 for a name that its certificate does not cover", async () => {
    const hosts: string[] = []
    const front = await listenHttp2(({ head }) => {
      hosts.push(head.host)
      return { status: 200, headers: [] }
    })
    const session = front.connect({ servername: "asked.test" })
    const statuses: number[] = []
    for (const authority of [
      "localhost",
      "asked.test:8443",
      "LOCALHOST.",
      "127.0.0.1:1",
      "other.test",
      "192.0.2.1",
      "sub.localhost",
    ])
      statuses.push((await send(session, { ":authority": authority })).status)
    expect(statuses).toEqual([200, 200, 200, 200, 421, 421, 421])
    expect(hosts).toEqual(["localhost", "asked.test:8443", "LOCALHOST.", "127.0.0.1:1"])
    expect(front.events.filter((event) => event.type === "request").map(({ code }) => code)).toEqual(
      statuses.map((status) => (status === 421 ? "MISDIRECTED" : undefined)),
    )
  })
})

describe("one connection for the ports of a project", () => {
  it("serves every name that a wildcard covers, underscores too, as browsers reuse connections", async () => {
    const certificate = await selfSigned(["*.iterate.app", "axb.example.com"])
    const front = await listenHttp2(() => ({ status: 200, headers: [] }), {}, certificate)
    const session = front.connect({ servername: "misha.iterate.app" })
    const statuses: Record<string, number> = {}
    for (const authority of [
      "3000__misha.iterate.app",
      "3000__mail__misha.iterate.app",
      "3000__misha.other.test",
      "3000__a.b.iterate.app",
      "a_b.example.com",
    ])
      statuses[authority] = (await send(session, { ":authority": authority })).status
    expect(Object.values(statuses)).toEqual([200, 200, 421, 421, 421])
  })
})

describe("HTTP/2 on a server of the caller's", () => {
  it("is what the client agreed on in its handshake, and HTTP/1.1 otherwise", async () => {
    const front = await listenHttp2(() => ({ status: 200, headers: [], body: "ok" }))
    const server = createTlsServer({ cert, key, ALPNProtocols: ["h2", "http/1.1"] }, front.engine.connection)
    const without = createTlsServer({ cert, key }, front.engine.connection)
    for (const each of [server, without]) {
      each.listen(0, "127.0.0.1")
      await new Promise((resolve) => each.once("listening", resolve))
      onTestFinished(() => void each.close())
    }
    const portOf = (of: typeof server) => (of.address() as AddressInfo).port
    const session = connect(`https://localhost:${portOf(server)}`, { rejectUnauthorized: false })
    onTestFinished(() => session.destroy())
    expect((await send(session)).text).toBe("ok")
    for (const port of [portOf(server), portOf(without), front.port]) {
      const version = await new Promise((resolve, reject) =>
        get({ port, host: "127.0.0.1", rejectUnauthorized: false, agent: false }, (response) => {
          response.resume()
          resolve(response.httpVersion)
        }).on("error", reject),
      )
      expect(version).toBe("1.1")
    }
  })

  it("has the client of a PROXY header, and a Host alone for an authority", async () => {
    let seen: unknown
    const front = await listenHttp2(
      ({ remoteAddress, peerAddress, encrypted, localPort, head }) => {
        seen = { remoteAddress, peerAddress, encrypted, localPort, host: head.host }
        return { status: 200, headers: [] }
      },
      { proxyProtocol: { trustedCidrs: ["127.0.0.1/32"] } },
    )
    const socket = connectTcp(front.port, "127.0.0.1")
    onTestFinished(() => void socket.destroy())
    socket.write("PROXY TCP4 203.0.113.7 192.0.2.1 5000 443\r\n")
    const secured = connectTls({ socket, servername: "localhost", ALPNProtocols: ["h2"], rejectUnauthorized: false })
    await new Promise((resolve) => secured.once("secureConnect", resolve))
    const client = new raw.RawClient(secured).start()
    const fields = [
      [":method", "GET"],
      [":scheme", "https"],
      [":path", "/"],
      ["host", "localhost:8443"],
    ] as const
    client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 1, raw.block(fields))
    await client.frame(raw.HEADERS, 1)
    const of = { remoteAddress: "203.0.113.7", peerAddress: "127.0.0.1", localPort: front.port }
    expect(seen).toEqual({ ...of, encrypted: true, host: "localhost:8443" })
  })
})

describe("the pace of a stream", () => {
  it("keeps a client that does not read from filling the memory, and the other streams of its connection go on", async () => {
    const app = await listenApp((each) => {
      each.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 80000000\r\n\r\n")
      for (let i = 0; i < 20; i++) each.socket.write(Buffer.alloc(4_000_000))
    })
    const small = await respondingApp()
    const front = await listenHttp2(({ head }) => to(head.target === "/large" ? app.port : small.port))
    const session = front.connect()
    const stalled = session.request({ ":path": "/large", ":authority": "localhost" })
    await new Promise((resolve) => stalled.once("response", resolve))
    for (let last = -1, { socket } = await app.connection(0); last !== socket.writableLength;) {
      last = socket.writableLength
      expect((await send(session)).text).toBe("ok")
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    expect((await app.connection(0)).socket.writableLength).toBeGreaterThan(60_000_000)
    let size = 0
    stalled.on("data", ({ length }: Buffer) => (size += length))
    await new Promise((resolve) => stalled.once("close", resolve))
    expect(size).toBe(80_000_000)
  })

  it("has a client wait with its body, and the other streams of its connection go on", async () => {
    const app = await listenApp((each) => void each.socket.pause())
    const small = await respondingApp()
    const front = await listenHttp2((incoming) =>
      asSent(incoming, incoming.head.target === "/large" ? app.port : small.port),
    )
    const session = front.connect()
    const upload = session.request(
      { ":method": "POST", ":path": "/large", ":authority": "localhost" },
      { endStream: false },
    )
    upload.end(Buffer.alloc(40_000_000))
    const { socket } = await app.connection(0)
    // More than loopback holds.
    for (let i = 0; i < 5; i++) {
      expect((await send(session)).text).toBe("ok")
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(upload.writableFinished).toBe(false)
    socket.resume()
    await new Promise((resolve) => upload.once("finish", resolve))
  })

  it("resets a stream whose response nobody takes", async () => {
    const app = await respondingApp()
    const front = await listenHttp2(() => to(app.port), { limits: { upstreamIdleTimeoutMs: 100 } })
    // SETTINGS_INITIAL_WINDOW_SIZE.
    const client = (await front.raw()).start([[4, 0]])
    client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 1, raw.get())
    await client.frame(raw.RST_STREAM, 1)
    expect(client.frames.some(({ type, stream }) => type === raw.HEADERS && stream === 1)).toBe(true)
  })
})

describe("the end of a stream", () => {
  it("is 499 when the client resets it, and the app's request ends", async () => {
    const app = await listenApp()
    const front = await listenHttp2(() => to(app.port))
    const stream = front.connect().request({ ":authority": "localhost" })
    stream.on("error", () => undefined)
    const at = await app.connection(0)
    stream.close(8)
    await at.over()
    await eventually(() => front.events.length > 0)
    expect(front.events).toMatchObject([{ status: 499, complete: false }])
  })

  it("is a reset when the app breaks off", async () => {
    const app = await listenApp((each) => void each.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"))
    const front = await listenHttp2(() => to(app.port))
    const session = front.connect()
    const sent = send(session)
    const at = await app.connection(0)
    await at.until("\r\n\r\n")
    at.socket.destroy()
    expect(await sent).toMatchObject({ status: 200, code: INTERNAL_ERROR })
  })

  it("is not the client's doing when an app breaks off, as often as it does", async () => {
    const app = await listenApp((each) => {
      each.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
      each.socket.end()
    })
    const front = await listenHttp2(() => to(app.port), { limits: { maxStreamResets: 2 } })
    const session = front.connect()
    for (let n = 0; n < 6; n++) expect((await send(session)).code).not.toBe(NO_ERROR)
    expect(session.closed).toBe(false)
  })

  it("does not wait for the rest of a body that the response does not need", async () => {
    const app = await listenApp((each) => void each.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"))
    const chunked = await listenApp(
      (each) => void each.send("HTTP/1.1 413 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"),
    )
    const front = await listenHttp2(({ head }) => to(head.target === "/" ? app.port : chunked.port))
    const client = (await front.raw()).start()
    client.send(raw.HEADERS, raw.END_HEADERS, 1, raw.post())
    await client.frame(raw.RST_STREAM, 1)
    expect(client.resetCode(1)).toBe(NO_ERROR)
    const frames = client.frames.filter(({ stream }) => stream === 1)
    expect(frames.map(({ type }) => type).slice(0, 2)).toEqual([raw.HEADERS, raw.DATA])
    // The response is complete before the reset.
    expect(frames.findLast(({ type }) => type === raw.DATA)!.flags & raw.END_STREAM).toBe(raw.END_STREAM)
    expect(frames.at(-1)!.type).toBe(raw.RST_STREAM)
  })

  it("is the end of its connection's wait for another one", async () => {
    const front = await listenHttp2(() => ({ status: 200, headers: [] }), {
      limits: { keepAliveTimeoutMs: 100, lingerMs: 100 },
    })
    const client = (await front.raw()).start()
    client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 1, raw.get())
    expect((await client.over()).goAwayCode).toBe(NO_ERROR)
    await eventually(() => front.engine.connections() === 0)
  })

  it("comes to a connection without any, after the time that a head has", async () => {
    const front = await listenHttp2(() => to(1), { limits: { headersTimeoutMs: 100, lingerMs: 100 } })
    expect((await (await front.raw()).start().over()).goAwayCode).toBe(NO_ERROR)
    await (await front.raw()).over()
  })
})

describe("an engine that stops", () => {
  it("sends GOAWAY, and requests in flight finish", async () => {
    const app = await listenApp()
    const front = await listenHttp2(() => to(app.port))
    const client = (await front.raw()).start()
    client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 1, raw.get())
    const at = await app.connection(0)
    const drained = front.engine.drain({ deadlineMs: 5_000 })
    await client.frame(raw.GOAWAY)
    expect(client.goAwayCode).toBe(NO_ERROR)
    at.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await drained
    expect((await client.over()).frames.some(({ type, stream }) => type === raw.DATA && stream === 1)).toBe(true)
    expect(front.events).toMatchObject([{ status: 200, complete: true }])
  })

  it("ends what is left at the deadline: a response that has begun looks like none that is complete", async () => {
    const app = await listenApp((each) => void each.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"))
    const front = await listenHttp2(() => to(app.port))
    const client = (await front.raw()).start()
    client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 1, raw.get())
    await client.frame(raw.DATA, 1)
    await front.engine.drain({ deadlineMs: 50 })
    expect((await client.over()).resetCode(1)).toBe(INTERNAL_ERROR)
  })
})

describe("an engine that stops, with a client that takes nothing", () => {
  it("ends at its deadline all the same", async () => {
    const app = await respondingApp()
    const front = await listenHttp2(() => to(app.port), { limits: { lingerMs: 100 } })
    const client = (await front.raw()).start([[4, 0]])
    client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 1, raw.get())
    await client.frame(raw.HEADERS, 1)
    client.socket.pause()
    await front.engine.drain({ deadlineMs: 50 })
    expect(front.engine.connections()).toBe(0)
  })
})

describe("a connection that is one too many", () => {
  it("has the response for it, and is closed", async () => {
    const front = await listenHttp2(() => to(1), { admission: { admit: () => false, release: () => undefined } })
    const session = front.connect()
    const closed = new Promise((resolve) => session.once("close", resolve))
    expect((await send(session)).status).toBe(429)
    await closed
  })
})

describe("a WebSocket by HTTP/2", () => {
  const keyField = /sec-websocket-key: (.*)\r\n/i
  const opened = async (headers: Record<string, string> = {}) => {
    const app = await listenApp()
    const front = await listenHttp2((incoming) => asSent(incoming, app.port))
    const session = front.connect()
    await new Promise((resolve) => session.once("remoteSettings", resolve))
    const stream = session.request({
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":authority": "localhost",
      ":path": "/chat",
      "sec-websocket-version": "13",
      ...headers,
    })
    stream.on("error", () => undefined)
    const response = new Promise<Record<string, unknown>>((resolve) => stream.once("response", resolve))
    return { app, front, session, stream, response }
  }
  const accept = async (text: string): Promise<string> => {
    const hash = await crypto.subtle.digest(
      "SHA-1",
      Buffer.from(`${keyField.exec(text)![1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`),
    )
    const proof = Buffer.from(hash).toString("base64")
    return switching.replace("\r\n\r\n", `\r\nSec-WebSocket-Protocol: a\r\nSec-WebSocket-Accept: ${proof}\r\n\r\n`)
  }

  it("is the handshake of HTTP/1.1 to the app, and then bytes both ways", async () => {
    const { app, front, stream, response } = await opened({
      "sec-websocket-protocol": "a",
      "sec-websocket-key": "mine",
    })
    const at = await app.connection(0)
    const text = await at.until("\r\n\r\n")
    expect(text).toMatch(/^GET \/chat HTTP\/1\.1\r\nHost: localhost\r\n/)
    expect(text).not.toContain("mine")
    at.send(`${await accept(text)}hello`)
    const { ":status": status, ...fields } = await response
    expect(status).toBe(200)
    expect(Object.keys(fields).toSorted()).toEqual(["date", "sec-websocket-protocol"])
    let seen = ""
    stream.on("data", (bytes: Buffer) => (seen += bytes.toString()))
    stream.write("0\r\n\r\n")
    expect(await at.until("0\r\n\r\n")).toBe("0\r\n\r\n")
    await eventually(() => seen === "hello")
    stream.end()
    await at.when(({ state }) => state === "ended")
    at.socket.end()
    await new Promise((resolve) => stream.once("close", resolve))
    expect(stream.rstCode).toBe(NO_ERROR)
    await eventually(() => front.events.length > 0)
    expect(front.events).toMatchObject([
      { method: "GET", upgrade: true, status: 101, bytesIn: 5, bytesOut: 5, complete: true },
    ])
  })

  it("ends with the app, with the client, and with a close frame when the engine stops", async () => {
    for (const end of ["app", "client", "engine"] as const) {
      const { app, front, stream, response } = await opened()
      const at = await app.connection(0)
      at.send(await accept(await at.until("\r\n\r\n")))
      await response
      const seen: Buffer[] = []
      stream.on("data", (bytes: Buffer) => seen.push(bytes))
      const closed = new Promise((resolve) => stream.once("close", resolve))
      if (end === "app") at.socket.resetAndDestroy()
      else if (end === "client") stream.close(8)
      else await front.engine.drain({ deadlineMs: 0 })
      await Promise.all([closed, at.over()])
      expect([INTERNAL_ERROR, end === "app" ? INTERNAL_ERROR : stream.rstCode]).toContain(stream.rstCode)
      expect(Buffer.concat(seen)).toEqual(Buffer.from(end === "engine" ? [0x88, 2, 0x03, 0xe9] : []))
    }
  })

  it("is 502 when the app does not prove that it read the handshake", async () => {
    const { app, response } = await opened()
    const at = await app.connection(0)
    await at.until("\r\n\r\n")
    at.send(switching)
    expect((await response)[":status"]).toBe(502)
    await at.over()
  })

  it("has the app's response when the app refuses it", async () => {
    const { app, stream, response } = await opened()
    const at = await app.connection(0)
    await at.until("\r\n\r\n")
    at.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    expect((await response)[":status"]).toBe(403)
    // Without the client's end: it is no tunnel that could have one.
    if (!stream.closed) await new Promise((resolve) => stream.once("close", resolve))
    expect(stream.rstCode).toBe(NO_ERROR)
  })

  it("is the only thing that CONNECT is for", async () => {
    const front = await listenHttp2(() => to(1))
    const session = front.connect()
    await new Promise((resolve) => session.once("remoteSettings", resolve))
    expect((await send(session, { ":method": "CONNECT", ":authority": "localhost:22" })).status).toBe(405)
    const other = { ":method": "CONNECT", ":protocol": "connect-udp", ":path": "/", ":scheme": "https" }
    expect((await send(session, other)).status).toBe(501)
  })
})
