import { describe, expect, it } from "vitest"
import { App, bytes, ok, assert as shared, useMachine } from "./harness.ts"

const m = useMachine()
const { refused } = shared

/** Sends a GET for `target` and expects the app to be asked for `expected`. */
const passes = async (target: string, expected = target) => {
  m.app.forget()
  const answer = await m.ask(m.get(target))
  expect([target, answer.status]).toEqual([target, 200])
  expect(m.app.request.line).toBe(`GET ${expected} HTTP/1.1`)
}
const assert = { refused, passes }

describe("the path and the query", () => {
  it("T01 pass byte for byte", async () => {
    await assert.passes("/a/../b/./%2e%2e/%2F//c;x=1,2?q=%zz&a=b+c&..//")
    await assert.passes("/!$&'()*+,;=:@-._~[]{}|\\^`\"<>")
  })

  it("T02 keep slashes in a row, which name no other host", async () => {
    for (const target of [
      "//evil.example/x",
      "///x",
      "/a//b",
      "//",
      "/////////",
      "//a:1@b:2/c",
      "/\\evil.example",
      "/\\/evil.example",
    ]) {
      await assert.passes(target)
    }
  })

  it("T03 keep dot segments, however many", async () => {
    for (const target of ["/../../etc/passwd", "/..", "/.", "/./", "/a/..;/b", "/....//....//x"])
      await assert.passes(target)
  })

  it("T04 keep encoded dot segments", async () => {
    for (const target of ["/%2e%2e/%2E%2E/x", "/%2e/%2E", "/a/%2e%2e%2fb", "/.%2e/x", "/%252e%252e/x"])
      await assert.passes(target)
  })

  it("T05 keep encoded delimiters and control octets", async () => {
    for (const code of [
      "%2F",
      "%5C",
      "%00",
      "%0d%0a",
      "%25",
      "%3f",
      "%23",
      "%20",
      "%7f",
      "%ff",
      "%c0%af",
      "%0D%0AX:%20y",
    ]) {
      await assert.passes(`/a${code}b?q=${code}`)
    }
  })

  it("T07 keep broken percent escapes", async () => {
    for (const target of ["/a%zz%2", "/%", "/%%", "/%u0041", "/%c3%28", "/?%", "/%2?%2"]) await assert.passes(target)
  })

  it("T08 keep the query as it is", async () => {
    for (const target of [
      "/?a=1&a=2;b=3",
      "/?a=%zz",
      "/??",
      "/?",
      "/",
      "/?&&=&",
      "/?a=b?c/d",
      "/x?__proto__=1",
      "/?q=http://b/?c",
    ]) {
      await assert.passes(target)
    }
  })

  it("T22 do not turn into a destination, when they look like one", async () => {
    for (const target of [
      "/http://127.0.0.1:22/",
      "/https:/evil",
      "/http:evil",
      "/?url=http://127.0.0.1:22/",
      "/@evil:80",
      "/:22",
    ]) {
      await assert.passes(target)
    }
  })

  it("T25 go to the local app, when they look like a network path", async () => {
    for (const target of ["//169.254.169.254/latest", "//localhost:22/", "//[::1]:25/", "///169.254.169.254/"])
      await assert.passes(target)
  })

  it("T28 keep the case of letters and of escapes", async () => {
    for (const target of ["/A/a", "/%2f", "/%2F", "/%aB?%Cd", "/ADMIN", "/admin"]) await assert.passes(target)
  })

  it("T20 have no octets beyond ASCII; escapes of them pass unchanged", async () => {
    for (const raw of ["/\xe4", "/\xc3\xa4", "/?\xff", "/\x80", "/a\x7fb"]) await assert.refused(m, m.get(raw))
    await assert.passes("/%C3%A4/%e4")
  })

  it("T10 have no fragment", async () => {
    for (const target of ["/a#frag", "/#", "#", "/?a#b", "/a#/../b", "http://a/#b"])
      await assert.refused(m, m.get(target))
  })
})

