import { describe, expect, it } from "vitest"
import { useMachine } from "./harness.ts"
import type { AppRequest, Machine } from "./harness.ts"

/** What a client may claim about itself. */
const claims = [
  "X-Forwarded-For",
  "X-Forwarded-Host",
  "X-Forwarded-Proto",
  "X-Forwarded-Port",
  "X-Forwarded-Prefix",
  "X-Forwarded-Server",
  "X-Forwarded-Scheme",
  "X-Forwarded-Ssl",
  "X-Forwarded-Uri",
  "X-Forwarded-Method",
  "Forwarded",
  "X-Real-IP",
  "X-Client-IP",
  "True-Client-IP",
  "X-Cluster-Client-IP",
  "CF-Connecting-IP",
  "CF-IPCountry",
  "Cf-Worker",
  "Fastly-Client-IP",
  "X-Original-URL",
  "X-Original-Host",
  "X-Rewrite-URL",
  "X-Host",
  "X-HTTP-Host-Override",
  "Proxy",
  "X-Iterate-User",
]
const aliases = claims.flatMap((name) =>
  name.includes("-")
    ? [name.replace("-", "_"), ..."!#$%&'*+.^_`|~".split("").map((folds) => name.replaceAll("-", () => folds))]
    : [],
)

const seen = async (m: Machine, ...lines: readonly string[]): Promise<AppRequest> => {
  m.app.forget()
  expect((await m.ask(m.get("/", ...lines))).status).toBe(200)
  return m.app.request
}

describe("a sender with a ticket", () => {
  const m = useMachine()

  it("I02 I04 is believed about the client: its forwarded fields pass as they are, once", async () => {
    const lines = [
      "X-Forwarded-For: 203.0.113.7",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: app.example.com:8443",
      'Forwarded: for=203.0.113.7;host="app.example.com:8443";proto=https',
      "CF-Connecting-IP: 203.0.113.7",
    ]
    const request = await seen(m, ...lines)
    for (const line of lines) {
      const [name, value] = [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]
      expect(request.values(name)).toEqual([value])
    }
  })

  it("I04 says https of a WebSocket as of any request", async () => {
    m.app.script = (_, connection) =>
      connection.write(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
      )
    const handshake = [
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    expect((await m.ask(m.get("/", ...handshake, "X-Forwarded-Proto: https"))).status).toBe(101)
    expect(m.app.request.value("x-forwarded-proto")).toBe("https")
  })

  it("I07 cannot have the app shown any field of the platform's own, but the one that the proxy writes", async () => {
    const request = await seen(m, "X-Iterate-Proxy-Stamp: 1", "X-Iterate-Proxy-Error: X", "x-iterate-proxy-anything: y")
    expect(request.fields.filter(([name]) => /^x-iterate-proxy/i.test(name))).toEqual([
      ["x-iterate-proxy-via", "app.example.com"],
    ])
  })

  it("I08 cannot reach an app's variables through an alias with any other character that CGI folds", async () => {
    const request = await seen(m, ...aliases.map((name) => `${name}: spoofed`), "X_Other: 1", "x.other: 2")
    expect(request.fields.filter(([, value]) => value === "spoofed").map(([name]) => name)).toEqual([])
    expect([request.value("X_Other"), request.value("x.other")]).toEqual(["1", "2"])
  })

  it("I08 nor the client's, in an answer", async () => {
    m.app.script = (_, connection) =>
      connection.write(
        "HTTP/1.1 200 OK\r\nX_Iterate_Proxy_Error: spoofed\r\nX-Iterate.User: spoofed\r\nX-Iterate-Wake: spoofed\r\nContent-Length: 0\r\n\r\n",
      )
    const answer = await m.ask(m.get())
    expect(answer.fields.filter(([, value]) => value === "spoofed")).toEqual([])
  })

  it("I02 restores what a platform would have eaten", async () => {
    const request = await seen(m, "x-iterate-proxy-fwd-authorization: Bearer app", "Authorization: Bearer platform")
    expect(request.value("authorization")).toBe("Bearer app")
    expect(request.fields.filter(([name]) => /fwd/i.test(name))).toEqual([])
  })
})

describe("a sender without a ticket, where none is required", () => {
  const m = useMachine({ keys: "insecure" })

  it("I02 I03 is believed nothing: the proxy says what it sees", async () => {
    const request = await seen(m, ...claims.map((name) => `${name}: 6.6.6.6`))
    expect(request.fields.filter(([, value]) => value.includes("6.6.6.6"))).toEqual([])
    expect(request.value("x-forwarded-for")).toBe("127.0.0.1")
    expect(request.value("x-forwarded-proto")).toBe("http")
    expect(request.value("x-forwarded-host")).toBe("app.example.com")
    expect(request.value("forwarded")).toBe("for=127.0.0.1;host=app.example.com;proto=http")
  })

  it("I03 is believed nothing in a second line, in another case, or through Connection", async () => {
    const request = await seen(
      m,
      "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, x-iterate-proxy-via",
      "x-forwarded-for: 6.6.6.6",
      "X-FORWARDED-FOR: 6.6.6.6",
      "X-Forwarded-Proto: https",
      "FORWARDED: for=6.6.6.6",
    )
    expect(m.app.text).not.toContain("6.6.6.6")
    expect(request.value("x-forwarded-for")).toBe("127.0.0.1")
    expect(request.value("x-forwarded-proto")).toBe("http")
    expect(request.value("forwarded")).toContain("for=127.0.0.1")
    expect(request.value("x-iterate-proxy-via")).toBe("app.example.com")
  })

  it("I08 is believed nothing through an alias", async () => {
    const request = await seen(m, ...aliases.map((name) => `${name}: spoofed`))
    expect(request.fields.filter(([, value]) => value === "spoofed").map(([name]) => name)).toEqual([])
  })

  it("I03 restores nothing", async () => {
    const request = await seen(
      m,
      "x-iterate-proxy-fwd-authorization: x",
      "x-iterate-proxy-fwd-host: evil",
      "Authorization: mine",
    )
    expect([request.value("authorization"), request.value("host")]).toEqual(["mine", `localhost:${m.app.port}`])
  })

  it("I10 cannot set HTTP_PROXY of an app", async () => {
    expect((await seen(m, "Proxy: http://evil/", "PROXY: http://evil/")).values("proxy")).toEqual([])
  })

  it("I09 sends a chain of any length that ends at one address", async () => {
    const chain = Array.from({ length: 500 }, (_, i) => `10.0.${i >> 8}.${i & 255}`).join(", ")
    expect((await seen(m, `X-Forwarded-For: ${chain}`)).value("x-forwarded-for")).toBe("127.0.0.1")
  })
})
