import { describe, expect, it } from "vitest"
import { asSent, eventually, listen, listenApp, respondingApp, switching, to } from "../engine/harness.ts"
import { connection, Recorder, request } from "./recorder.ts"

const LARGE = Buffer.alloc(4_000_000, "x")

describe("a request that another parser has read", () => {
  it("reaches the app, and its response the sink, without the fields of a connection", async () => {
    const app = await respondingApp(`HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok`)
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sent = await Recorder.send(front.engine, request({ target: "/a?b", headers: ["X-A", "1"] })).over()
    expect(sent.response).toEqual({ status: 200, reason: "OK", headers: ["Date", "now", "Content-Length", "2"] })
    expect(sent.text).toBe("ok")
    expect(sent.trailers).toEqual([])
    await eventually(() => front.events.length > 0)
    const { remoteAddress } = connection
    expect(front.events).toMatchObject([{ type: "request", target: "/a?b", host: "a", status: 200, bytesOut: 2 }])
    expect(front.events).toMatchObject([{ remoteAddress, complete: true }])
  })

  it("is of the connection that it came by, and no connection of its own", async () => {
    const app = await listenApp()
    let seen: unknown
    const front = await listen(({ remoteAddress, peerAddress, localPort, encrypted }) => {
      seen = { remoteAddress, peerAddress, localPort, encrypted }
      return to(app.port)
    })
    const sent = Recorder.send(front.engine, request())
    await app.connection(0)
    expect(seen).toEqual(connection)
    expect(front.engine.connections()).toBe(0)
    sent.message.abort()
    await eventually(() => front.events.length > 0)
    expect(front.engine.connections()).toBe(0)
  })

  it("is refused with 503 when as many are in flight as there may be connections", async () => {
    const app = await listenApp()
    const front = await listen(() => to(app.port), { limits: { maxConnections: 2 } })
    const held = [1, 2].map(() => Recorder.send(front.engine, request()))
    await app.connection(1)
    const refused = await Recorder.send(front.engine, request()).over()
    expect(refused.response?.status).toBe(503)
    held[0]!.message.abort()
    await eventually(() => front.events.length === 2)
    Recorder.send(front.engine, request())
    await app.connection(2)
  })

  it("has its body framed by its length, or in chunks with trailers", async () => {
    const app = await listenApp()
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sized = Recorder.send(
      front.engine,
      request({ method: "POST", ended: false, headers: ["Content-Length", "6"] }),
    )
    for (const piece of ["abc", "", "def"]) sized.message.receive(Buffer.from(piece))
    sized.message.complete(["X-Dropped", "where a length is"])
    expect(await (await app.connection(0)).until("abcdef")).toMatch(/Content-Length: 6\r\n\r\nabcdef$/)
    const chunked = Recorder.send(front.engine, request({ method: "POST", ended: false, headers: ["TE", "trailers"] }))
    for (const piece of ["abc", "", "d".repeat(5_000)]) chunked.message.receive(Buffer.from(piece))
    chunked.message.complete(["X-Sum", "1"])
    const text = await (await app.connection(1)).until("X-Sum: 1\r\n\r\n")
    expect(text).toContain("Transfer-Encoding: chunked\r\n")
    expect(text).toContain("\r\nabc\r\n")
  })

  it("gives trailers of the response", async () => {
    const response =
      "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nGrpc-Status: 0\r\n\r\n"
    const app = await respondingApp(response)
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sent = await Recorder.send(front.engine, request({ headers: ["te", "trailers"] })).over()
    expect(sent.text).toBe("ok")
    expect(sent.trailers).toEqual(["Grpc-Status", "0"])
    expect(sent.response?.headers).toEqual(["Date", "now"])
  })

  it("gives interim responses, and 100 Continue when the app wants the body", async () => {
    const app = await listenApp()
    const front = await listen((incoming) => asSent(incoming, app.port))
    const headers = ["Expect", "100-continue", "Content-Length", "2"]
    const sent = Recorder.send(front.engine, request({ method: "POST", ended: false, headers }))
    const raw = await app.connection(0)
    await raw.until("\r\n\r\n")
    raw.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
    await sent.when(({ interims }) => interims.length === 2)
    expect(sent.interims.map(({ status, headers }) => [status, headers])).toEqual([
      [103, ["Link", "</a>"]],
      [100, []],
    ])
    sent.message.receive(Buffer.from("ab"))
    await raw.until("ab")
    raw.send("HTTP/1.1 204 No Content\r\n\r\n")
    expect((await sent.over()).response?.status).toBe(204)
  })

  it("ends with its head where a response has no body", async () => {
    const app = await respondingApp("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: now\r\n\r\n")
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sent = await Recorder.send(front.engine, request({ method: "HEAD" })).over()
    expect(sent.response?.headers).toEqual(["Content-Length", "5", "Date", "now"])
    expect(sent.trailers).toBeUndefined()
  })

  it("is over when the response is, whatever is left of the body", async () => {
    const app = await listenApp((raw) => void raw.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"))
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sent = Recorder.send(front.engine, request({ method: "POST", ended: false }))
    sent.message.receive(Buffer.from("a"))
    expect((await sent.over()).response?.status).toBe(413)
    expect(sent.message.receive(Buffer.from("b"))).toBe(true)
    sent.message.complete()
    sent.message.abort()
    expect(sent.state).toBe("ended")
  })
})

describe("a sink that throws", () => {
  it("ends its own message with an event, and no other", async () => {
    const app = await respondingApp()
    const front = await listen((incoming) => asSent(incoming, app.port))
    const throwing = new Recorder()
    throwing.head = () => {
      throw new Error("the stream is gone")
    }
    throwing.message = front.engine.message(connection, request(), throwing)
    expect((await throwing.over()).state).toBe("reset")
    expect(front.events).toContainEqual(expect.objectContaining({ type: "error", reason: "the stream is gone" }))
    expect((await Recorder.send(front.engine, request()).over()).text).toBe("ok")
  })
})

describe("the pace of a message", () => {
  it("has a client wait while the app does not read", async () => {
    const app = await listenApp((raw) => void raw.socket.pause())
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sent = Recorder.send(front.engine, request({ method: "POST", ended: false }))
    await app.connection(0)
    let given = 0
    // What the kernel buffers on loopback ends sometime.
    for (let waited = false; !waited;) {
      if (sent.message.receive(LARGE.subarray(0, 65_536))) {
        given += 65_536
        await new Promise((resolve) => setImmediate(resolve))
      } else {
        const before = sent.wantedCount
        waited = await Promise.race([
          sent.when(({ wantedCount }) => wantedCount > before).then(() => false),
          new Promise<boolean>((resolve) => setTimeout(() => resolve(true), 300)),
        ])
      }
    }
    const raw = await app.connection(0)
    const before = sent.wantedCount
    raw.socket.resume()
    await sent.when(({ wantedCount }) => wantedCount > before)
    await raw.when(({ text }) => text.length > given)
    sent.message.complete()
    expect(await raw.until("0\r\n\r\n")).toMatch(/x\r\n0\r\n\r\n$/)
  })

  it("has an app wait while the client does not read", async () => {
    const app = await listenApp((raw) => {
      raw.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${20 * LARGE.length}\r\n\r\n`)
      for (let i = 0; i < 20; i++) raw.socket.write(LARGE)
    })
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sent = new Recorder()
    sent.room = false
    sent.message = front.engine.message(connection, request(), sent)
    const raw = await app.connection(0)
    await sent.when(({ size }) => size > 0)
    // The app's own buffer stops getting smaller.
    for (let last = -1; last !== raw.socket.writableLength;) {
      last = raw.socket.writableLength
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    expect(raw.socket.writableLength).toBeGreaterThan(20_000_000)
    expect(sent.size).toBeLessThan(300_000)
    sent.room = true
    sent.message.drained()
    expect((await sent.over()).size).toBe(20 * LARGE.length)
  })
})

describe("the end of a message", () => {
  it("is 499 when the client leaves, and the app's request ends", async () => {
    const app = await listenApp()
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sent = Recorder.send(front.engine, request())
    const raw = await app.connection(0)
    await raw.until("\r\n\r\n")
    sent.message.abort()
    await raw.over()
    await eventually(() => front.events.length > 0)
    expect(front.events).toMatchObject([{ status: 499, complete: false }])
    expect(sent.state).toBe("open")
  })

  it("is a reset when the app breaks off, or the engine's time is over", async () => {
    const app = await listenApp((raw) => {
      raw.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
    })
    const front = await listen((incoming) => asSent(incoming, app.port))
    const broken = await Recorder.send(front.engine, request()).when(({ size }) => size === 2)
    ;(await app.connection(0)).socket.destroy()
    expect((await broken.over()).state).toBe("reset")
    const drained = await Recorder.send(front.engine, request()).when(({ size }) => size === 2)
    await front.engine.drain({ deadlineMs: 0 })
    expect(drained.state).toBe("reset")
  })

  it("is refused when its body is not as long as it said", async () => {
    const app = await listenApp()
    const front = await listen((incoming) => asSent(incoming, app.port))
    const head = request({ method: "POST", ended: false, headers: ["Content-Length", "4"] })
    const short = Recorder.send(front.engine, head)
    short.message.receive(Buffer.from("ab"))
    short.message.complete()
    expect((await short.over()).state).toBe("reset")
    const long = Recorder.send(front.engine, head)
    long.message.receive(Buffer.from("abcdGET / HTTP/1.1\r\n"))
    expect((await long.over()).state).toBe("reset")
    const bodiless = Recorder.send(front.engine, request())
    bodiless.message.receive(Buffer.from("GET / HTTP/1.1\r\n"))
    expect((await bodiless.over()).state).toBe("reset")
  })
})

describe("a WebSocket as a message", () => {
  const upgrade = ["Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13"]
  const head = request({ headers: [...upgrade, "Sec-WebSocket-Key", `${"A".repeat(22)}==`] })

  it("is a stream of bytes after the 101, those that came early first", async () => {
    const app = await listenApp()
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sent = Recorder.send(front.engine, head)
    sent.message.receive(Buffer.from("early"))
    const raw = await app.connection(0)
    await raw.until("\r\n\r\n")
    raw.send(`${switching}hello`)
    await sent.when(({ size }) => size === 5)
    expect(sent.response).toMatchObject({ status: 101 })
    expect(sent.response?.headers).toEqual(["Connection", "Upgrade", "Upgrade", "websocket"])
    expect(await raw.until("early")).toBe("early")
    sent.message.receive(Buffer.from([0, 13, 10, 255]))
    await raw.until("\0\r\n\xff")
    raw.send("0\r\n\r\n")
    await sent.when(({ text }) => text === "hello0\r\n\r\n")
    sent.message.complete()
    await raw.when(({ state }) => state === "ended")
    raw.socket.end()
    expect((await sent.over()).state).toBe("ended")
    await eventually(() => front.events.length > 0)
    expect(front.events).toMatchObject([{ status: 101, upgrade: true, bytesIn: 9, bytesOut: 10, complete: true }])
  })

  it("ends with the client, with the app, and with a close frame when the engine stops", async () => {
    const app = await listenApp((raw) => void raw.send(switching))
    const front = await listen((incoming) => asSent(incoming, app.port))
    const [left, broken, stopped] = [1, 2, 3].map(() => Recorder.send(front.engine, head))
    for (const each of [left!, broken!, stopped!]) await each.when(({ response }) => response !== undefined)
    const raws = await Promise.all([0, 1, 2].map((n) => app.connection(n)))
    left!.message.abort()
    await eventually(() => front.events.length === 1)
    raws.find(({ state }) => state === "open")!.socket.resetAndDestroy()
    await eventually(() => [broken!, stopped!].some(({ state }) => state === "reset"))
    await front.engine.drain({ deadlineMs: 0 })
    const last = [broken!, stopped!].find(({ size }) => size > 0)!
    expect(Buffer.concat(last.body_)).toEqual(Buffer.of(0x88, 2, 0x03, 0xe9))
  })

  it("is a request like any other when the app refuses it", async () => {
    const app = await respondingApp("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    const front = await listen((incoming) => asSent(incoming, app.port))
    const sent = Recorder.send(front.engine, head)
    sent.message.receive(Buffer.from("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"))
    expect(await sent.over()).toMatchObject({ state: "ended", text: "no" })
    await eventually(() => front.engine.connections() === 0)
    expect(front.events).toMatchObject([{ target: "/", status: 403 }])
  })
})