describe("the length of a target", () => {
  it("T19 may be 8 KiB and 20 KiB; above 32 KiB it is refused as too long", async () => {
    for (const size of [8_192, 20_480, 32_000]) await assert.passes(`/${"a".repeat(size)}`)
    for (const size of [33_000, 60_000, 200_000]) {
      const client = await m.sendUntilClose(m.get(`/${"a".repeat(size)}`))
      expect(client.answers.map(({ status }) => [414, 431].includes(status))).toEqual([true])
    }
    expect((await m.sendUntilClose(`GET /${"a".repeat(100_000)}`)).answers[0]!.status).toBe(414)
  })

  it("T21 costs time in proportion", async () => {
    await assert.passes("/")
    for (const target of [
      `/${"a".repeat(9_000)}`,
      `/?${"a&".repeat(12_000)}`,
      `/${"../".repeat(9_000)}`,
      `/${"%2e".repeat(9_000)}`,
    ]) {
      let best = Number.POSITIVE_INFINITY
      for (let i = 0; i < 4; i++) {
        const before = performance.now()
        await assert.passes(target)
        best = Math.min(best, performance.now() - before)
      }
      expect(best).toBeLessThan(250)
    }
  })

  it("T23 drops none of ten thousand parameters", async () => {
    await assert.passes(`/?${Array.from({ length: 10_001 }, (_, i) => i % 10).join("&")}`)
  })
})

describe("the other forms of a target", () => {
  it("T11 passes OPTIONS * on, also when it came in absolute form", async () => {
    for (const target of ["*", "http://app.example.com"]) {
      m.app.forget()
      expect((await m.ask(m.routed(`OPTIONS ${target} HTTP/1.1`, "Host: app.example.com"))).status).toBe(200)
      expect(m.app.request.line).toBe("OPTIONS * HTTP/1.1")
    }
    m.app.forget()
    await m.ask(m.routed("OPTIONS http://app.example.com/ HTTP/1.1", "Host: app.example.com"))
    expect(m.app.request.line).toBe("OPTIONS / HTTP/1.1")
  })

  it("T11 refuses * with any other method", async () => {
    for (const line of ["GET *", "POST *", "OPTIONS **", "OPTIONS */", "OPTIONS *?x"])
      await assert.refused(m, m.routed(`${line} HTTP/1.1`, "Host: a"))
  })

  it("T13 takes an absolute target: its authority wins over Host, the port comes from the target header", async () => {
    const other = await new App().listen()
    try {
      for (const [target, expected, authority] of [
        ["http://other/x?y", "/x?y", "other"],
        [`http://other:${other.port}/x`, "/x", `other:${other.port}`],
        ["http://other", "/", "other"],
        ["http://other?q", "/?q", "other"],
        ["HTTP://Other/", "/", "Other"],
        ["http://other//a/../b", "//a/../b", "other"],
        ["http://other/http://x/", "/http://x/", "other"],
      ] as const) {
        m.app.forget()
        const answer = await m.ask(m.routed(`GET ${target} HTTP/1.1`, "Host: public.example.com"))
        expect([target, answer.status]).toEqual([target, 200])
        const { request } = m.app
        expect(request.target).toBe(expected)
        expect(request.value("host")).toBe(`localhost:${m.app.port}`)
        expect(request.value("x-iterate-proxy-via")).toBe(authority)
        expect(m.app.text).not.toContain("public.example.com")
      }
      expect(other.connections).toEqual([])
    } finally {
      await other.stop()
    }
  })

  it("T14 refuses an absolute target of another scheme or with a broken authority", async () => {
    for (const target of [
      "https://a/",
      "ftp://a/",
      "ws://a/",
      "wss://a/",
      "file:///etc/passwd",
      "http:///x",
      "http://[bad",
      "http://",
      "http:/a/",
      "http:a",
      "javascript:x",
      "data:,x",
      "http://a:0/",
      "http://a:99999/",
      "http://a:b/",
      "http://a:/",
      "http://[::1/",
      "a/b",
      "http://a\\b/",
      "http://%61/",
      "http://a%2fb/",
      "http://a,b/",
      "x",
      "app.example.com:80",
      "?q",
      "http//a/",
      "://a/",
    ]) {
      await assert.refused(m, m.get(target))
    }
  })

  it("T15 never shows the app the Host that an absolute target overrides", async () => {
    expect((await m.ask(m.routed("GET http://a.example.com/ HTTP/1.1", "Host: b.example.com"))).status).toBe(200)
    expect(m.app.request.value("x-iterate-proxy-via")).toBe("a.example.com")
    expect(m.app.text).not.toContain("b.example.com")
  })

  it("T15 refuses an absolute target beside a Host that is none or is there twice", async () => {
    await assert.refused(m, m.routed("GET http://a/ HTTP/1.1", "Host: b@c"))
    await assert.refused(m, m.routed("GET http://a/ HTTP/1.1", "Host: a", "Host: a"))
    await assert.refused(m, m.routed("GET http://a/ HTTP/1.1"))
  })

  it("T16 refuses an absolute target with userinfo", async () => {
    for (const target of [
      "http://a@b/",
      "http://a:b@c/",
      "http://@b/",
      "http://localhost:80@evil.com/",
      "http://a%40b@c/",
    ]) {
      await assert.refused(m, m.get(target))
    }
  })

  it("T26 refuses a port that only looks like one, wherever it stands", async () => {
    for (const target of [
      "8080@evil.com__app.example.com",
      "8080__x@evil.com",
      "localhost:8080@evil.com",
      "8080@evil.com",
    ]) {
      const answer = await m.ask(`GET / HTTP/1.1\r\nHost: a\r\n${m.hopTo(target)}\r\n`)
      expect([answer.status, answer.value("x-iterate-proxy-error")]).toEqual([400, "invalid_proxy_target_host"])
    }
    await assert.refused(m, m.routed("GET / HTTP/1.1", "Host: app.example.com:8080@evil.com"))
    await assert.refused(m, m.get("http://app.example.com:8080@evil.com/"))
    expect(m.app.requests.filter(({ target }) => !target.startsWith("/probe"))).toEqual([])
  })
})

