import { describe, expect, it } from "vitest"
import { App, assert, useMachine } from "./harness.ts"

const m = useMachine()

const withHost = (...lines: readonly string[]) => m.routed("GET / HTTP/1.1", ...lines)

describe("the Host of a request", () => {
  it("H01 is required in HTTP/1.1", async () => {
    await assert.refused(m, m.routed("GET / HTTP/1.1"))
    await assert.refused(m, m.routed("GET / HTTP/1.1", "X-Host: a"))
    await assert.refused(m, "GET / HTTP/1.1\r\n\r\n")
    await assert.refused(m, m.routed("POST / HTTP/1.1", "Content-Length: 5") + "hello")
  })

  it("H01 may be missing in HTTP/1.0", async () => {
    const answer = await m.ask(m.routed("GET /old HTTP/1.0"))
    expect([answer.status, answer.value("connection")]).toEqual([200, "close"])
    expect(m.app.request.value("host")).toBe(`localhost:${m.app.port}`)
  })

  it("H02 is there once", async () => {
    await assert.refused(m, withHost("Host: a", "Host: a"))
    await assert.refused(m, withHost("Host: a", "Host: b"))
    await assert.refused(m, withHost("Host: a", "X: y", "host: b"))
    await assert.refused(m, withHost("Host: a", "HOST:"))
    await assert.refused(m, withHost("Host:", "Host: a"))
    await assert.refused(m, m.routed("GET / HTTP/1.0", "Host: a", "Host: b"))
  })

  it("H03 has no userinfo", async () => {
    for (const host of [
      "user@tenant",
      "user:pw@tenant",
      "@tenant",
      "tenant@",
      "localhost:80@evil.com",
      "user%40tenant@x",
    ]) {
      await assert.refused(m, withHost(`Host: ${host}`))
    }
  })

  it("H04 has no path, query, fragment or backslash, which would move the boundary of a URL made of it", async () => {
    for (const host of [
      "tenant/path?",
      "tenant/",
      "tenant?",
      "tenant?x",
      "tenant#",
      "tenant\\x",
      "tenant/../x",
      "http://tenant",
      "//tenant",
    ]) {
      await assert.refused(m, withHost(`Host: ${host}`))
    }
  })

  it("H06 has no white space, no control octet and nothing beyond ASCII", async () => {
    for (const host of [
      "a b",
      "a\tb",
      "a\0b",
      "a\rb",
      "a\x0bb",
      "\x80",
      "a\xe9",
      "caf\xc3\xa9.example",
      "a, b",
      "a,b",
      "a\x7f",
      "a\xa0",
    ]) {
      await assert.refused(m, withHost(`Host: ${host}`))
    }
  })

  it("H06 has none of the characters that mean something elsewhere", async () => {
    for (const host of [
      "a%20b",
      "a%00",
      "a;b",
      "a'b",
      'a"b',
      "<a>",
      "a|b",
      "a^b",
      "a`b",
      "{a}",
      "$a",
      "a=b",
      "a&b",
      "a(b)",
      "a*",
      "a!",
    ]) {
      await assert.refused(m, withHost(`Host: ${host}`))
    }
  })

  it("H07 is not empty in HTTP/1.1", async () => {
    for (const line of ["Host:", "Host: ", "Host:\t ", "host:"]) await assert.refused(m, withHost(line))
  })

  it("H10 keeps a port that is one and refuses any other", async () => {
    for (const port of [":443", ":8443", ":1", ":65535"]) {
      m.app.forget()
      expect((await m.ask(withHost(`Host: tenant.example.com${port}`))).status).toBe(200)
      expect(m.app.request.value("x-iterate-proxy-via")).toBe(`tenant.example.com${port}`)
    }
    for (const port of [
      ":",
      ":0",
      ":65536",
      ":99999",
      ":abc",
      ":080",
      ":+80",
      ":-1",
      ":80:80",
      ":80a",
      ": 80",
      ":0x50",
      ":8e1",
      ":123456",
    ]) {
      await assert.refused(m, withHost(`Host: tenant.example.com${port}`))
    }
  })

  it("H10 refuses an address in brackets that is none, and a name beyond its length", async () => {
    for (const host of [
      "[::1",
      "::1",
      "[]",
      "[::1]x",
      "[::1]:",
      "[::1]:0",
      "[fe80::1%25eth0]",
      "[v1.x]",
      "[g::1]",
      "a[b]",
    ]) {
      await assert.refused(m, withHost(`Host: ${host}`))
    }
    await assert.refused(m, withHost(`Host: ${"a".repeat(256)}`))
    await assert.refused(m, withHost(`Host: ${"a.".repeat(5_000)}b`))
  })
})

describe("the Host that an app sees", () => {
  it("H20 is localhost and its port, once; the public name with its port is in X-Forwarded-Host, once", async () => {
    const lines = [
      "Host: tenant.example.com:8443",
      "X-Forwarded-Host: tenant.example.com:8443",
      "X-Forwarded-Proto: https",
    ]
    expect((await m.ask(withHost(...lines))).status).toBe(200)
    const { request } = m.app
    expect(request.value("host")).toBe(`localhost:${m.app.port}`)
    expect(request.value("x-forwarded-host")).toBe("tenant.example.com:8443")
    expect(request.value("x-iterate-proxy-via")).toBe("tenant.example.com:8443")
  })

  it("H20 comes first, as RFC 9110 §7.2 asks", async () => {
    await m.ask(m.routed("GET / HTTP/1.1", "X-A: b", "Host: tenant.example.com"))
    expect(m.app.request.fields[0]![0]).toBe("Host")
  })

  it("H21 and the port that is reached depend on no header that claims to name a host", async () => {
    const other = await new App().listen()
    try {
      const claim = `127.0.0.1:${other.port}`
      const names = [
        "X-Forwarded-Host",
        "X-Host",
        "X-Original-Host",
        "X-HTTP-Host-Override",
        "X-Forwarded-Server",
        "X-Rewrite-URL",
        "X-Original-URL",
        "X-Forwarded-Port",
        "X-Real-Host",
        "Via",
        "Referer",
        "Origin",
        "Alt-Used",
        "Destination",
      ]
      const lines = [...names.map((name) => `${name}: ${claim}`), `Forwarded: host=${claim}`]
      expect((await m.ask(withHost(`Host: ${claim}`, ...lines))).status).toBe(200)
      expect(m.app.request.value("host")).toBe(`localhost:${m.app.port}`)
      expect(other.connections).toEqual([])
    } finally {
      await other.stop()
    }
  })
})

describe("an app that wants the public name as Host", () => {
  const p = useMachine({ host: "preserve" })
  const ask = (...lines: readonly string[]) => p.ask(p.routed("GET / HTTP/1.1", "Host: machine.provider.dev", ...lines))

  it("H20 gets it from its router with the port, once", async () => {
    expect((await ask("X-Forwarded-Host: app.example.com:8443")).status).toBe(200)
    expect(p.app.request.value("host")).toBe("app.example.com:8443")
  })

  it("H20 gets it from the target header when the router says nothing", async () => {
    expect((await ask()).status).toBe(200)
    expect(p.app.request.value("host")).toBe("app.example.com")
  })

  it("H20 gets no Host that is no authority", async () => {
    for (const value of ["a b", "a/b", "a@b", "a, b", "", "a:b", "a:99999", "::1", "a:0"]) {
      p.app.forget()
      expect((await ask(`X-Forwarded-Host: ${value}`)).status).toBe(200)
      expect([value, p.app.request.value("host")]).toEqual([value, "app.example.com"])
    }
  })
})
