/** Group E of the catalogue: `Expect`, interim answers and trailers. */
import { describe, expect, it } from "vitest"
import { SOON_MS, bytes, ok, ownFields, pieces, useMachine } from "./harness.ts"
import type { AppConnection } from "./harness.ts"

const m = useMachine()

const says = (status: string, ...fields: readonly string[]): string =>
  `HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n"
const GOOD = `${says("200 OK", "Content-Length: 2")}ok`

/** Calls back once the app has the head of a request, whose body may still be on its way. */
const onHead = (run: (connection: AppConnection) => void): void => {
  const seen = new Set<AppConnection>()
  m.app.script = () => undefined
  m.app.onData = (connection) => {
    if (seen.has(connection) || !connection.text.includes("\r\n\r\n")) return
    seen.add(connection)
    run(connection)
  }
}

/** Answers once the whole body is there. */
const whenWhole = (answer: string): void => {
  m.app.script = bytes(answer)
}

const interims = (text: string): number => text.split(CONTINUE).length - 1

describe("a client that waits for 100 Continue", () => {
  const waiting = (...fields: readonly string[]) => m.post(["Expect: 100-continue", ...fields])

  it("E01 gets the app's 100, once, and its body is delivered once", async () => {
    onHead((connection) => connection.write(CONTINUE))
    const client = await m.connect().write(waiting("Content-Length: 5"))
    await client.until(
      () => client.text === CONTINUE,
      () => `a 100, got ${JSON.stringify(client.text)}`,
    )
    expect(m.app.text).toMatch(/\r\nExpect: 100-continue\r\n/i)
    whenWhole(GOOD)
    await client.write("hello")
    expect((await client.answered(1))[0]!.text).toBe("ok")
    expect(m.app.request.text).toBe("hello")
    expect(interims(client.text)).toBe(1)
  })

  it("E01 gets a 100 from the proxy when the app says none", async () => {
    const client = m.connect()
    const start = performance.now()
    await client.write(waiting("Content-Length: 5"))
    await client.until(
      () => client.text === CONTINUE,
      () => "a 100",
    )
    expect(performance.now() - start).toBeLessThan(SOON_MS)
    await client.write("hello")
    expect((await client.answered(1))[0]!.text).toBe("ok")
    expect(m.app.request.text).toBe("hello")
  })

  it("E01 gets one 100 when the app says it after the proxy has, and again and again", async () => {
    onHead(() => undefined)
    const client = await m.connect().write(waiting("Transfer-Encoding: chunked"))
    await client.until(
      () => client.text === CONTINUE,
      () => "a 100",
    )
    for (let i = 0; i < 3; i++) m.app.connections[0]!.write(CONTINUE)
    whenWhole(GOOD)
    await client.write("5\r\nhello\r\n0\r\n\r\n")
    expect((await client.answered(1))[0]!.text).toBe("ok")
    expect(interims(client.text)).toBe(1)
    expect(m.app.request.text).toBe("hello")
  })

  it("E01 need not wait: a body in the same packet is delivered once", async () => {
    m.app.script = ok("ok")
    const client = await m.connect().write(waiting("Content-Length: 5") + "hello")
    expect((await client.answered(1))[0]!.text).toBe("ok")
    expect(m.app.request.text).toBe("hello")
  })

  it("E02 has its body in the same packet passed on to no app that refuses it", async () => {
    onHead((connection) => connection.write(`${says("417 Expectation Failed", "Content-Length: 2")}no`))
    const client = await m.connect().write(`${waiting("Content-Length: 5")}hello`)
    expect((await client.answered(1))[0]!.status).toBe(417)
    expect(await client.close()).toBe("fin")
    expect(m.app.connections[0]!.text.split("\r\n\r\n")[1]).toBe("")
  })

  it.each(["417 Expectation Failed", "401 Unauthorized", "413 Content Too Large", "307 Temporary Redirect", "200 OK"])(
    "E02 gets the app's %s, no 100, its body is never asked for, and the connection ends",
    async (status) => {
      onHead((connection) => connection.write(`${says(status, "Content-Length: 2")}no`))
      const client = await m.connect().write(waiting("Content-Length: 1000000"))
      const [answer] = await client.answered(1)
      expect(answer!.status).toBe(Number(status.slice(0, 3)))
      expect(answer!.text).toBe("no")
      expect(answer!.value("connection")).toBe("close")
      expect(await client.close()).toBe("fin")
      expect(interims(client.text)).toBe(0)
      expect(m.app.connections[0]!.text.split("\r\n\r\n")[1]).toBe("")
      await m.app.until(
        () => m.app.connections[0]!.closed !== undefined,
        () => "the connection to the app to close",
      )
    },
  )

  it("E02 does not have its next request read out of the body that it may still send", async () => {
    onHead((connection) => connection.write(`${says("413 No", "Content-Length: 2")}no`))
    const evil = m.get("/evil")
    const client = await m.connect().write(waiting(`Content-Length: ${evil.length + 1}`))
    await client.answered(1)
    await client.write(evil, evil)
    await client.close()
    expect(client.answers).toHaveLength(1)
    expect(m.app.text).not.toContain("evil")
  })

  it("E04 speaks HTTP/1.0: then the expectation is ignored and there is no 100", async () => {
    const client = await m.sendUntilClose(
      `${m.routed("POST / HTTP/1.0", "Host: app.example.com", "Expect: 100-continue", "Content-Length: 5")}hello`,
    )
    expect(client.answers.map(({ text }) => text)).toEqual(["ok"])
    expect(client.text).not.toContain("100 Continue")
    expect(m.app.request.value("expect")).toBeUndefined()
  })

  it("E04 is ignored by HTTP/1.0 also when it expects something else", async () => {
    const client = await m.sendUntilClose(m.routed("GET / HTTP/1.0", "Host: app.example.com", "Expect: teapot"))
    expect(client.answers[0]!.status).toBe(200)
    expect(m.app.request.value("expect")).toBeUndefined()
  })

  it.each(["EXPECT: 100-Continue", "expect:100-CONTINUE", "Expect:  100-continue\t"])(
    "E04 may write %j",
    async (field) => {
      const client = await m.connect().write(m.post([field, "Content-Length: 5"]))
      await client.until(
        () => client.text === CONTINUE,
        () => "a 100",
      )
      await client.write("hello")
      expect((await client.answered(1))[0]!.status).toBe(200)
    },
  )

  it.each(["x", "", "100-continue, x", "100-continue;a=b", "200-ok", "100 continue"])(
    "E04 is refused with 417 when it expects %j",
    async (expectation) => {
      const client = await m.sendUntilClose(m.post([`Expect: ${expectation}`, "Content-Length: 5"]))
      expect(client.answers.map(({ status }) => status)).toEqual([417])
      expect(m.app.connections).toHaveLength(0)
    },
  )

  it("E04 is refused when it says Expect twice", async () => {
    const client = await m.sendUntilClose(waiting("Expect: 100-continue", "Content-Length: 5"))
    expect([400, 417]).toContain(client.answers[0]!.status)
    expect(m.app.connections).toHaveLength(0)
  })

  it("E05 has its head rewritten all the same", async () => {
    const client = await m
      .connect()
      .write(waiting("Content-Length: 5", "Connection: X-Hop, Expect", "X-Hop: 1", "TE: trailers"))
    await client.until(
      () => client.text === CONTINUE,
      () => "a 100",
    )
    await client.write("hello")
    expect((await client.answered(1))[0]!.status).toBe(200)
    expect(m.app.request.value("x-hop")).toBeUndefined()
    expect(m.app.request.text).toBe("hello")
  })

  it("E06 leaves the pool as it was: the next requests get their own answers", async () => {
    for (const status of ["200 OK", "403 Forbidden", "417 Expectation Failed"]) {
      onHead((connection) => connection.write(`${says(status, "Content-Length: 2")}no`))
      const refusedClient = await m.connect().write(waiting("Content-Length: 9"))
      await refusedClient.answered(1)
      m.app.onData = undefined
      m.app.script = (request, connection) => void ok(request.target)(request, connection)
      const client = await m.connect().write(m.get("/a"), m.get("/b"))
      expect((await client.answered(2)).map(({ text }) => text)).toEqual(["/a", "/b"])
    }
  })

  it("E06 gets an error of the app after 100, and the connection to the app is not kept", async () => {
    onHead((connection) => connection.write(CONTINUE + says("500 Oops", "Content-Length: 0")))
    const client = await m.connect().write(waiting("Content-Length: 5"))
    expect((await client.answered(1))[0]!.status).toBe(500)
    await m.app.until(
      () => m.app.connections[0]!.closed !== undefined,
      () => "the connection to the app to close",
    )
  })

  it("E07 may want a WebSocket as well: the 101 comes, after a 100 or without", async () => {
    for (const before of ["", CONTINUE]) {
      m.app.script = bytes(`${before}${says("101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket")}hi`)
      const client = await m
        .connect()
        .write(m.get("/", "Expect: 100-continue", "Connection: Upgrade", "Upgrade: websocket"))
      await client.until(
        () => client.text.endsWith("\r\n\r\nhi"),
        () => `a 101, got ${JSON.stringify(client.text)}`,
      )
      expect(client.text.indexOf("HTTP/1.1 101")).toBe(client.text.indexOf(CONTINUE) < 0 ? 0 : CONTINUE.length)
    }
  })

  it("E02 that gives up while it waits leaves no connection to the app behind", async () => {
    onHead(() => undefined)
    const client = await m.connect().write(waiting("Content-Length: 5"))
    await m.app.until(
      () => m.app.text.includes("\r\n\r\n"),
      () => "the head at the app",
    )
    client.destroy()
    await m.app.until(
      () => m.app.connections[0]!.closed !== undefined,
      () => "the connection to the app to close",
    )
  })
})

describe("interim answers", () => {
  it("E08 reach the client in order before the final one", async () => {
    m.app.script = pieces(
      says("103 Early Hints", "Link: </a.css>; rel=preload"),
      says("103 Early Hints", "Link: </b.css>; rel=preload", "Link: </c.css>; rel=preload"),
      says("102 Processing"),
      GOOD,
    )
    const client = await m.connect().write(m.get())
    await client.answered(1)
    expect(client.messages.map(({ status }) => status)).toEqual([103, 103, 102, 200])
    expect(client.messages[1]!.values("link")).toEqual(["</b.css>; rel=preload", "</c.css>; rel=preload"])
  })

  it("E08 reach the client at once, not with the final one", async () => {
    let final = (): void => undefined
    m.app.script = pieces(
      says("103 Early Hints", "Link: </a.css>"),
      new Promise<void>((resolve) => (final = resolve)),
      GOOD,
    )
    const client = await m.connect().write(m.get())
    await client.until(
      () => client.messages.length === 1,
      () => "an interim answer",
    )
    final()
    expect((await client.answered(1))[0]!.text).toBe("ok")
  })

  it("E09 do not reach a client of HTTP/1.0, and a 100 only who waits for it", async () => {
    m.app.script = bytes(CONTINUE + says("103 Early Hints", "Link: </a>") + says("102 Processing") + GOOD)
    const old = await m.sendUntilClose(m.routed("GET / HTTP/1.0", "Host: app.example.com"))
    expect(old.messages.map(({ status }) => status)).toEqual([200])
    const client = await m.connect().write(m.get())
    await client.answered(1)
    expect(client.messages.map(({ status }) => status)).toEqual([103, 102, 200])
  })

  it("E10 are bounded: sixteen pass, an endless row of them is a failure", async () => {
    const hint = says("103 Early Hints", "Link: </a>")
    m.app.script = bytes(hint.repeat(16) + GOOD)
    const client = await m.connect().write(m.get())
    expect((await client.answered(1))[0]!.status).toBe(200)
    expect(client.messages).toHaveLength(17)
    m.app.script = bytes(hint.repeat(17) + GOOD)
    expect((await m.ask(m.get())).status).toBe(502)
    m.app.script = bytes(CONTINUE.repeat(1_000) + GOOD)
    expect((await m.ask(m.get())).status).toBe(502)
  })

  it("E11 have their fields filtered as final ones, and no length", async () => {
    m.app.script = bytes(
      says(
        "103 Early Hints",
        "Connection: X-Hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Upgrade: h2c",
        "X-Iterate-Proxy-Stamp: forged",
        "X-Iterate-User: root",
        "Alt-Svc: h3",
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "Link: </a>",
      ).replace("Content-Length: 0\r\n", "") + GOOD,
    )
    const client = await m.connect().write(m.get())
    await client.answered(1)
    expect(client.messages[0]!.fields).toEqual([
      ["Link", "</a>"],
      ["x-iterate-proxy-stamp", "unproven"],
    ])
  })

  it("E11 with a control octet or a broken line fail the request", async () => {
    for (const field of ["X-A: a\0b", "X A: 1", "X-A: 1\rb"]) {
      m.app.script = bytes(says("103 Early Hints", field) + GOOD)
      expect((await m.ask(m.get())).status).toBe(502)
    }
  })
})

describe("trailers of an answer", () => {
  const chunked = (announced: readonly string[], trailers: readonly string[]): string =>
    `${says("200 OK", "Transfer-Encoding: chunked", ...announced)}2\r\nok\r\n0\r\n${trailers.map((line) => `${line}\r\n`).join("")}\r\n`

  it("E12 reach a client of HTTP/1.1, announced or not, in order", async () => {
    m.app.script = bytes(chunked(["Trailer: X-A, X-B"], ["X-A: 1", "X-B: 2", "x-unannounced: 3", "X-A: 4"]))
    const answer = await m.ask(m.get("/", "TE: trailers"))
    expect(answer.value("trailer")).toBe("X-A, X-B")
    expect(answer.trailers).toEqual([
      ["X-A", "1"],
      ["X-B", "2"],
      ["x-unannounced", "3"],
      ["X-A", "4"],
    ])
  })

  it("E13 lose what frames, routes, authenticates or is the proxy's own, and never become headers", async () => {
    const bad = [
      "Content-Length: 5",
      "Transfer-Encoding: chunked",
      "Host: evil",
      "Set-Cookie: a=1",
      "Authorization: x",
      "Content-Type: text/html",
      "Content-Encoding: gzip",
      "Connection: close",
      "Trailer: X",
      "Cache-Control: no-store",
      "Location: /",
      "WWW-Authenticate: Basic",
      "X-Iterate-Proxy-Stamp: forged",
      "X-Iterate-Proxy-Error: FORGED",
      "X_Iterate_Proxy_Stamp: forged",
      "X-Forwarded-For: 6.6.6.6",
      "Keep-Alive: x",
      "Upgrade: h2c",
    ]
    m.app.script = bytes(chunked([], [...bad, "X-Good: 1", "__proto__: data"]))
    const answer = await m.ask(m.get("/", "TE: trailers"))
    expect(answer.trailers).toEqual([
      ["X-Good", "1"],
      ["__proto__", "data"],
    ])
    expect(answer.fields.map(([name]) => name.toLowerCase()).toSorted()).toEqual(
      ["date", "transfer-encoding", ...ownFields].toSorted(),
    )
  })

  it.each([
    ["a length", `${says("200 OK", "Trailer: X-T", "Content-Length: 2")}ok`],
    ["no body", says("204 No Content", "Trailer: X-T")],
    ["304", says("304 Not Modified", "Trailer: X-T")],
  ])("E14 announced beside %s do no harm", async (_, answer) => {
    m.app.script = bytes(answer)
    const got = await m.ask(m.get())
    expect(got.status).toBe(Number(answer.slice(9, 12)))
    expect(got.value("trailer")).toBeUndefined()
    const old = await m.sendUntilClose(m.routed("GET / HTTP/1.0", "Host: app.example.com"))
    expect(old.answers[0]!.status).toBe(got.status)
  })

  it("E14 announced to a client of HTTP/1.0 do no harm", async () => {
    m.app.script = bytes(chunked(["Trailer: X-T"], ["X-T: 1"]))
    const old = await m.sendUntilClose(m.routed("GET / HTTP/1.0", "Host: app.example.com"))
    expect(old.answers[0]!.text).toBe("ok")
    expect(old.text).not.toContain("X-T")
  })

  it.each(["X-T: a\0b", "X T: 1", ": 1", "no colon", " X-T: 1", "X-T: 1\nX-U: 2", "X-T : 1"])(
    "E15 that are no fields break the answer off: %j",
    async (line) => {
      m.app.script = pieces(`${says("200 OK", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\n`, `${line}\r\n\r\n`)
      const client = await m.connect().write(m.get())
      expect(await client.close()).toBe("reset")
      expect(client.text).not.toMatch(/\r\n0\r\n/)
      expect(client.answers).toEqual([])
    },
  )

  it("E15 that are endless break the answer off", async () => {
    m.app.script = bytes(chunked([], [`X-T: ${"a".repeat(20_000)}`]))
    const client = await m.connect().write(m.get())
    expect(await client.close()).toBe("reset")
    expect(client.answers).toEqual([])
  })
})

describe("gRPC", () => {
  it("E16 over h2c is refused and the connection closed", async () => {
    const client = await m.sendUntilClose("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
    expect([400, 501, 505]).toContain(client.answers[0]!.status)
    expect(client.closed).toBe("fin")
    expect(m.app.connections).toHaveLength(0)
  })

  it("E16 over the web passes, its trailers in the body among it", async () => {
    const frame = (flags: number, text: string) => {
      const head = Buffer.alloc(5)
      head[0] = flags
      head.writeUInt32BE(text.length, 1)
      return Buffer.concat([head, Buffer.from(text)])
    }
    const body = Buffer.concat([frame(0, "message"), frame(0x80, "grpc-status:0\r\ngrpc-message:\r\n")])
    m.app.script = ok(body, "Content-Type: application/grpc-web+proto")
    const sent = frame(0, "question")
    const answer = await m.ask(
      m.post(["Content-Type: application/grpc-web+proto", "X-Grpc-Web: 1", `Content-Length: ${sent.length}`]),
      sent,
    )
    expect(answer.body.equals(body)).toBe(true)
    expect(m.app.request.body.equals(sent)).toBe(true)
  })

  it("E16 by Connect passes, with TE: trailers and trailers on both sides", async () => {
    m.app.script = bytes(
      `${says("200 OK", "Content-Type: application/connect+json", "Transfer-Encoding: chunked")}2\r\n{}\r\n0\r\nConnect-Status: ok\r\n\r\n`,
    )
    const answer = await m.ask(
      m.post(["TE: trailers", "Transfer-Encoding: chunked"], "2\r\n{}\r\n0\r\nConnect-Timeout: 1\r\n\r\n"),
    )
    expect(answer.trailers).toEqual([["Connect-Status", "ok"]])
    expect(m.app.request.trailers).toEqual([["Connect-Timeout", "1"]])
    expect(m.app.request.value("te")).toBe("trailers")
  })
})