describe("methods that are not passed on", () => {
  it("T17 refuses CONNECT and reads nothing after it", async () => {
    for (const line of ["CONNECT host:443", "CONNECT /", "CONNECT localhost:22", "CONNECT http://a/", "CONNECT *"]) {
      const answer = await assert.refused(
        m,
        m.routed(`${line} HTTP/1.1`, "Host: host:443") + m.get("/after"),
        [400, 405, 501],
      )
      expect(answer.values("transfer-encoding")).toEqual([])
      // RFC 9110 §15.5.6
      expect([answer.status, answer.value("allow") !== undefined]).toEqual([answer.status, answer.status === 405])
    }
    await assert.refused(
      m,
      m.routed("CONNECT host:443 HTTP/1.1", "Host: host:443", "Content-Length: 5") + `hello${m.get("/after")}`,
      [405, 501],
    )
  })

  it("T17 refuses CONNECT where an app would take it", async () => {
    m.app.script = bytes("HTTP/1.1 200 Connection established\r\n\r\n")
    await assert.refused(
      m,
      [m.routed("CONNECT localhost:443 HTTP/1.1", "Host: localhost:443"), "\x16\x03\x01"],
      [405, 501],
    )
  })

  it("T18 refuses TRACE, so that nobody is shown what was added", async () => {
    m.app.script = ok()
    const answer = await assert.refused(
      m,
      m.routed("TRACE / HTTP/1.1", "Host: a", "Cookie: secret", "Authorization: secret"),
      [405, 501],
    )
    expect(answer.text).not.toContain("secret")
    expect(answer.status).toBe(405)
    expect(answer.value("allow")).toMatch(/^GET, HEAD, POST, (?!.*(?:TRACE|CONNECT))[A-Z, -]+$/)
    await assert.refused(m, m.routed("TRACE / HTTP/1.1", "Host: a", "Max-Forwards: 0"), [405, 501])
  })
})
