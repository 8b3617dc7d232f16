/** Group R of the catalogue: answers of an app that is hostile or broken. */
import { once } from "node:events"
import * as net from "node:net"
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { closedPort } from "../harness.ts"
import { bytes, closing, octets, ok, ownFields, pieces, resetting, useMachine } from "./harness.ts"
import type { Answer, Bytes } from "./harness.ts"

const m = useMachine()

/** What the app says, after the status line. */
const says = (status: string, ...fields: readonly string[]): string =>
  `HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`

/** The app's answer is refused as a whole: 502 of the proxy's own, and nothing of what the app said. */
const refusedAnswer = async (...answer: readonly Bytes[]): Promise<Answer> => {
  m.app.script = bytes(...answer)
  const client = await m.connect().write(m.get())
  const [got] = await client.answered(1)
  const shown = JSON.stringify(answer.map((piece) => octets(piece).toString("latin1")).join("|")).slice(0, 300)
  expect(got!.status, shown).toBe(502)
  expect(got!.value("x-iterate-proxy-error"), shown).toBe("UPSTREAM_FAILED")
  expect(got!.value("x-iterate-proxy-stamp")).toBe("unproven")
  expect(client.text, shown).not.toContain("smuggled")
  expect(client.answers).toHaveLength(1)
  // The connection that said it is never asked again.
  await m.app.until(
    () => m.app.connections.at(-1)!.closed !== undefined,
    () => "the connection to the app to close",
  )
  return got!
}

