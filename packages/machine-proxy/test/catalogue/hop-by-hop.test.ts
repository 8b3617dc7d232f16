import { defaultHeaderNames, requestHeaders } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { bytes, ok, assert, ownFields, useMachine } from "./harness.ts"
import type { Answer, AppRequest, Field } from "./harness.ts"

const m = useMachine()

/** Sends a GET with more field lines; gives what the app saw. */
const seen = async (...lines: readonly string[]): Promise<AppRequest> => {
  m.app.forget()
  const answer = await m.ask(m.get("/", ...lines))
  expect([lines, answer.status]).toEqual([lines, 200])
  return m.app.request
}

/** Has the app answer with more field lines; gives what the client saw. */
const answered = async (...lines: readonly string[]): Promise<Answer> => {
  m.app.forget()
  m.app.script = bytes(`HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join("")}Content-Length: 2\r\n\r\nok`)
  return m.ask(m.get())
}

const names = (fields: readonly Field[]) => fields.map(([name]) => name.toLowerCase())

describe("what Connection names", () => {
  it("P01 ends here, the rest goes on", async () => {
    const request = await seen("Connection: X-Hop, close", "X-Hop: 1", "X-Keep: 2")
    expect([request.values("x-hop"), request.value("x-keep"), request.values("connection")]).toEqual([[], "2", []])
    const answer = await answered("Connection: X-Hop, keep-alive", "X-Hop: 1", "X-Keep: 2")
    expect([answer.values("x-hop"), answer.value("x-keep")]).toEqual([[], "2"])
  })

  it("P01 says close to the client who asked for it, and only to that one", async () => {
    const closing = await m.connect().write(m.get("/", "Connection: X-Hop, close"))
    expect((await closing.answered())[0]!.value("connection")).toBe("close")
    expect(await closing.close()).toBe("fin")
    const kept = await m.connect().write(m.get("/1"))
    await kept.answered(1)
    await kept.write(m.get("/2"))
    expect((await kept.answered(2))[1]!.values("connection")).toEqual([])
  })

  it("P02 counts on every Connection line", async () => {
    const request = await seen("Connection: X-A", "X-A: 1", "X-B: 2", "X-C: 3", "Connection: X-B", "connection: close")
    expect([request.values("x-a"), request.values("x-b"), request.value("x-c")]).toEqual([[], [], "3"])
    const answer = await answered("Connection: X-A", "X-A: 1", "X-B: 2", "X-C: 3", "CONNECTION: X-B")
    expect([answer.values("x-a"), answer.values("x-b"), answer.value("x-c")]).toEqual([[], [], "3"])
  })

  it("P03 counts in any case, with white space and empty members", async () => {
    for (const line of [
      "Connection:  x-HOP ,, Close",
      "CONNECTION: ,\tX-hOp\t,",
      "connection:,,,x-hop,,",
      "Connection: close ,x-hop",
    ]) {
      expect([line, (await seen(line, "X-Hop: 1", "X-Keep: 2")).values("x-hop")]).toEqual([line, []])
      expect([line, (await answered(line, "X-Hop: 1", "X-Keep: 2")).values("x-hop")]).toEqual([line, []])
    }
  })

  it("P04 counts although the first Connection line is empty", async () => {
    for (const first of ["Connection:", "Connection: ", "Connection: ,"]) {
      expect((await seen(first, "Connection: X-Hop", "X-Hop: 1")).values("x-hop")).toEqual([])
      expect((await answered(first, "Connection: X-Hop", "X-Hop: 1")).values("x-hop")).toEqual([])
    }
  })

  it("P08 cannot take away framing, Host, or what is meant for the app", async () => {
    const list =
      "Host, Content-Length, Transfer-Encoding, Cookie, Authorization, Cache-Control, Content-Type, Origin, Range, Date"
    const lines = [
      "Cookie: a=b",
      "Authorization: Basic x",
      "Cache-Control: no-store",
      "Content-Type: a/b",
      "Origin: null",
      "Range: bytes=0-1",
    ]
    for (const [fields, body] of [
      [["Content-Length: 5"], "hello"],
      [["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\n\r\n"],
    ] as const) {
      m.app.forget()
      const client = await m
        .connect()
        .write(m.post([`Connection: ${list}`, ...lines, ...fields], body) + m.get("/next"))
      expect((await client.answered(2)).map(({ status }) => status)).toEqual([200, 200])
      const request = m.app.requests.find(({ method }) => method === "POST")!
      expect([request.text, request.value("host")]).toEqual(["hello", `localhost:${m.app.port}`])
      for (const line of lines) {
        const [name, value] = line.split(": ")
        expect(request.value(name!)).toBe(value)
      }
    }
    const answer = await answered(
      "Connection: Content-Length, Set-Cookie, Content-Type, Date, Location",
      "Set-Cookie: a=b",
      "Content-Type: a/b",
    )
    expect([answer.text, answer.value("set-cookie"), answer.value("content-type")]).toEqual(["ok", "a=b", "a/b"])
  })

  it("P08 cannot take away what the proxy adds", async () => {
    const request = await seen(
      "Connection: Via, X-Iterate-Proxy-Via, x-iterate-proxy-target-host, X-Forwarded-For, Host",
    )
    expect([request.value("via"), request.value("x-iterate-proxy-via")]).toEqual([
      "1.1 ingress-machine",
      "app.example.com",
    ])
    expect((await answered("Connection: x-iterate-proxy-stamp, Date")).value("x-iterate-proxy-stamp")).toBe("unproven")
  })

  it("P09 may be no token or ten thousand of them, at a linear cost", async () => {
    for (const value of ["x y", "\xe9", "(", '"a, b"', "a;b=c", "\t", "__proto__", "constructor, toString"]) {
      expect((await seen(`Connection: ${value}`, "X-Keep: 1")).value("x-keep")).toBe("1")
      expect((await answered(`Connection: ${value}`, "X-Keep: 1")).value("x-keep")).toBe("1")
    }
    const many = Array.from({ length: 10_000 }, (_, i) => i.toString(36)).join(",")
    const commas = ",".repeat(50_000)
    for (const value of [many, commas]) {
      let best = Number.POSITIVE_INFINITY
      for (let i = 0; i < 3; i++) {
        const before = performance.now()
        expect((await seen(`Connection: ${value}`, "X-Keep: 1")).value("x-keep")).toBe("1")
        best = Math.min(best, performance.now() - before)
      }
      expect(best).toBeLessThan(250)
    }
  })
})

describe("what always ends at a hop", () => {
  const fixed = [
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Basic x",
    "Upgrade: h2c",
    "HTTP2-Settings: x",
    "TE: gzip",
    "Trailer: X-A",
    "Proxy-Authenticate: Basic",
    "Proxy: x",
  ]
  it("P05 is not passed on, listed or not", async () => {
    for (const connection of [
      [],
      ["Connection: keep-alive"],
      ["Connection: Upgrade, HTTP2-Settings"],
      ["Connection: close"],
    ]) {
      // `Proxy` is the one that a router which proved itself may pass: the router drops it at the edge.
      const request = await seen(...connection, ...fixed.filter((line) => !line.startsWith("Proxy: ")), "X-Keep: 1")
      expect(names(request.fields).toSorted()).toEqual(["host", "via", "x-iterate-proxy-via", "x-keep"])
      m.app.forget()
    }
  })

  it("P05 is not passed back", async () => {
    const answer = await answered(...fixed.filter((line) => !/^(TE|Proxy:)/.test(line)), "X-Keep: 1")
    expect(names(answer.fields).toSorted()).toEqual(["content-length", "date", ...ownFields, "x-keep"].toSorted())
  })

  it("P05 leaves a request whose upgrade is not passed on as a plain one, with its body", async () => {
    for (const fields of [
      ["Connection: Upgrade", "Upgrade: h2c", "Content-Length: 5"],
      ["Connection: Upgrade", "Upgrade: websocket", "Content-Length: 5"],
      ["Connection: Upgrade", "Upgrade: foo/1, bar", "Content-Length: 5"],
      ["Upgrade: websocket", "Content-Length: 5"],
    ]) {
      m.app.forget()
      const client = await m.connect().write(m.post(fields, "hello") + m.get("/next"))
      expect((await client.answered(2)).map(({ status }) => status)).toEqual([200, 200])
      const request = m.app.requests.find(({ method }) => method === "POST")!
      expect([request.text, request.values("upgrade"), request.values("connection")]).toEqual(["hello", [], []])
    }
  })

  it("P06 is TE, but for trailers, which this proxy can pass", async () => {
    for (const [sent, expected] of [
      ["trailers, gzip", "trailers"],
      ["trailers", "trailers"],
      ["gzip ,\ttrailers", "trailers"],
      ["Trailers", "trailers"],
      ["gzip", undefined],
      ["trailers;q=0.5", undefined],
      ["xtrailers", undefined],
      ["", undefined],
    ] as const) {
      const request = await seen(`TE: ${sent}`, "Connection: TE")
      const connection = expected === undefined ? undefined : "TE"
      expect([sent, request.value("te"), request.value("connection")]).toEqual([sent, expected, connection])
    }
  })

  it("P21 is Trailer in a request, whatever its framing", async () => {
    expect((await seen("Trailer: X-A")).values("trailer")).toEqual([])
    for (const [fields, body] of [
      [["Content-Length: 5"], "hello"],
      [["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\nX-A: b\r\n\r\n"],
      [["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\n\r\n"],
    ] as const) {
      for (const trailer of ["X-A", "Content-Length", "X-A, Host", "", "\xff", "x y"]) {
        m.app.forget()
        expect((await m.ask(m.post([`Trailer: ${trailer}`, ...fields], body))).status).toBe(200)
        expect(m.app.request.text).toBe("hello")
      }
    }
  })
})

describe("what is meant for the app", () => {
  it("P11 passes byte for byte", async () => {
    const lines = [
      "X-Unknown: a  b\tc",
      "Alt-Used: a.example:443",
      "Sec-Fetch-Mode: navigate",
      'Sec-CH-UA: "x";v="1"',
      "Priority: u=1, i",
      "Range: bytes=0-1,5-",
      'If-None-Match: W/"a", "b"',
      "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT",
      'If-Range: "x"',
      "Authorization: Bearer a.b-c_d~e+f/g=",
      "Date: Sat, 01 Jan 2000 00:00:00 GMT",
      'Cookie: a="b c"; d=%20; e',
      "Early-Data: 1",
      "Accept-Encoding: br;q=1.0, *;q=0",
      "User-Agent: x (y; z) w/1",
      "Origin: https://a.example",
      "Cache-Control: max-age=0",
      "X-HTTP-Method-Override: PUT",
      "Sec-WebSocket-Protocol: x",
      "Accept: text/html;q=0.8, */*",
      "Referer: https://a/b?c#d",
      "From: a@b",
    ]
    const request = await seen(...lines)
    for (const line of lines) expect(m.app.text).toContain(`\r\n${line}\r\n`)
    expect(request.fields).toHaveLength(lines.length + 3)
  })

  it("P12 keeps repeated fields in order; cookies never run together with a comma", async () => {
    const request = await seen(
      "X-M: 1",
      "X-N: a",
      "X-M: 2",
      "x-m: 3",
      "Cookie: a=1",
      "Cookie: b=2",
      "Accept: x",
      "Accept: y",
    )
    expect(request.values("x-m").join(", ")).toBe("1, 2, 3")
    expect(request.values("accept").join(", ")).toBe("x, y")
    expect(request.values("cookie").join("; ")).toBe("a=1; b=2")
    const answer = await answered(
      "X-M: 1",
      "Set-Cookie: a=1; Expires=Sat, 01 Jan 2000 00:00:00 GMT",
      "X-M: 2",
      "Set-Cookie: b=2",
    )
    expect(answer.values("x-m").join(", ")).toBe("1, 2")
    expect(answer.values("set-cookie")).toEqual(["a=1; Expires=Sat, 01 Jan 2000 00:00:00 GMT", "b=2"])
  })

  it("P13 keeps the case of names both ways", async () => {
    const spelt = ["X-CamelCase", "x-lower", "X-UPPER", "x-MiXeD"]
    expect((await seen(...spelt.map((name) => `${name}: 1`))).fields.map(([name]) => name)).toEqual(
      expect.arrayContaining(spelt),
    )
    expect((await answered(...spelt.map((name) => `${name}: 1`))).fields.map(([name]) => name)).toEqual(
      expect.arrayContaining(spelt),
    )
  })

  it("P14 has one Content-Length, in whatever case; two are refused", async () => {
    for (const [first, second] of [
      ["Content-Length", "content-length"],
      ["CONTENT-LENGTH", "Content-length"],
    ] as const) {
      await assert.refused(m, m.post([`${first}: 5`, `${second}: 5`], "hello"))
    }
    m.app.forget()
    await m.ask(m.post(["cOnTeNt-LeNgTh: 5"], "hello"))
    expect(m.app.request.value("content-length")).toBe("5")
  })

  it("P15 gets nothing from a host that would begin another line", () => {
    const hop = { headerNames: defaultHeaderNames, pseudonym: "x", trusted: false }
    for (const evil of ["a\r\nb: c", "a\rb", "a\nb", "a\0", "a\x7f", "\u010d\u010a", "a\u2028"]) {
      expect(() => requestHeaders([], { ...hop, host: evil, add: [] })).toThrow(TypeError)
      expect(() => requestHeaders([], { ...hop, add: ["X-A", evil] })).toThrow(TypeError)
      expect(() => requestHeaders([], { ...hop, add: [evil, "x"] })).toThrow(TypeError)
    }
  })

  it("P10 is made anew: the fields that arrived stay as they were", async () => {
    const inbound = Object.freeze(["Host", "a", "Connection", "X-Hop", "X-Hop", "1", "X-Keep", "2"])
    const hop = { headerNames: defaultHeaderNames, pseudonym: "x", trusted: false, host: "b", add: ["X-Mine", "3"] }
    expect(requestHeaders(inbound, hop)).toEqual(requestHeaders(inbound, hop))
    expect(inbound).toHaveLength(8)
    const client = await m.connect().write(m.get("/", "Connection: X-Hop", "X-Hop: 1"))
    await client.answered(1)
    await client.write(m.get("/", "X-Hop: 1"))
    await client.answered(2)
    expect(m.app.requests.map((request) => request.values("x-hop"))).toEqual([[], ["1"]])
  })

  it("P16 may be named as anything that objects have", async () => {
    const evil = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "__defineGetter__", "prototype"]
    const lines = evil.map((name) => `${name}: polluted`)
    expect((await seen(...lines)).fields.filter(([, value]) => value === "polluted").map(([name]) => name)).toEqual(
      evil,
    )
    expect((await answered(...lines)).fields.filter(([, value]) => value === "polluted").map(([name]) => name)).toEqual(
      evil,
    )
    m.app.forget()
    m.app.script = ok()
    const trailers = lines.map((line) => `${line}\r\n`).join("")
    expect((await m.ask(m.post(["Transfer-Encoding: chunked"], `0\r\n${trailers}\r\n`))).status).toBe(200)
    expect(m.app.request.trailers.map(([name]) => name)).toEqual(evil)
    expect(Object.keys(Object.prototype)).toEqual([])
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined()
  })

  it("P17 keeps octets from 0x80 to 0xff, both ways", async () => {
    const all = Array.from({ length: 128 }, (_, i) => String.fromCharCode(128 + i)).join("")
    expect((await seen(`X-L: a${all}b`, `X-M: ${all}`)).value("x-l")).toBe(`a${all}b`)
    expect(m.app.request.value("x-m")).toBe(all)
    expect((await answered(`X-L: ${all}`)).value("x-l")).toBe(all)
  })

  it("P22 may be empty", async () => {
    for (const line of ["X-E:", "X-E: ", "X-E:\t  "]) {
      expect((await seen(line, "X-F: 1")).values("x-e")).toEqual([""])
      expect((await answered(line)).values("x-e")).toEqual([""])
    }
  })

  it("P23 may have long names and be many; 1 001 lines are refused as too many", async () => {
    const long = `X-${"a".repeat(200)}`
    expect((await seen(`${long}: 1`)).value(long)).toBe("1")
    expect((await seen(...Array.from({ length: 900 }, (_, i) => `X-${i}: ${i}`))).fields).toHaveLength(903)
    // Host, ticket and target are lines too.
    expect((await seen(...Array.from({ length: 997 }, (_, i) => `X-${i}: ${i}`))).fields).toHaveLength(1_000)
    await assert.refused(m, m.get("/", ...Array.from({ length: 998 }, (_, i) => `X-${i}: ${i}`)), [431])
    await assert.refused(m, m.get("/", `X: ${"x".repeat(70_000)}`), [431])
  })
})

describe("the size of a head", () => {
  it("P23 may be 64 KiB; one octet more is refused, whatever stands at that boundary", async () => {
    const bare = m.get("/", "X: ").length - 4
    for (const size of [65_530, 65_532, 65_533, 65_535, 65_536]) {
      m.app.forget()
      expect([size, (await m.ask(m.get("/", `X: ${"x".repeat(size - bare)}`))).status]).toEqual([size, 200])
    }
    for (const size of [65_537, 65_538, 65_540, 65_541, 70_000]) {
      await assert.refused(m, m.get("/", `X: ${"x".repeat(size - bare)}`), [431])
    }
  })

  it("P23 is refused at the boundary although its end never comes", async () => {
    for (const size of [65_537, 65_600, 131_072]) {
      await assert.refused(m, `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(size - 28)}`, [431])
    }
  })
})

describe("what the proxy says of itself", () => {
  it("P18 is one Via of a public word, after those that were there", async () => {
    expect((await seen()).value("via")).toBe("1.1 ingress-machine")
    expect((await seen("Via: 1.0 fred, 1.1 p.example", "Via: 2 edge")).values("via").join(", ")).toBe(
      "1.0 fred, 1.1 p.example, 2 edge, 1.1 ingress-machine",
    )
  })

  it("P20 adds no field that a client would", async () => {
    const request = await seen()
    expect(names(request.fields).toSorted()).toEqual(["host", "via", "x-iterate-proxy-via"])
  })
})

const options = (value: string) => m.routed("OPTIONS /x HTTP/1.1", "Host: a", `Max-Forwards: ${value}`)

describe("Max-Forwards", () => {
  it("P19 of 0 has the proxy answer OPTIONS itself", async () => {
    for (const target of ["/x", "*"]) {
      m.app.forget()
      const answer = await m.ask(m.routed(`OPTIONS ${target} HTTP/1.1`, "Host: a", "Max-Forwards: 0"))
      expect(answer.status).toBeGreaterThanOrEqual(200)
      expect(answer.status).toBeLessThan(300)
      expect(m.app.connections).toEqual([])
    }
  })

  it("P19 of 0 is answered with the stamp, as everything the proxy says", async () => {
    expect((await m.ask(options("0"))).value("x-iterate-proxy-stamp")).toBe("unproven")
  })

  it("P19 of 0 spares nobody the ticket", async () => {
    expect((await m.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")).status).toBe(401)
  })

  it("P19 is counted down for OPTIONS and left alone for others", async () => {
    await m.ask(options("3"))
    expect(m.app.request.value("max-forwards")).toBe("2")
    for (const method of ["GET", "POST", "DELETE"]) {
      for (const value of ["0", "3"]) {
        m.app.forget()
        expect((await m.ask(m.routed(`${method} / HTTP/1.1`, "Host: a", `Max-Forwards: ${value}`))).status).toBe(200)
        expect(m.app.request.value("max-forwards")).toBe(value)
      }
    }
    m.app.forget()
    await m.ask(m.routed("OPTIONS / HTTP/1.1", "Host: a"))
    expect(m.app.request.values("max-forwards")).toEqual([])
  })
})
