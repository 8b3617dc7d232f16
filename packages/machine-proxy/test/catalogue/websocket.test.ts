/** Group W of the catalogue: upgrades, tunnels, and what pretends to be one. */
import { createHash } from "node:crypto"
import type { Socket } from "node:net"
import { describe, expect, it } from "vitest"
import {
  MiB,
  READ,
  Sink,
  connectTo,
  gone,
  headTo,
  heldBetween,
  pour,
  signal,
  startMachine,
  startScript,
  startServer,
} from "./bulk.ts"
import { SOON_MS, bytes, closing, pieces, resetting, silent, useMachine } from "./harness.ts"
import type { AppConnection, Client } from "./harness.ts"

const m = useMachine()

const says = (status: string, ...fields: readonly string[]): string =>
  `HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`

const KEY = "dGhlIHNhbXBsZSBub25jZQ=="
const ACCEPT = createHash("sha1").update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
const UPGRADE = ["Connection: Upgrade", "Upgrade: websocket"]
const HANDSHAKE = [...UPGRADE, `Sec-WebSocket-Key: ${KEY}`, "Sec-WebSocket-Version: 13"]
const SWITCH = says("101 Switching Protocols", ...UPGRADE, `Sec-WebSocket-Accept: ${ACCEPT}`)

/** The first connection that the app accepted. */
const app = (): AppConnection => m.app.connections[0]!

const appClosed = (): Promise<void> =>
  m.app.until(
    () => app()?.closed !== undefined,
    () => "the connection to the app to close",
  )

/** What the app received after the head of the handshake. */
const tunnelled = (): string => app().text.slice(app().text.indexOf("\r\n\r\n") + 4)

const appHas = (text: string): Promise<void> =>
  m.app.until(
    () => m.app.connections.length > 0 && tunnelled() === text,
    () => `${JSON.stringify(text)} at the app, got ${JSON.stringify(m.app.text)}`,
  )

const clientHas = (client: Client, text: string): Promise<void> =>
  client.until(
    () => client.text.endsWith(text),
    () => `${JSON.stringify(text)} at the client, got ${JSON.stringify(client.text)}`,
  )

/** A tunnel that is open. */
const tunnel = async (): Promise<Client> => {
  m.app.script = bytes(SWITCH)
  const client = await m.connect().write(m.get("/ws", ...HANDSHAKE))
  expect((await client.answered(1))[0]!.status).toBe(101)
  m.app.script = silent
  return client
}