describe("the length of an answer", () => {
  it.each([
    ["Content-Length: 5", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 5"],
    ["Transfer-Encoding: chunked", "content-length: 0"],
  ])("R01 refuses an answer with both %j and %j", async (...fields) => {
    await refusedAnswer(says("200 OK", ...fields), "5\r\nhello\r\n0\r\n\r\n")
  })

  it.each([
    ["Content-Length: 5", "Content-Length: 2"],
    ["Content-Length: 2", "content-length: 5"],
    ["Content-Length: 5", "Content-Length: 5"],
  ])("R02 refuses an answer with %j and %j", async (...fields) => {
    await refusedAnswer(says("200 OK", ...fields), "hello")
  })

  it.each(["-2", "+5", "5, 6", "5, 5", "abc", "", "0x5", "5 5", "05", "1e1", "5;", "9007199254740993", "9".repeat(30)])(
    "R03 refuses an answer of Content-Length %j",
    async (length) => {
      await refusedAnswer(says("200 OK", `Content-Length: ${length}`), "hello")
    },
  )

  it.each(["Content-Length: x", "Content-Length: 1, 2"])(
    "R03 refuses %j even where there is no body",
    async (field) => {
      await refusedAnswer(says("204 No Content", field))
      await refusedAnswer(says("304 Not Modified", field))
    },
  )

  it.each([
    "gzip",
    "chunked, gzip",
    "gzip, chunked",
    "chunked, chunked",
    "chunked;a=b",
    "xchunked",
    "identity",
    "",
    ", chunked",
    '"chunked"',
  ])("R06 refuses an answer of Transfer-Encoding %j", async (coding) => {
    await refusedAnswer(says("200 OK", `Transfer-Encoding: ${coding}`), "5\r\nhello\r\n0\r\n\r\n")
  })

  it("R06 takes chunked in any case, and refuses two lines of it and HTTP/1.0 with it", async () => {
    m.app.script = bytes(says("200 OK", "Transfer-Encoding: ChunKed"), "5\r\nhello\r\n0\r\n\r\n")
    expect((await m.ask(m.get())).text).toBe("hello")
    await refusedAnswer(says("200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), "0\r\n\r\n")
    await refusedAnswer("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n")
  })
})

describe("an answer that has no body", () => {
  const bodiless: readonly (readonly [string, string, string])[] = [
    ["GET", "204 No Content", "Content-Length: 8"],
    ["GET", "204 No Content", "Transfer-Encoding: chunked"],
    ["GET", "304 Not Modified", "Content-Length: 8"],
    ["GET", "304 Not Modified", "ETag: x"],
    ["HEAD", "200 OK", "Content-Length: 8"],
    ["HEAD", "200 OK", "Transfer-Encoding: chunked"],
    ["HEAD", "404 Not Found", "X: y"],
  ]
  it.each(bodiless)("R04 drops octets after %s %s with %j and keeps the next answer apart", async (...row) => {
    const [method, status, field] = row
    m.app.script = bytes(says(status, field) + says("200 OK", "Content-Length: 8") + "smuggled")
    const client = await m
      .connect({ methods: [method] })
      .write(m.routed(`${method} / HTTP/1.1`, "Host: app.example.com"))
    const [first] = await client.answered(1)
    expect(first!.status).toBe(Number(status.slice(0, 3)))
    m.app.script = ok("own")
    await client.write(m.get("/next"))
    const [, second] = await client.answered(2)
    expect(second!.text).toBe("own")
    expect(client.text).not.toContain("smuggled")
    expect(m.app.connections).toHaveLength(2)
  })

  it("R04 drops a body that follows an interim answer, by refusing what it turns the final one into", async () => {
    m.app.script = bytes(
      `${says("103 Early Hints", "Content-Length: 8")}smuggled${says("200 OK", "Content-Length: 0")}`,
    )
    const client = await m.connect().write(m.get())
    const [got] = await client.answered(1)
    expect(got!.status).toBe(502)
    expect(client.text).not.toContain("smuggled")
  })

  it("R05 removes both lengths of a 204, keeps the one of a 304 and of an answer to HEAD", async () => {
    m.app.script = bytes(says("204 No Content", "Content-Length: 0"))
    const empty = await m.ask(m.get())
    expect([empty.value("content-length"), empty.value("transfer-encoding")]).toEqual([undefined, undefined])

    m.app.script = bytes(says("204 No Content", "Transfer-Encoding: chunked"))
    expect((await m.ask(m.get())).value("transfer-encoding")).toBeUndefined()

    m.app.script = bytes(says("304 Not Modified", "Content-Length: 12345"))
    const unchanged = await m.ask(m.get())
    expect([unchanged.value("content-length"), unchanged.value("transfer-encoding")]).toEqual(["12345", undefined])

    m.app.script = bytes(says("304 Not Modified", "Transfer-Encoding: chunked"))
    expect((await m.ask(m.get())).value("transfer-encoding")).toBeUndefined()

    m.app.script = bytes(says("200 OK", "Content-Length: 12345"))
    const client = await m.connect({ methods: ["HEAD"] }).write(m.routed("HEAD / HTTP/1.1", "Host: app.example.com"))
    const [head] = await client.answered(1)
    expect(head!.value("content-length")).toBe("12345")
  })

  it("R05 passes a 205 and a 304 with nothing but a status line", async () => {
    m.app.script = bytes(says("205 Reset Content", "Content-Length: 0"))
    expect((await m.ask(m.get())).status).toBe(205)
    m.app.script = bytes(says("304 Not Modified"))
    expect((await m.ask(m.get())).status).toBe(304)
  })
})

describe("a client of HTTP/1.0", () => {
  const old = (...fields: readonly string[]) => m.routed("GET / HTTP/1.0", "Host: app.example.com", ...fields)

  it("R07 gets a chunked answer without chunks, whole, and then the end of the connection", async () => {
    m.app.script = pieces(
      says("200 OK", "Transfer-Encoding: chunked", "Trailer: X-T"),
      "5\r\nhello\r\n",
      "6\r\n world\r\n0\r\nX-T: 1\r\n\r\n",
    )
    const client = await m.sendUntilClose(old())
    expect(client.closed).toBe("fin")
    expect(client.answers[0]!.text).toBe("hello world")
    expect(client.text).not.toMatch(/transfer-encoding|X-T/i)
  })

  it("R07 sees a failure when the chunked answer breaks off, since the end of the connection would mean its end", async () => {
    for (const script of [closing, resetting]) {
      m.app.script = script(says("200 OK", "Transfer-Encoding: chunked"), "5\r\nhello\r\n")
      expect((await m.sendUntilClose(old())).closed).toBe("reset")
    }
  })

  it.each(["Connection: keep-alive", "Connection: Keep-Alive, x", "Proxy-Connection: keep-alive"])(
    "R08 gets a length or an end, and its connection is closed in spite of %j",
    async (field) => {
      m.app.script = ok("hello")
      const client = await m.sendUntilClose(old(field))
      expect(client.closed).toBe("fin")
      expect(client.answers.map(({ text }) => text)).toEqual(["hello"])
      expect(client.answers[0]!.value("connection")).toBe("close")
    },
  )
})

describe("fields of an answer", () => {
  it("R09 adds the Date that is missing and keeps the one that is there", async () => {
    m.app.script = ok("x")
    expect(Date.parse((await m.ask(m.get())).value("date")!)).toBeGreaterThan(Date.now() - 60_000)
    m.app.script = ok("x", "Date: Tue, 15 Nov 1994 08:12:31 GMT")
    expect((await m.ask(m.get())).value("date")).toBe("Tue, 15 Nov 1994 08:12:31 GMT")
  })

  it("R09 passes challenges, methods, validators and Vary as they are", async () => {
    const fields = [
      'WWW-Authenticate: Basic realm="a, b", charset="UTF-8"',
      'WWW-Authenticate: Digest realm="x"',
      "Allow: GET,  HEAD",
      'ETag: W/"a,b"',
      "Vary: Accept, *",
      "Age: 7",
      "X-Empty:",
      "Retry-After: 3",
      "Server: app/1",
      "Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT",
      "Content-Security-Policy: default-src 'self'",
      "Strict-Transport-Security: max-age=1",
      "X-PoWeReD-bY: Case",
      "__proto__: data",
      "constructor: data",
    ]
    m.app.script = ok("x", ...fields)
    const answer = await m.ask(m.get())
    const sent = fields.map((field) => field.split(/:\s?(.*)/s).slice(0, 2) as [string, string])
    expect(answer.fields.filter(([name]) => sent.some(([other]) => other === name))).toEqual(sent)
  })

  it.each([
    ["gzip", gzipSync("hello")],
    ["br", brotliCompressSync("hello")],
    ["deflate", deflateSync("hello")],
    ["zstd", Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 1, 2, 255])],
    ["gzip, gzip", gzipSync(gzipSync("hello"))],
    ["x-unknown", Buffer.from([0, 13, 10, 255, 128])],
  ] as const)("R10 passes a body of Content-Encoding %j octet by octet, with its length", async (coding, body) => {
    m.app.script = ok(body, `Content-Encoding: ${coding}`, "Cache-Control: no-transform")
    const answer = await m.ask(m.get("/", "Accept-Encoding: gzip, br"))
    expect(answer.body).toEqual(Buffer.from(body))
    expect(answer.value("content-encoding")).toBe(coding)
    expect(answer.value("content-length")).toBe(String(body.length))
  })

  it.each([
    [
      "304 Not Modified",
      ['If-None-Match: W/"a"', "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"],
      ['ETag: W/"a"', "Vary: Cookie"],
    ],
    [
      "206 Partial Content",
      ["Range: bytes=0-0,-1", 'If-Range: "a"'],
      ["Content-Range: bytes 0-0/9", "Vary: *", "Content-Length: 1"],
    ],
    ["416 Range Not Satisfiable", ["Range: bytes=99-"], ["Content-Range: bytes */9", "Content-Length: 0"]],
  ] as const)("C16 passes %s and what was asked untouched", async (status, asked, said) => {
    m.app.script = bytes(says(status, ...said), status.startsWith("206") ? "x" : "")
    const answer = await m.ask(m.get("/", ...asked))
    expect(answer.status).toBe(Number(status.slice(0, 3)))
    for (const field of said)
      expect(answer.value(field.split(":")[0]!.toLowerCase())).toBe(field.slice(field.indexOf(" ") + 1))
    for (const field of asked) expect(m.app.text).toContain(`${field}\r\n`)
  })

  it("R11 never decodes: bad gzip, a thousand codings and a bomb pass as they are", async () => {
    m.app.script = ok("no gzip at all", "Content-Encoding: gzip")
    expect((await m.ask(m.get())).text).toBe("no gzip at all")
    const nested = Array.from({ length: 1_000 }, () => "gzip").join(", ")
    m.app.script = ok("x", `Content-Encoding: ${nested}`)
    expect((await m.ask(m.get())).value("content-encoding")).toBe(nested)
    const bomb = gzipSync(Buffer.alloc(16 * 1024 * 1024))
    m.app.script = ok(bomb, "Content-Encoding: gzip")
    expect((await m.ask(m.get())).body.equals(bomb)).toBe(true)
  })

  it.each(["a\rb", "a\0b", "a\x01b", "a\x1bb", "a\x7fb", "a\nb", "a\r\n b", "a\r\n\tb", "\x0b"])(
    "R17 refuses an answer with the value %j",
    async (value) => {
      await refusedAnswer(`HTTP/1.1 200 OK\r\nX-A: ${value}\r\nContent-Length: 2\r\n\r\nok`)
    },
  )

  it.each(["X-A : 1", "X A: 1", ": 1", "no colon", "X-\x80: 1", " X-A: 1", "X(A): 1", "Content-Length : 2"])(
    "R17 refuses an answer with the field line %j",
    async (line) => {
      await refusedAnswer(`HTTP/1.1 200 OK\r\n${line}\r\nContent-Length: 2\r\n\r\nok`)
    },
  )

  it.each(["HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "HTTP/1.1 200 OK\r\nContent-Length: 2\n\nok"])(
    "R18 refuses an answer with bare line ends: %j",
    async (answer) => {
      await refusedAnswer(answer)
    },
  )

  it("R20 removes what ends at the hop, and what Connection names, and the client does not hang", async () => {
    m.app.script = ok(
      "x",
      "Connection: X-Hop, keep-alive",
      "Connection: Content-Length, Set-Cookie, Date",
      "X-Hop: 1",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: keep-alive",
      "Proxy-Authenticate: Basic",
      "Upgrade: h2c",
      'Alt-Svc: h3=":443"',
      "TE: trailers",
      "Set-Cookie: a=1",
      "X-Keep: 1",
    )
    const client = await m.connect().write(m.get())
    const [answer] = await client.answered(1)
    const names = answer!.fields.map(([name]) => name.toLowerCase())
    expect(names.toSorted()).toEqual(["content-length", "date", "set-cookie", "x-keep", ...ownFields].toSorted())
    m.app.script = ok("again")
    await client.write(m.get())
    expect((await client.answered(2))[1]!.text).toBe("again")
  })

  it("R20 drops the headers that are the proxy's own to say", async () => {
    m.app.script = ok(
      "x",
      "X-Iterate-Proxy-Stamp: forged",
      "x-iterate-proxy-error: FORGED",
      "X-ITERATE-User: root",
      "X_Iterate_Proxy_Error: FORGED",
      "X.Iterate-Proxy.Stamp: forged",
      "X-Iterate-Proxy-Target-Host: 22__x",
    )
    const client = await m.connect().write(m.get())
    const [answer] = await client.answered(1)
    expect(answer!.values("x-iterate-proxy-stamp")).toEqual(["unproven"])
    expect(client.text).not.toMatch(/forged|root|22__x/i)
  })

  it("R21 passes a head of 30 KB and refuses one of 200 KB or of 1500 fields", async () => {
    const large = Array.from({ length: 30 }, (_, i) => `X-${i}: ${"a".repeat(1_000)}`)
    m.app.script = ok("x", ...large)
    expect((await m.ask(m.get())).value("x-29")).toHaveLength(1_000)
    await refusedAnswer(says("200 OK", `X-A: ${"a".repeat(200_000)}`, "Content-Length: 0"))
    await refusedAnswer(says("200 OK", ...Array.from({ length: 1_500 }, (_, i) => `X-${i}: 1`), "Content-Length: 0"))
    // Without an end it is refused as well, at the limit.
    await refusedAnswer(`HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(100_000)}`)
  })

  it("R22 keeps fifty cookies apart, in order, commas and all", async () => {
    const cookies = Array.from({ length: 50 }, (_, i) => `c${i}=${i}; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/`)
    m.app.script = ok("x", ...cookies.map((cookie) => `Set-Cookie: ${cookie}`))
    expect((await m.ask(m.get())).values("set-cookie")).toEqual(cookies)
  })

  it("R24 passes the octets above 0x7f of values and reasons as they are", async () => {
    const value = Array.from({ length: 128 }, (_, i) => String.fromCharCode(128 + i)).join("")
    m.app.script = bytes(says("200 \xfcber", `X-A: ${value}`, "Content-Length: 0"))
    const answer = await m.ask(m.get())
    expect(answer.value("x-a")).toBe(value)
    expect(answer.reason).toBe("\xfcber")
  })

  it.each(["301", "302", "303", "307", "308", "300", "305"])(
    "R25 passes %s with its Location untouched",
    async (status) => {
      for (const location of [
        "http://169.254.169.254/",
        "//evil.example/%2e",
        "http://localhost:3000/a?b#c",
        "\xe9/../",
      ]) {
        m.app.script = bytes(says(`${status} Moved`, `Location: ${location}`, "Content-Length: 0"))
        const answer = await m.ask(m.get())
        expect([answer.status, answer.value("location")]).toEqual([Number(status), location])
      }
      expect(m.app.requests).toHaveLength(4)
    },
  )

  it("R27 drops the fields with which an app commands a front server", async () => {
    m.app.script = ok(
      "x",
      "X-Accel-Redirect: /secret",
      "X-Sendfile: /etc/passwd",
      "X-Reproxy-URL: http://169.254.169.254/",
      "Surrogate-Control: max-age=1",
      "X-Accel-Expires: 600",
      "Edge-Control: cache-maxage=600",
      "Fly-Replay: app=other",
      "X-LIGHTTPD-send-file: /etc/passwd",
      "X-LiteSpeed-Location: /secret",
      "X-Accel-Limit-Rate: 1",
      "X-Envoy-Immediate-Health-Check-Fail: true",
      "Proxy-Status: ingress-machine; error=connection_refused, ingress-router",
    )
    const names = (await m.ask(m.get())).fields.map(([name]) => name.toLowerCase())
    expect(names.toSorted()).toEqual(["content-length", "date", ...ownFields].toSorted())
  })

  it("R28 is never for a cache on the way: what the app says about caching goes on under another name", async () => {
    const about = async (...fields: string[]) => {
      m.app.script = ok("x", ...fields)
      return (await m.ask(m.get())).fields.filter(([name]) => /cache-control/i.test(name))
    }
    const none = ["x-iterate-proxy-fwd-cache-control", ""]
    const uncached = ["Cache-Control", "private, no-store"]
    expect(await about()).toEqual([none, uncached])
    expect(await about("cache-control: public , max-age=600", "Expires: Tue, 15 Nov 2094 12:45:26 GMT")).toEqual([
      ["x-iterate-proxy-fwd-cache-control", "public , max-age=600"],
      uncached,
    ])
    // Each wins over `Cache-Control` at an edge that knows it.
    expect(await about("CDN-Cache-Control: max-age=1", "Cloudflare-CDN-Cache-Control: max-age=2")).toEqual([
      ["x-iterate-proxy-fwd-CDN-Cache-Control", "max-age=1"],
      ["x-iterate-proxy-fwd-Cloudflare-CDN-Cache-Control", "max-age=2"],
      none,
      uncached,
    ])
    // Two lines stay two, and an app cannot speak for the proxy.
    expect(
      await about("Cache-Control: public", "Cache-Control: max-age=1", "x-iterate-proxy-fwd-Cache-Control: max-age=9"),
    ).toEqual([
      ["x-iterate-proxy-fwd-Cache-Control", "public"],
      ["x-iterate-proxy-fwd-Cache-Control", "max-age=1"],
      uncached,
    ])
  })
})

describe("more than one answer", () => {
  const second = `${says("200 OK", "Content-Length: 8")}smuggled`
  it.each([
    ["a length", `${says("200 OK", "Content-Length: 2")}ok`],
    ["chunks", `${says("200 OK", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\n\r\n`],
    ["trailers", `${says("200 OK", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\nX-T: 1\r\n\r\n`],
    ["no body", says("200 OK", "Content-Length: 0")],
  ])("R12 gives the second answer of a packet to nobody, after one with %s", async (_, first) => {
    m.app.script = bytes(first + second)
    const client = await m.connect().write(m.get())
    await client.answered(1)
    await m.app.until(
      () => m.app.connections[0]!.closed !== undefined,
      () => "the connection to the app to close",
    )
    m.app.script = ok("own")
    await client.write(m.get("/next"))
    expect((await client.answered(2))[1]!.text).toBe("own")
    expect(client.text).not.toContain("smuggled")
    expect(m.app.connections).toHaveLength(2)
  })

  it("R12 gives octets beyond a Content-Length to nobody", async () => {
    m.app.script = bytes(`${says("200 OK", "Content-Length: 2")}ok and more`)
    const client = await m.connect().write(m.get(), m.get("/next"))
    m.app.script = ok("own")
    const [, next] = await client.answered(2)
    expect(client.text).not.toContain("and more")
    expect(next!.status).toBe(200)
  })

  it("R13 drops a kept connection on which the app speaks unasked", async () => {
    const client = await m.connect().write(m.get())
    await client.answered(1)
    const [kept] = m.app.connections
    kept!.write(second)
    await m.app.until(
      () => kept!.closed !== undefined,
      () => "the connection to the app to close",
    )
    m.app.script = ok("own")
    await client.write(m.get("/next"))
    expect((await client.answered(2))[1]!.text).toBe("own")
    expect(client.text).not.toContain("smuggled")
  })

  it("R13 pipelined requests get their own answers when the app answers twice at once", async () => {
    m.app.script = (request, connection) => {
      const body = `for ${request.target}`
      connection.write(`${says("200 OK", `Content-Length: ${body.length}`)}${body}${second}`)
    }
    const client = await m.connect().write(m.get("/1") + m.get("/2") + m.get("/3"))
    expect((await client.answered(3)).map(({ text }) => text)).toEqual(["for /1", "for /2", "for /3"])
    expect(client.text).not.toContain("smuggled")
  })
})

describe("the status", () => {
  it.each([
    says("101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: x"),
    says("101 Switching Protocols", "Upgrade: h2c", "Connection: Upgrade"),
    says("101 Switching Protocols"),
  ])("R14 refuses a 101 that nobody asked for: %j", async (head) => {
    await refusedAnswer(`${head}smuggled raw octets`)
  })

  it.each(["000", "099", "600", "999", "1000", "2xx", "20", "-20", " 200", "2 0", "+20", "0x8"])(
    "R16 refuses the status %j",
    async (status) => {
      await refusedAnswer(says(`${status} X`, "Content-Length: 0"))
    },
  )

  it.each(["HTTP/1.2 200 OK", "HTTP/2 200 OK", "HTTP/0.9 200 OK", "http/1.1 200 OK", "HTTP/1.1  200 OK", "ICY 200 OK"])(
    "R16 refuses the status line %j",
    async (line) => {
      await refusedAnswer(`${line}\r\nContent-Length: 0\r\n\r\n`)
    },
  )

  it.each([
    "SSH-2.0-OpenSSH_9.6\r\n",
    "\x16\x03\x01\x02\x00",
    "-ERR unknown command 'GET'\r\n",
    "<html>",
    "220 smtp\r\n\r\n",
  ])("R16 refuses what is no answer at all, at once: %j", async (text) => {
    await refusedAnswer(text)
  })

  it.each(["OK\x00", "O\x01K", "O\rK", "O\nK", "\x7f"])("R16 refuses the reason %j", async (reason) => {
    await refusedAnswer(says(`200 ${reason}`, "Content-Length: 0"))
  })

  it("R16 passes the statuses of a three-digit range with any reason or none", async () => {
    for (const line of ["200", "200 ", "299 Fine", "451 Legal", "599 X", "418 I'm a teapot", "207 Multi-Status"]) {
      m.app.script = bytes(says(line, "Content-Length: 0"))
      const answer = await m.ask(m.get())
      expect(answer.status).toBe(Number(line.slice(0, 3)))
      expect(answer.reason).toBe(line.slice(4))
    }
  })

  it("R16 does not take 199 for an answer", async () => {
    m.app.script = closing(says("199 X", "Content-Length: 0"))
    expect((await m.ask(m.get())).status).toBe(502)
  })
})

describe("no connection to the app", () => {
  it("R28 answers a closed port with 502 that says nothing about the inside", async () => {
    const port = await closedPort()
    const client = await m
      .connect()
      .write(`GET / HTTP/1.1\r\nHost: app.example.com\r\n${m.hopTo(`${port}__app.example.com`)}\r\n`)
    const [answer] = await client.answered(1)
    expect(answer!.status).toBe(502)
    expect(answer!.text).toMatch(new RegExp(`^502 PORT_CLOSED: Port ${port} is not listening yet\\.`))
    expect(answer!.value("content-type")).toBe("text/plain; charset=utf-8")
    expect(answer!.value("x-content-type-options")).toBe("nosniff")
    expect(answer!.value("cache-control")).toBe("no-store")
    expect(answer!.value("proxy-status")).toMatch(/error=connection_refused$/)
    expect(client.text).not.toMatch(/127\.0\.0\.1|::1|ECONN|Error|at /)
    // The front connection stays good.
    await client.write(m.get())
    expect((await client.answered(2))[1]!.text).toBe("ok")
  })

  it("R28 reaches an app on ::1 only, and its own answer", async (ctx) => {
    const server = net.createServer((socket) => {
      socket.on("error", () => undefined)
      socket.on("data", () => socket.write(`${says("200 OK", "Content-Length: 2")}v6`))
    })
    try {
      server.listen(0, "::1")
      await once(server, "listening")
    } catch {
      ctx.skip("no ::1 here")
    }
    const { port } = server.address() as net.AddressInfo
    const head = `GET / HTTP/1.1\r\nHost: app.example.com\r\n${m.hopTo(`localhost:${port}`)}\r\n`
    expect((await m.ask(head)).text).toBe("v6")
    server.close()
  })
})

describe("fidelity", () => {
  it("R10 passes every octet of a body in both directions", async () => {
    const body = Buffer.from(Array.from({ length: 4_096 }, (_, i) => (i * 7) & 255))
    m.app.script = ok(body)
    expect((await m.ask(m.get())).body.equals(body)).toBe(true)
    m.app.script = ok("x")
    await m.ask(m.post([`Content-Length: ${body.length}`]), body)
    expect(m.app.requests.at(-1)!.body.equals(body)).toBe(true)
  })
})
