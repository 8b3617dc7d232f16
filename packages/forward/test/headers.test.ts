import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { endToEndTrailers } from "../src/trailers.ts"
import type { HeaderList, RequestHop, ResponseHop } from "../src/forward.ts"
import { defaultHeaderNames as names, hopHeaderNames, requestHeaders, responseHeaders } from "../src/forward.ts"

const edge: RequestHop = { headerNames: names, host: "localhost:3000", pseudonym: "test", trusted: false, add: [] }
const machine: RequestHop = { ...edge, trusted: true }
const answer: ResponseHop = { headerNames: names, stamped: false, add: [] }
const shape = { status: 200, chunked: false }
const list = (text: string): string[] => text.split("\n").flatMap((line) => line.split(/: ?(.*)/s).slice(0, 2))
const sent = (text: string, hop = edge) => requestHeaders(list(text), hop)
const has = (headers: HeaderList, lower: string) =>
  headers.some((item, i) => i % 2 === 0 && item.toLowerCase() === lower)

describe("a request's headers", () => {
  it("go on with their bytes, order and repetition", () => {
    const kept = list(
      "X-M: 1\nx-m: 2\nX-E: \n__proto__: p\nconstructor: c\nAlt-Used: a\nAuthorization: Basic x\nCookie: a=1; b=2",
    )
    expect(requestHeaders(kept, edge)).toEqual(["Host", "localhost:3000", ...kept, "Via", "1.1 test"])
    expect(({} as Record<string, unknown>)["p"]).toBeUndefined()
  })

  it.each([
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authorization",
    "Upgrade",
    "HTTP2-Settings",
    "Trailer",
    "Transfer-Encoding",
  ])("lose %s at a hop, listed or not", (name) => expect(has(sent(`${name}: x`), name.toLowerCase())).toBe(false))

  it("lose what any Connection line names, in any case and spacing", () => {
    const headers = sent("connection: \nConnection:  x-HOP ,, Close\nCONNECTION: X-Two\nX-Hop: 1\nx-two: 2\nX-Keep: 3")
    expect(headers).toEqual(["Host", "localhost:3000", "X-Keep", "3", "Via", "1.1 test"])
  })

  it("keep what Connection has no power over", () => {
    const headers = sent(
      "Connection: Host, Content-Length, Cookie, Authorization, Cache-Control\nCookie: a\nAuthorization: b\nCache-Control: c\nContent-Length: 0",
    )
    for (const name of ["host", "cookie", "authorization", "cache-control", "content-length"])
      expect(has(headers, name)).toBe(true)
  })

  it("cannot name away what we add", () => {
    const hop = { ...edge, add: [names.ticket, "t", names.targetHost, "3000__a"] }
    const headers = sent(`Connection: ${names.ticket}, ${names.targetHost}\n${names.ticket}: forged`, hop)
    expect(headers.slice(-4)).toEqual(hop.add)
    expect(headers).not.toContain("forged")
  })

  it.each([
    "X-Forwarded-For",
    "X-Forwarded-Anything",
    "Forwarded",
    "X-Real-IP",
    "CF-Connecting-IP",
    "Fastly-Client-IP",
    "X-Original-URL",
    "X-Sendfile-Type",
    "X-Accel-Mapping",
    "Proxy",
    "X-Iterate-User",
    "X-Iterate-Proxy-Target-Host",
    "X_Forwarded_For",
    "X.Forwarded.For",
    "X_Iterate_Proxy_Ticket",
    "X-Iterate.Proxy-Target-Host",
    "X-Iterate_User",
    "X*Real*Ip",
    "CF~Connecting~IP",
    "X~Iterate~Proxy~Ticket",
  ])("lose %s from a client", (name) => expect(sent(`${name}: spoof`)).not.toContain("spoof"))

  it.each("!#$%&'*+.^_`|~".split(""))(
    "lose from anybody what %s folds to a name of ours or a claim, and nothing else",
    (folds) => {
      const spoofs = ["X-Real-IP", "CF-Connecting-IP", "X-Forwarded-For", "X-Iterate-User", "X-Iterate-Proxy-Ticket"]
      for (const name of spoofs.flatMap((spoof) => [
        spoof.replaceAll("-", () => folds),
        spoof.replace("-", () => folds),
      ])) {
        for (const hop of [edge, machine]) expect(sent(`${name}: spoof`, hop)).not.toContain("spoof")
        expect(responseHeaders([name, "spoof"], { ...answer, stamped: true }, shape)).not.toContain("spoof")
        expect(endToEndTrailers([name, "spoof"], names)).toEqual([])
      }
      expect(sent(`X${folds}Other: 1`)).toContain("1")
    },
  )

  it("keep what a router that proved itself says of the client", () => {
    const headers = sent(
      "X-Forwarded-For: 1.2.3.4\nForwarded: for=1.2.3.4\nX-Iterate-User: u\nX-Iterate-Proxy-Ticket: t",
      machine,
    )
    expect(headers).toContain("1.2.3.4")
    expect(headers).toContain("u")
    expect(headers).not.toContain("t")
  })

  it("get their tunnelled ones back from a router, and from nobody else", () => {
    const text =
      "Authorization: eaten\nX-Iterate-Proxy-Fwd-Authorization: Bearer app\nX-Iterate-Proxy-Fwd-Host: misha.dev\nX-Iterate-Proxy-Fwd-Connection: x"
    expect(sent(text, machine)).toEqual(["Host", "misha.dev", "authorization", "Bearer app", "Via", "1.1 test"])
    expect(sent(text, edge)).toEqual(["Host", "localhost:3000", "Authorization", "eaten", "Via", "1.1 test"])
  })

  it("from a router that tunnels a Host keep of X-Forwarded-* only what it tunnelled", () => {
    const text = `X-Forwarded-Proto: platform
Forwarded: host=platform
CF-Connecting-IP: platform
x-iterate-proxy-fwd-x-forwarded-for: 192.0.2.1
X-Forwarded-For: platform
x-iterate-proxy-fwd-host: localhost:3000
x-iterate-proxy-fwd-x-iterate-proxy-public-origin: https://misha.dev
x-iterate-proxy-fwd-x-iterate-proxy-stamp: 1
x-iterate-proxy-public-origin: platform`
    expect(sent(text, { ...machine, host: "mine" })).toEqual(
      list(
        "Host: localhost:3000\nx-forwarded-for: 192.0.2.1\nx-iterate-proxy-public-origin: https://misha.dev\nVia: 1.1 test",
      ),
    )
    expect(sent(text, edge).join()).not.toMatch(/platform|misha|192/)
  })

  it("lose from a router about caching what an empty tunnelled field says was not the client's", () => {
    const hidden = `Cache-Control: no-cache
Pragma: no-cache
x-iterate-proxy-fwd-cache-control: max-age=0
x-iterate-proxy-fwd-pragma:
X-Keep: 1`
    expect(sent(hidden, machine)).toEqual(
      list("Host: localhost:3000\nX-Keep: 1\ncache-control: max-age=0\nVia: 1.1 test"),
    )
    expect(sent(hidden, edge)).toEqual(
      list("Host: localhost:3000\nCache-Control: no-cache\nPragma: no-cache\nX-Keep: 1\nVia: 1.1 test"),
    )
  })

  it.each([
    ["trailers, gzip", true],
    ["gzip", false],
    ["trailers;q=0.5", false],
  ])("of TE: %s pass trailers: %s", (te, passes) => {
    const headers = sent(`TE: ${te}`, { ...edge, trailers: true })
    expect(headers.includes("trailers")).toBe(passes)
    expect(has(headers, "connection")).toBe(passes)
  })

  it("do not change the list that arrived", () => {
    const inbound = Object.freeze(list("Connection: a\nA: 1\nB: 2"))
    requestHeaders(inbound, edge)
    expect(inbound).toEqual(list("Connection: a\nA: 1\nB: 2"))
  })

  it("refuse to add what is no field value", () => {
    for (const bad of ["a\r\nX: y", "a\nb", "a\0", "\u010a"]) {
      expect(() => requestHeaders([], { ...edge, add: ["X", bad] })).toThrow(TypeError)
      expect(() => requestHeaders([], { ...edge, host: bad })).toThrow(TypeError)
    }
  })

  it("never carry a hop's name, whatever was sent (property)", () => {
    const name = fc.oneof(
      fc.constantFrom(
        "Connection",
        "TE",
        "Host",
        "X-Forwarded-For",
        names.ticket,
        names.stamp,
        "x_iterate_proxy_ticket",
        "Upgrade",
      ),
      fc.stringMatching(/^[A-Za-z_.-]{1,12}$/),
    )
    const value = fc.oneof(name, fc.stringMatching(/^[ -~]{0,12}$/))
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), (pairs) => {
        const hop = { ...edge, add: [names.ticket, "ours"] }
        const out = requestHeaders(pairs.flat(), hop)
        const tickets = out.filter((_, i) => i % 2 === 1 && out[i - 1]!.toLowerCase() === names.ticket)
        expect(tickets).toEqual(["ours"])
        expect(out.filter((item, i) => i % 2 === 0 && item.toLowerCase() === "host")).toHaveLength(1)
        for (const gone of ["upgrade", "keep-alive", "x-forwarded-for", names.stamp]) expect(has(out, gone)).toBe(false)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe("an answer's headers", () => {
  it("lose hop-by-hop fields, what commands a front server, and what speaks in our name", () => {
    const text =
      "Connection: X-Up\nX-Up: 1\nKeep-Alive: 5\nUpgrade: h2c\nAlt-Svc: h3\nX-Accel-Redirect: /etc\nFly-Replay: app=x\nX-Iterate-Proxy-Stamp: 1\nX-Iterate-Proxy-Error: E\nX-Iterate-User: u\nDate: d\nETag: e"
    expect(responseHeaders(list(text), answer, shape)).toEqual(["Date", "d", "ETag", "e"])
  })

  it.each([
    "X-Accel-Redirect",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
    "X-Sendfile",
    "X-SendFile2",
    "X-Sendfile-Temporary",
    "X-LIGHTTPD-send-file",
    "X-LIGHTTPD-KBytes-per-second",
    "X-LiteSpeed-Location",
    "X-LiteSpeed-Cache-Control",
    "X-LiteSpeed-Purge",
    "X-LiteSpeed-Tag",
    "X-Reproxy-URL",
    "X-REPROXY-FILE",
    "X-Reproxy-Service",
    "X-Envoy-Immediate-Health-Check-Fail",
    "Surrogate-Control",
    "Surrogate-Key",
    "Edge-Control",
    "Alt-Svc",
    "Fly-Replay",
    "Fly-Replay-Cache",
  ])("lose %s, a command to a front server, stamped or not, and in trailers", (name) => {
    for (const stamped of [false, true])
      expect(responseHeaders([name, "x", "Date", "d"], { ...answer, stamped }, shape)).toEqual(["Date", "d"])
    expect(endToEndTrailers([name, "x"], names)).toEqual([])
  })

  it("lose of Proxy-Status what names one of our proxies, but what its machine's own proxy says", () => {
    const passed = (value: string, stamped = false) =>
      responseHeaders(["Proxy-Status", value, "Date", "d"], { ...answer, stamped }, shape).slice(0, -2)
    const forged = [
      "ingress-router; error=connection_refused",
      "Ingress-Machine;error=dns_error",
      String.raw`"ingress-\router"; error=x`,
      '"ingress-router", ingress-machine',
      // The next line could end the string, and with it begin a member.
      'varnish; details="',
      '", ingress-router; error=dns_error',
    ]
    for (const value of forged) expect(passed(value)).toEqual([])
    expect(passed('varnish; details="a, ingress-router", ingress-router; error=x , "cdn, inc";fwd=miss')).toEqual([
      "Proxy-Status",
      'varnish; details="a, ingress-router", "cdn, inc";fwd=miss',
    ])
    const own = "ingress-machine; error=connection_refused"
    expect(passed(`${own}, ingress-router; error=x`, true)).toEqual(["Proxy-Status", own])
    expect(endToEndTrailers(["Proxy-Status", own], names)).toEqual([])
  })

  it("keep Set-Cookie lines apart and in order", () => {
    const cookies = Array.from({ length: 50 }, (_, i) => ["Set-Cookie", `c${i}=1; Expires=Thu, 01 Jan 2026`]).flat()
    expect(responseHeaders(cookies, answer, shape).slice(0, 100)).toEqual(cookies)
  })

  it("keep a stamped proxy's error code for the client, and only that", () => {
    const headers = responseHeaders(
      list("X-Iterate-Proxy-Stamp: 1\nX-Iterate-Proxy-Error: PORT_CLOSED\nDate: d"),
      { ...answer, stamped: true },
      shape,
    )
    expect(headers).toEqual(["X-Iterate-Proxy-Error", "PORT_CLOSED", "Date", "d"])
  })

  it("say nothing about caching to caches on the way, and everything to the client", () => {
    const text = fc.stringMatching(/^[!-~]( ?[!-~]){0,11}$/)
    const name = fc.constantFrom("Cache-Control", "cache-control", "CDN-Cache-Control", "Cloudflare-CDN-Cache-Control")
    const fields = fc.array(fc.tuple(fc.oneof(name, fc.constantFrom("X-A", "Expires", "ETag")), text))
    fc.assert(
      fc.property(fields, fc.boolean(), (pairs, adds) => {
        const app = [...pairs.flat(), "Date", "d"]
        const machineHop = { ...answer, uncached: true, add: [names.stamp, "1"] }
        const onTheWay = responseHeaders(app, machineHop, shape)
        const isPlain = (each: string) => /^(?:c[a-z]+-)*cache-control$/i.test(each)
        const plain = onTheWay.filter((_, i) => i % 2 === 1 && isPlain(onTheWay[i - 1]!))
        expect(plain).toEqual(["private, no-store"])
        // A cache may have words of its own.
        const arrived = adds ? ["Cache-Control", "max-age=14400", ...onTheWay] : onTheWay
        expect(responseHeaders(arrived, { ...answer, stamped: true }, shape)).toEqual(app)
      }),
    )
  })

  it("about caching are a stamped proxy's own where it hides nothing, and never an app's word for it", () => {
    const own = list("Cache-Control: no-store\nDate: d")
    expect(responseHeaders(own, { ...answer, stamped: true }, shape).toSorted()).toEqual(own.toSorted())
    const forged = list("Cache-Control: a\nx-iterate-proxy-fwd-cache-control: b\nDate: d")
    expect(responseHeaders(forged, answer, shape)).toEqual(list("Cache-Control: a\nDate: d"))
  })

  it("get a Date when there is none, and keep the one there is", () => {
    expect(has(responseHeaders([], answer, shape), "date")).toBe(true)
    expect(responseHeaders(list("Date: d"), answer, shape)).toEqual(["Date", "d"])
  })

  it("have no length with 204, and a Trailer only beside chunks", () => {
    expect(
      has(responseHeaders(list("Content-Length: 5"), answer, { status: 204, chunked: false }), "content-length"),
    ).toBe(false)
    expect(
      has(responseHeaders(list("Content-Length: 5"), answer, { status: 304, chunked: false }), "content-length"),
    ).toBe(true)
    expect(has(responseHeaders(list("Trailer: X"), answer, shape), "trailer")).toBe(false)
    expect(has(responseHeaders(list("Trailer: X"), answer, { status: 200, chunked: true }), "trailer")).toBe(true)
  })

  it("name the one protocol we upgrade to", () => {
    expect(
      responseHeaders(list("Upgrade: websocket\nConnection: upgrade\nSec-WebSocket-Accept: a"), answer, {
        status: 101,
        chunked: false,
      }),
    ).toEqual(["Sec-WebSocket-Accept", "a", "Connection", "Upgrade", "Upgrade", "websocket"])
  })
})

it("trailers go on without what frames, routes or authenticates", () => {
  const text =
    "Host: a\nAuthorization: b\nCookie: c\nX-Iterate-Proxy-Target-Host: d\nX-Forwarded-For: e\nContent-Length: 1\nServer-Timing: t\nX-Sum: s"
  expect(endToEndTrailers(list(text), names)).toEqual(["Server-Timing", "t", "X-Sum", "s"])
})

describe("an edit of a response", () => {
  const inbound = [
    "Content-Length",
    "5",
    "X-Powered-By",
    "app",
    "Set-Cookie",
    "a=1",
    "Set-Cookie",
    "b=2",
    "Date",
    "now",
  ]
  const with_ = (edit: NonNullable<ResponseHop["edit"]>, status = 200) =>
    responseHeaders(
      inbound,
      { headerNames: names, stamped: false, edit, add: ["X-Ours", "1"] },
      { status, chunked: false },
    )

  it("sees what is left after the stripping, and gives what the client gets before what is added", () => {
    const seen: HeaderList[] = []
    const out = with_((fields) => {
      seen.push(fields)
      return ["X-Frame-Options", "DENY", ...fields.slice(2)]
    })
    expect(seen).toEqual([["X-Powered-By", "app", "Set-Cookie", "a=1", "Set-Cookie", "b=2", "Date", "now"]])
    expect(out).toEqual(
      [
        "Content-Length",
        "5",
        "X-Frame-Options",
        "DENY",
        "Set-Cookie",
        "a=1",
        "Set-Cookie",
        "b=2",
        "Date",
        "now",
      ].concat(["X-Ours", "1"]),
    )
  })

  it("cannot change how the message is framed", () => {
    const framing = ["content-length", "9", "Transfer-Encoding", "chunked", "CONNECTION", "close", "Trailer", "x"]
    expect(with_(() => framing)).toEqual(["Content-Length", "5", "X-Ours", "1"])
  })

  it.each([
    ["X-A", "b\r\nX-C: d"],
    ["X A", "b"],
    ["X-A", "\u0100"],
  ])("that gives an invalid field throws (%#)", (name, value) => {
    expect(() => with_(() => [name, value])).toThrow(TypeError)
  })

  it("is not asked about an interim response", () => {
    expect(with_(() => ["X-Edited", "1"], 103)).not.toContain("X-Edited")
  })
})

it("a prefix that could be spoofed by an alias is refused", () => {
  expect(() => hopHeaderNames("x_iterate")).toThrow(TypeError)
  expect(() => hopHeaderNames("X-Iterate")).toThrow(TypeError)
  expect(hopHeaderNames("x-acme-proxy").family).toBe("x-acme-")
})