describe("a handshake", () => {
  it("W01 passes end to end: key, accept, subprotocol and extensions, then bytes both ways", async () => {
    m.app.script = bytes(
      says(
        "101 Switching Protocols",
        ...UPGRADE,
        `Sec-WebSocket-Accept: ${ACCEPT}`,
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",
      ),
    )
    const client = await m
      .connect()
      .write(
        m.get(
          "/ws?a=1",
          ...HANDSHAKE,
          "Sec-WebSocket-Protocol: chat, superchat",
          "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
          "Origin: https://app.example.com",
          "Cookie: a=1",
        ),
      )
    const [answer] = await client.answered(1)
    expect(answer!.value("sec-websocket-accept")).toBe(ACCEPT)
    expect(answer!.value("sec-websocket-protocol")).toBe("chat")
    expect(answer!.value("sec-websocket-extensions")).toBe("permessage-deflate; server_no_context_takeover")
    expect([answer!.value("connection"), answer!.value("upgrade")]).toEqual(["Upgrade", "websocket"])
    const { request } = m.app
    expect(request.line).toBe("GET /ws?a=1 HTTP/1.1")
    expect([request.value("connection"), request.value("upgrade")]).toEqual(["Upgrade", "websocket"])
    expect(request.value("sec-websocket-key")).toBe(KEY)
    expect(request.value("sec-websocket-protocol")).toBe("chat, superchat")
    expect(request.value("origin")).toBe("https://app.example.com")
    expect(request.value("cookie")).toBe("a=1")
    m.app.script = silent
    await client.write("\x81\x85\x01\x02\x03\x04masked")
    await appHas("\x81\x85\x01\x02\x03\x04masked")
    app().write("\x81\x05hello")
    await clientHas(client, "\x81\x05hello")
  })

  it("W02 brings the app's cookies and fields, in lines of their own", async () => {
    m.app.script = bytes(SWITCH.replace("\r\n\r\n", "\r\nSet-Cookie: a=1, x\r\nSet-Cookie: b=2\r\nX-App: 1\r\n\r\n"))
    const [answer] = await (await m.connect().write(m.get("/", ...HANDSHAKE))).answered(1)
    expect(answer!.values("set-cookie")).toEqual(["a=1, x", "b=2"])
    expect(answer!.value("x-app")).toBe("1")
    expect(answer!.value("x-iterate-proxy-stamp")).toBe("unproven")
  })

  it("W03 with octets in its packet: the app gets them after its 101, once, in order, and nobody else does", async () => {
    m.app.script = silent
    const client = await m.connect().write(`${m.get("/", ...HANDSHAKE)}early `)
    await m.app.seen(1)
    await client.write("more ")
    // RFC 9931: nothing of it before the 101.
    expect(tunnelled()).toBe("")
    app().write(`${SWITCH}server first `)
    await clientHas(client, "server first ")
    await client.write("late")
    await appHas("early more late")
    expect(client.text).not.toContain("early")
  })

  it("W03 with many octets before the 101 has them wait, whole", async () => {
    m.app.script = silent
    const early = Buffer.alloc(300_000, "abcdefg")
    const client = m.connect()
    void client.write(m.get("/", ...HANDSHAKE), early)
    await m.app.seen(1)
    app().write(SWITCH)
    await appHas(early.toString("latin1"))
  })

  it("W04 that the app answers together with its first frames, split at every octet of the head", async () => {
    const answer = `${SWITCH}frame`
    for (let i = 1; i < answer.length; i += 7) {
      m.app.connections.splice(0)
      m.app.script = pieces(answer.slice(0, i), answer.slice(i))
      const client = await m.connect().write(m.get("/", ...HANDSHAKE))
      await clientHas(client, "frame")
      client.destroy()
    }
  })

  it.each([
    ["Upgrade: WebSocket", "Connection: upgrade"],
    ["upgrade: WEBSOCKET", "connection: keep-alive, Upgrade"],
    ["Upgrade: websocket", "Connection: keep-alive", "Connection: UPGRADE"],
    ["Upgrade:  websocket ", "Connection:\tUpgrade , close"],
  ])("W10 is one in any case and list: %j %j", async (...fields) => {
    m.app.script = bytes(SWITCH)
    const client = await m.connect().write(m.get("/", ...fields))
    expect((await client.answered(1))[0]!.status).toBe(101)
    expect(m.app.request.values("upgrade")).toEqual(["websocket"])
    expect(m.app.request.values("connection")).toEqual(["Upgrade"])
  })

  it.each([
    ["Upgrade: foo", "Connection: Upgrade"],
    ["Upgrade: websocket, h2c", "Connection: Upgrade"],
    ["Upgrade: h2c, websocket", "Connection: Upgrade"],
    ["Upgrade: websocket", "Upgrade: h2c", "Connection: Upgrade"],
    ["Upgrade: websocket", "Upgrade: websocket", "Connection: Upgrade"],
    ["Upgrade: websocket/13", "Connection: Upgrade"],
    ["Upgrade: websocket"],
    ["Upgrade: websocket", "Connection: keep-alive"],
    ["Upgrade: websocket", "Connection: Upgraded"],
    ["Connection: Upgrade"],
    ["Upgrade:", "Connection: Upgrade"],
  ])("W10 is none with %j %j %j: a plain request, and a 101 to it is refused", async (...fields) => {
    const client = await m.connect().write(m.get("/plain", ...fields))
    expect((await client.answered(1))[0]!.status).toBe(200)
    expect(m.app.request.value("upgrade")).toBeUndefined()
    expect(m.app.request.value("connection")).toBeUndefined()
    m.app.script = bytes(SWITCH)
    await client.write(m.get("/plain", ...fields))
    expect((await client.answered(2))[1]!.status).toBe(502)
  })

  it("W09 for h2c is a plain request without its fields, and the connection stays HTTP/1.1", async () => {
    const client = await m
      .connect()
      .write(
        m.get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
      )
    expect((await client.answered(1))[0]!.status).toBe(200)
    expect(m.app.text).not.toMatch(/h2c|http2-settings|upgrade/i)
    await client.write(m.get("/next"))
    await client.answered(2)
  })

  it("W11 of HTTP/1.0 is a plain request", async () => {
    const client = await m.sendUntilClose(m.routed("GET / HTTP/1.0", "Host: app.example.com", ...HANDSHAKE))
    expect(client.answers[0]!.status).toBe(200)
    expect(m.app.request.value("upgrade")).toBeUndefined()
  })

  it.each([
    ["Upgrade: h2c", "Connection: Upgrade"],
    ["Upgrade: websocket"],
    ["Connection: Upgrade"],
    ["Connection: Upgrade", "Upgrade: websocket, h2c"],
    ["Connection: Upgrade", "Upgrade:"],
  ])("W12 is refused when the app's 101 says %j %j", async (...fields) => {
    m.app.script = bytes(`${says("101 Switching Protocols", ...fields)}raw`)
    const client = await m.connect().write(m.get("/", ...HANDSHAKE))
    expect((await client.answered(1))[0]!.status).toBe(502)
    expect(client.text).not.toContain("raw")
    await appClosed()
  })

  it("W13 has its 101 filtered as any answer, but for Upgrade and Connection", async () => {
    m.app.script = bytes(
      says(
        "101 Switching Protocols",
        "Connection: Upgrade, X-Hop",
        "Upgrade: WebSocket",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: x",
        "Alt-Svc: h3",
        "X-Iterate-Proxy-Stamp: forged",
        "X-Iterate-User: root",
        "Content-Length: 5",
        "Sec-WebSocket-Accept: a",
      ),
    )
    const [answer] = await (await m.connect().write(m.get("/", ...HANDSHAKE))).answered(1)
    expect(answer!.fields.map(([name, value]) => `${name.toLowerCase()}: ${value}`).toSorted()).toEqual([
      "connection: Upgrade",
      "sec-websocket-accept: a",
      "upgrade: websocket",
      "x-iterate-proxy-stamp: unproven",
    ])
  })

  it.each([
    [],
    [`Sec-WebSocket-Key: ${KEY}`],
    ["Sec-WebSocket-Version: 13"],
    [`Sec-WebSocket-Key: ${KEY}`, "Sec-WebSocket-Key: other", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"],
    ["Sec-WebSocket-Key: not base64", "Sec-WebSocket-Version: 99"],
  ])("W14 is the app's to judge: %j %j", async (...fields) => {
    m.app.script = bytes(says("400 Bad Request", "Content-Length: 0"))
    const client = await m.connect().write(m.get("/", ...UPGRADE, ...fields))
    expect((await client.answered(1))[0]!.status).toBe(400)
    const sent = m.app.request.fields.filter(([name]) => name.startsWith("Sec-")).map((field) => field.join(": "))
    expect(sent).toEqual(fields)
  })

  it("W16 is judged by ticket, target and ports as any request, and nobody dials", async () => {
    const head = (hop: string) => `GET / HTTP/1.1\r\nHost: app.example.com\r\n${HANDSHAKE.join("\r\n")}\r\n${hop}\r\n`
    for (const [hop, status] of [
      ["", 401],
      [`x-iterate-proxy-target-host: ${m.app.port}__app.example.com\r\n`, 401],
      [`x-iterate-proxy-ticket: a.b.c\r\nx-iterate-proxy-target-host: ${m.app.port}__app.example.com\r\n`, 401],
      [m.hop + m.hop, 401],
      [m.hopTo("22__app.example.com"), 403],
      [m.hopTo("25__app.example.com"), 403],
      [m.hopTo("169.254.169.254:80"), 400],
      [m.hopTo("evil.com:80"), 400],
      [m.hopTo(`${m.port}__app.example.com`), 508],
      [`${m.hop}x-iterate-proxy-via: app.example.com\r\n`, 508],
    ] as const) {
      const client = await m.sendUntilClose(head(hop))
      expect([client.answers[0]!.status, hop]).toEqual([status, hop])
    }
    expect(m.app.connections).toHaveLength(0)
  })
})

describe("a handshake that the app refuses", () => {
  it("W05 leaves the octets behind it to nobody: the connection ends", async () => {
    const client = await m.connect().write(m.get("/", ...HANDSHAKE) + m.get("/smug"))
    const [answer] = await client.answered(1)
    expect([answer!.status, answer!.text, answer!.value("connection")]).toEqual([200, "ok", "close"])
    expect(await client.close()).toBe("fin")
    expect(client.answers).toHaveLength(1)
    expect(m.app.text).not.toContain("/smug")
    await appClosed()
  })

  it("W06 slowly, with octets following all the time, still gives the app none of them", async () => {
    m.app.script = silent
    const client = await m.connect().write(m.get("/", ...HANDSHAKE))
    await m.app.seen(1)
    for (let i = 0; i < 5; i++) await client.write(m.get(`/smug-${i}`))
    app().write(`${says("200 OK", "Transfer-Encoding: chunked")}2\r\nno\r\n`)
    await clientHas(client, "no\r\n")
    await client.write(m.get("/smug-late"))
    app().write("0\r\n\r\n")
    expect(await client.close()).toBe("fin")
    expect(m.app.text).not.toContain("smug")
  })

  it.each([
    "401 Unauthorized",
    "403 Forbidden",
    "302 Found",
    "426 Upgrade Required",
    "500 Oops",
    "404 Not Found",
    "503 Busy",
  ])("W07 with %s brings status, fields and body at once", async (status) => {
    m.app.script = bytes(`${says(status, "Location: /login", "X-Why: 1", "Content-Length: 7")}because`)
    const start = performance.now()
    const client = await m.connect().write(m.get("/", ...HANDSHAKE))
    const [answer] = await client.answered(1)
    expect(performance.now() - start).toBeLessThan(SOON_MS)
    expect([answer!.status, answer!.text, answer!.value("x-why")]).toEqual([Number(status.slice(0, 3)), "because", "1"])
    expect(answer!.value("location")).toBe("/login")
  })

  it("W07 with chunks, or with the end of the connection, brings all of it", async () => {
    for (const script of [
      bytes(`${says("403 No", "Transfer-Encoding: chunked")}7\r\nbecause\r\n0\r\n\r\n`),
      closing(`${says("403 No")}because`),
    ]) {
      m.app.script = script
      const client = await m.connect().write(m.get("/", ...HANDSHAKE))
      expect((await client.answered(1))[0]!.text).toBe("because")
    }
  })

  it("W07 with 426 names the one protocol that passes here (RFC 9110 §15.5.22)", async () => {
    m.app.script = bytes(says("426 Upgrade Required", "Upgrade: h2c", "Connection: Upgrade", "Content-Length: 0"))
    const [answer] = await (await m.connect().write(m.get("/", ...HANDSHAKE))).answered(1)
    expect(answer!.value("upgrade")).toBe("websocket")
  })
})

describe("an upgrade of a request that is no handshake", () => {
  const smug = "GET /smug HTTP/1.1\r\nHost: evil\r\n\r\n"
  it.each(["POST", "PUT", "GET", "PATCH", "DELETE", "OPTIONS"])(
    "W08 has the body of a %s framed as a body",
    async (method) => {
      const line = `${method} /w08 HTTP/1.1`
      for (const [fields, body] of [
        [[`Content-Length: ${smug.length}`], smug],
        [["Transfer-Encoding: chunked"], `${smug.length.toString(16)}\r\n${smug}\r\n0\r\n\r\n`],
      ] as const) {
        const client = await m.connect().write(m.routed(line, "Host: app.example.com", ...HANDSHAKE, ...fields) + body)
        expect((await client.answered(1))[0]!.status).toBe(200)
        const request = m.app.requests.at(-1)!
        expect([request.method, request.target, request.text]).toEqual([method, "/w08", smug])
        expect(request.value("upgrade")).toBeUndefined()
      }
      expect(m.app.requests).toHaveLength(2)
    },
  )

  it.each(["POST", "HEAD", "OPTIONS", "PUT"])(
    "W08 of a %s without a body is a plain request; a 101 to it is refused",
    async (method) => {
      m.app.script = bytes(`${SWITCH}raw`)
      const client = await m.connect().write(m.routed(`${method} / HTTP/1.1`, "Host: app.example.com", ...HANDSHAKE))
      await client.until(
        () => client.messages.length > 0,
        () => "an answer",
      )
      expect(client.messages[0]!.status).toBe(502)
      expect(m.app.request.value("upgrade")).toBeUndefined()
      expect(client.text).not.toContain("raw")
    },
  )

  it("W08 with both lengths is refused as ever", async () => {
    const client = await m.sendUntilClose(
      m.get("/", ...HANDSHAKE, "Content-Length: 4", "Transfer-Encoding: chunked") + "0\r\n\r\n" + smug,
    )
    expect(client.answers.map(({ status }) => status)).toEqual([400])
    expect(m.app.connections).toHaveLength(0)
  })

  it.each(["CONNECT app.example.com:443 HTTP/1.1", "CONNECT / HTTP/1.1", "CONNECT 127.0.0.1:22 HTTP/1.1"])(
    "W20 is a tunnel by %s: refused and closed, and what follows is never read",
    async (line) => {
      const client = await m.sendUntilClose(
        `${m.routed(line, "Host: app.example.com")}\x16\x03\x01\x02\x00${m.get("/smug")}`,
      )
      expect(client.answers.map(({ status }) => status)).toEqual([
        expect.toSatisfy((status: number) => [400, 405, 501].includes(status)),
      ])
      expect(client.closed).toBe("fin")
      expect(m.app.connections).toHaveLength(0)
    },
  )
})

describe("a tunnel", () => {
  it("W03 is octets: nothing in it is HTTP any more", async () => {
    const client = await tunnel()
    await client.write(m.get("/smug"), "\0\xff\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n")
    await appHas(`${m.get("/smug")}\0\xff\r\n\r\nHTTP/1.1 200 OK\r\n\r\n`)
    app().write("HTTP/1.1 500 X\r\nContent-Length: 1\r\n\r\n")
    await clientHas(client, "HTTP/1.1 500 X\r\nContent-Length: 1\r\n\r\n")
  })

  it.each(["reset", "destroy", "end"] as const)(
    "W15 ends with its client (%s): the app's side is closed soon",
    async (leave) => {
      const client = await tunnel()
      const start = performance.now()
      client[leave]()
      await appClosed()
      expect(performance.now() - start).toBeLessThan(SOON_MS)
    },
  )

  it("W15 ends with its app: a FIN stays a FIN, a reset a reset, soon", async () => {
    for (const [leave, how] of [
      ["end", "fin"],
      ["reset", "reset"],
    ] as const) {
      m.app.connections.splice(0)
      const client = await tunnel()
      const start = performance.now()
      if (leave === "end") app().socket.end("bye")
      else app().reset()
      expect(await client.close()).toBe(how)
      expect(performance.now() - start).toBeLessThan(SOON_MS)
      expect(client.text.endsWith("bye")).toBe(leave === "end")
      client.destroy()
    }
  })

  it("W15 whose client leaves before the 101 leaves nothing behind", async () => {
    for (const leave of ["reset", "destroy", "end"] as const) {
      m.app.connections.splice(0)
      m.app.script = silent
      const client = await m.connect().write(m.get("/", ...HANDSHAKE))
      await m.app.seen(1)
      const start = performance.now()
      client[leave]()
      await appClosed()
      expect(performance.now() - start).toBeLessThan(SOON_MS)
      // Too late, and harmless.
      app().write(SWITCH)
    }
  })

  it("W15 whose app leaves before the 101 is a 502", async () => {
    for (const script of [closing(), resetting(), resetting("HTTP/1.1 101 Swi")]) {
      m.app.script = script
      const client = await m.sendUntilClose(m.get("/", ...HANDSHAKE))
      expect(client.answers.map(({ status }) => status)).toEqual([502])
    }
  })

  it("W15 refused, whose client or app leaves inside the body", async () => {
    m.app.script = bytes(`${says("403 No", "Content-Length: 9")}be`)
    const client = await m.connect().write(m.get("/", ...HANDSHAKE))
    await clientHas(client, "be")
    client.reset()
    await appClosed()
    m.app.script = resetting(`${says("403 No", "Content-Length: 9")}be`)
    expect((await m.sendUntilClose(m.get("/", ...HANDSHAKE))).closed).toBe("reset")
  })

  it("W17 may be closed by one side first: what the other one still says arrives", async () => {
    m.app.script = bytes(SWITCH)
    m.app.onConnection = ({ socket }) => socket.removeAllListeners("end")
    const client = await m.connect().write(m.get("/ws", ...HANDSHAKE))
    await client.answered(1)
    m.app.script = silent
    client.socket.end("last words")
    await appHas("last words")
    app().write("and mine")
    await clientHas(client, "and mine")
    app().socket.end()
    expect(await client.close()).toBe("fin")
  })

  it("W17 of an app on ::1 ends in order as well, with its last octets", async (ctx) => {
    await using six = await startServer((socket) => {
      socket.once("data", () => {
        socket.write(SWITCH)
        socket.once("data", () => socket.end("bye"))
      })
    }, "::1").catch(() => ctx.skip("no ::1 here"))
    for (let i = 0; i < 5; i++) {
      const sink = new Sink(await connectTo(m.port))
      sink.socket.write(headTo(six.port, "GET / HTTP/1.1", ...HANDSHAKE))
      await sink.received(SWITCH.length - 40)
      let failed = false
      sink.socket.on("error", () => (failed = true))
      sink.socket.end("hello")
      await gone(sink.socket)
      expect(failed).toBe(false)
      expect(sink.head).toMatch(/bye$/)
    }
  })

  it("W18 carries single octets, and 32 MiB each way at once, whole", async () => {
    const client = await tunnel()
    for (const c of "one by one") {
      await client.write(c)
      app().write(c)
    }
    await appHas("one by one")
    await clientHas(client, "one by one")
    client.destroy()

    const hash = createHash("sha1")
    let octets = 0
    await using far = await startServer((socket) => {
      let open = false
      socket.on("data", (data: Buffer) => {
        if (!open) {
          open = true
          socket.write(SWITCH)
          void pour(socket, 32 * MiB)
          return
        }
        octets += data.length
        hash.update(data)
      })
    })
    const sink = new Sink(await connectTo(m.port))
    sink.socket.write(headTo(far.port, "GET / HTTP/1.1", ...HANDSHAKE))
    await sink.received(20)
    const piece = Buffer.alloc(MiB, "y")
    await pour(sink.socket, 32 * MiB, piece)
    await sink.received(32 * MiB)
    await expect.poll(() => octets, { timeout: 15_000 }).toBe(32 * MiB)
    const expected = createHash("sha1")
    for (let i = 0; i < 32; i++) expected.update(piece)
    expect(hash.digest("hex")).toBe(expected.digest("hex"))
    sink.socket.destroy()
  })

  it("W18 with a slow reader on either side is bounded", async () => {
    for (const slow of ["client", "app"] as const) {
      let accepted: Socket | undefined
      await using far = await startServer((socket) => {
        accepted = socket
        socket.once("data", () => {
          socket.write(SWITCH)
          if (slow === "app") socket.pause()
          else void pour(socket, 64 * MiB)
        })
      })
      const client = await connectTo(m.port)
      client.write(headTo(far.port, "GET / HTTP/1.1", ...HANDSHAKE))
      await new Promise<void>((resolve) => client.once("data", () => resolve()))
      client.pause()
      if (slow === "app") void pour(client, 64 * MiB)
      const { held } = await (slow === "app" ? heldBetween(client, accepted!) : heldBetween(accepted!, client))
      expect(held).toBeLessThanOrEqual(3 * READ + 4_096)
      client.destroy()
    }
  })

  it("W15 whose client is killed is ended at the app", async () => {
    m.app.script = bytes(SWITCH)
    await using client = await startScript(
      `const s = require("net").connect(${m.port}, "127.0.0.1"); s.write(${JSON.stringify(m.get("/", ...HANDSHAKE))}); s.once("data", () => { console.log(0); setInterval(() => s.write("x"), 5) })`,
    )
    await m.app.until(
      () => tunnelled().length > 3,
      () => "octets",
    )
    signal(client, "SIGKILL")
    await appClosed()
  })
})

describe("a tunnel and time", () => {
  const quick = useMachine({
    limits: {
      headersTimeoutMs: 100,
      bodyIdleTimeoutMs: 100,
      keepAliveTimeoutMs: 100,
      upstreamHeadersTimeoutMs: 200,
      upstreamIdleTimeoutMs: 100,
      poolIdleTimeoutMs: 100,
      tunnelLingerMs: 200,
    },
  })

  const open = async (): Promise<Client> => {
    quick.app.script = bytes(SWITCH)
    const client = await quick.connect().write(quick.get("/", ...HANDSHAKE))
    await client.answered(1)
    quick.app.script = silent
    return client
  }

  it("W19 is idle for longer than any other time-out and lives", async () => {
    const client = await open()
    await new Promise((resolve) => setTimeout(resolve, 800))
    await client.write("still there?")
    await quick.app.until(
      () => quick.app.text.endsWith("still there?"),
      () => "octets",
    )
    quick.app.connections[0]!.write("yes")
    await clientHas(client, "yes")
  })

  it("W17 half closed is ended after the linger time, though the app keeps its side open", async () => {
    quick.app.onConnection = ({ socket }) => socket.removeAllListeners("end")
    const client = await open()
    const start = performance.now()
    client.end()
    await client.close()
    expect(performance.now() - start).toBeGreaterThan(150)
    expect(performance.now() - start).toBeLessThan(SOON_MS)
    // A FIN it has had long ago; that nobody is there any more it learns when it writes.
    await expect
      .poll(() => {
        quick.app.connections[0]!.write("x")
        return quick.app.connections[0]!.closed
      })
      .toBe("reset")
  })

  it("W19 is asked after by the kernel every 30 s, so that a dead peer is found", async () => {
    const asked: (readonly [boolean, number])[] = []
    const own = await startMachine()
    own.server.prependListener("connection", (socket) => {
      const real = socket.setKeepAlive.bind(socket)
      const noted = (enable: boolean, delay: number) => {
        asked.push([enable, delay])
        return real(enable, delay)
      }
      socket.setKeepAlive = noted as typeof socket.setKeepAlive
    })
    await using far = await startServer((socket) => socket.once("data", () => socket.write(SWITCH)))
    const sink = new Sink(await connectTo(own.port))
    sink.socket.write(headTo(far.port, "GET / HTTP/1.1", ...HANDSHAKE))
    await sink.received(20)
    expect(asked).toEqual([[true, 30_000]])
    sink.socket.destroy()
    await own[Symbol.asyncDispose]()
  })
})

describe("tunnels and limits", () => {
  it.each([
    ["between frames", "\x81\x02hi", true],
    ["before any frame", "", true],
    ["behind a long frame", `\x82\x7e\x00\xc8${"x".repeat(200)}`, true],
    ["inside a frame", "\x81\x05he", false],
    ["inside the head of a frame", "\x82\x7e\x00", false],
    ["inside a long frame", `\x82\x7e\x01\x00${"x".repeat(200)}`, false],
  ])("S24 W25 are told 1001 by a drain %s, unless it would land in a frame of the app's", async (_, said, told) => {
    const own = await startMachine()
    await using far = await startServer((socket) =>
      socket.once("data", () => {
        socket.write(SWITCH)
        socket.write(Buffer.from(said, "latin1"))
      }),
    )
    const sink = new Sink(await connectTo(own.port))
    sink.socket.write(headTo(far.port, "GET / HTTP/1.1", ...HANDSHAKE))
    await sink.until(
      () => sink.head.includes("\r\n\r\n") && sink.head.endsWith(said),
      () => `a 101 and ${JSON.stringify(said)}, got ${JSON.stringify(sink.head)}`,
    )
    own.server.close()
    await Promise.all([own.proxy.drain({ deadlineMs: 50 }), sink.close()])
    expect(sink.head.endsWith("\x88\x02\x03\xe9")).toBe(told)
    await expect.poll(() => far.sockets.size).toBe(0)
  })

  it("S24 W25 are ended by a drain though the client takes nothing of what is on its way", async () => {
    const own = await startMachine()
    await using far = await startServer((socket) =>
      socket.once("data", () => {
        socket.write(SWITCH)
        void pour(socket, 64 * MiB)
      }),
    )
    const client = await connectTo(own.port)
    client.write(headTo(far.port, "GET / HTTP/1.1", ...HANDSHAKE))
    await new Promise<void>((resolve) => client.once("data", () => resolve()))
    client.pause()
    await heldBetween([...far.sockets][0]!, client)
    own.server.close()
    const start = performance.now()
    await own.proxy.drain({ deadlineMs: 50 })
    expect(performance.now() - start).toBeLessThan(5_000)
    client.destroy()
  })

  it("W25 count as connections, and are closed by a drain", async () => {
    const own = await startMachine({ limits: { maxConnections: 3, maxConnectionsPerPool: 1 } })
    await using far = await startServer((socket) => socket.once("data", () => socket.write(SWITCH)))
    const sinks: Sink[] = []
    for (let i = 0; i < 3; i++) {
      const sink = new Sink(await connectTo(own.port))
      sink.socket.write(headTo(far.port, "GET / HTTP/1.1", ...HANDSHAKE))
      await sink.received(20)
      expect(sink.head).toMatch(/^HTTP\/1\.1 101 /)
      sinks.push(sink)
    }
    expect(own.proxy.connections()).toBe(3)
    const fourth = new Sink(await connectTo(own.port))
    await fourth.close()
    expect(fourth.head).toMatch(/^HTTP\/1\.1 503 /)
    await own.proxy.drain({ deadlineMs: 20 })
    await Promise.all(sinks.map((sink) => sink.close()))
    expect(own.proxy.connections()).toBe(0)
    await expect.poll(() => far.sockets.size).toBe(0)
    own.server.close()
  })
})
