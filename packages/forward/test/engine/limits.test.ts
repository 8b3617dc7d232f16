import { createSocket } from "node:dgram"
import { once } from "node:events"
import { describe, expect, it } from "vitest"
import { createEngine, defaultLimits } from "../../src/sockets.ts"
import type { Limits } from "../../src/sockets.ts"
import * as http2 from "../http2/harness.ts"
import * as raw from "../http2/raw-client.ts"
import { bytesOf } from "../websocket/frames.ts"
import * as h from "./harness.ts"

/** Error codes of HTTP/2 (RFC 9113 §7). */
const [REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM] = [7, 8, 11]

const chunkedPost = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

const masked = (first: number, payload: string): string => bytesOf({ first, payload }).toString("latin1")

/** One test for each limit, or more: a limit without one does not compile. */
const tests: Record<keyof Limits, Record<string, () => Promise<void>>> = {
  headersTimeoutMs: {
    "bounds the head of the first request, however its bytes drip in": async () => {
      const front = await h.listen(() => h.to(1))
      const client = await front.connect()
      client.send("GET / HT")
      await h.settled(front)
      h.passes(10_000)
      client.send("TP/1.1\r\n")
      await h.settled(front)
      h.passes(4_900)
      expect(client.text).toBe("")
      h.passes(200 + h.SCANS_MS)
      expect(h.status(await client.until("\r\n\r\n"))).toBe(408)
      await client.over()
    },
    "bounds the head of each later request of a connection like that of the first": async () => {
      const app = await h.respondingApp()
      const front = await h.listen(() => h.to(app.port))
      const client = await front.connect()
      for (let request = 0; request < 3; request++) {
        client.send(h.get())
        await client.until("ok")
      }
      client.send("GET / HT")
      await h.settled(front)
      h.passes(14_900)
      expect(client.text).toBe("")
      h.passes(200 + h.SCANS_MS)
      expect(h.status(await client.until("\r\n\r\n"))).toBe(408)
    },
    "ends a connection on which nothing comes": async () => {
      const front = await h.listen(() => h.to(1))
      const client = await front.connect()
      await h.settled(front)
      h.passes(14_900)
      expect(client.state).toBe("open")
      h.passes(200 + h.SCANS_MS)
      await client.over()
      expect(client.text).toBe("")
    },
  },
  bodyIdleTimeoutMs: {
    "ends an upload that stalls, and each byte renews it": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port))
      const client = await front.connect()
      client.send(chunkedPost)
      const seen = await app.connection(0)
      await seen.until("\r\n\r\n")
      for (let piece = 0; piece < 3; piece++) {
        h.passes(50_000)
        client.send("1\r\nx\r\n")
        await seen.until("x")
      }
      h.passes(59_900)
      expect(client.text).toBe("")
      h.passes(200 + h.SCANS_MS)
      expect(h.status(await client.until("\r\n\r\n"))).toBe(408)
      await seen.over()
    },
  },
  minBodyRate: {
    "ends an upload that is slower on average with 408, closes the connection and reports it": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port), { limits: { minBodyRate: 240 } })
      const client = await front.connect()
      client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n")
      const seen = await app.connection(0)
      await seen.until("\r\n\r\n")
      // Fast enough for 10 s, whenever its bytes come.
      client.send("x".repeat(2_400))
      await seen.when(({ text }) => text.length >= 2_400)
      h.passes(9_900)
      expect(client.text).toBe("")
      client.send("y")
      await seen.when(({ text }) => text.includes("y"))
      h.passes(100 + h.SCANS_MS)
      expect(await client.until("REQUEST_TIMEOUT")).toMatch(/^HTTP\/1\.1 408 [^]*Connection: close\r\n/)
      await Promise.all([client.over(), seen.over()])
      expect(front.events).toMatchObject([
        { type: "error", tag: "RequestTimeout", reason: expect.stringContaining("more slowly than 240 bytes") },
        { type: "request", status: 408, code: "REQUEST_TIMEOUT", bytesIn: 2_401 },
      ])
    },
    "is none by default: a byte a minute is enough": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port))
      const client = await front.connect()
      client.send(chunkedPost)
      const seen = await app.connection(0)
      for (let piece = 0; piece < 5; piece++) {
        client.send("1\r\nx\r\n")
        await seen.until("x")
        h.passes(50_000)
      }
      expect(client.text).toBe("")
    },
  },
  minBodyRateGraceMs: {
    "is what a body has to begin in: one of one byte is over after it": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port), { limits: { minBodyRate: 240, minBodyRateGraceMs: 2_000 } })
      const client = await front.connect()
      client.send(`${chunkedPost}1\r\nx\r\n`)
      await (await app.connection(0)).until("x")
      h.passes(1_900)
      expect(client.text).toBe("")
      h.passes(100 + h.SCANS_MS)
      await client.until("REQUEST_TIMEOUT")
    },
  },
  keepAliveTimeoutMs: {
    "ends a connection between two requests": async () => {
      const app = await h.respondingApp()
      const front = await h.listen(() => h.to(app.port))
      const client = await front.connect()
      client.send(h.get())
      await client.until("ok")
      h.passes(74_900)
      client.send(h.get())
      await client.until("ok")
      h.passes(74_900)
      expect(client.state).toBe("open")
      h.passes(200 + h.SCANS_MS)
      await client.over()
    },
  },
  connectTimeoutMs: {
    "ends an attempt to connect, TLS included, with 504": async () => {
      // Takes the connection and never says a word of TLS.
      const app = await h.listenApp()
      const front = await h.listen(() =>
        h.to(app.port, { origin: { pool: "tls", host: "127.0.0.1", port: app.port, tls: {} } }),
      )
      const client = await front.connect()
      client.send(h.get())
      await app.connection(0)
      h.passes(900)
      expect(client.text).toBe("")
      h.passes(200 + h.SCANS_MS)
      expect(await client.until("UPSTREAM_TIMEOUT")).toMatch(/^HTTP\/1\.1 504 /)
    },
  },
  upstreamHeadersTimeoutMs: {
    "is none by default: an app may take an hour": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port))
      const client = await front.connect()
      client.send(h.get())
      const seen = await app.connection(0)
      await seen.until("\r\n\r\n")
      h.passes(3_600_000)
      seen.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      expect(h.status(await client.until("ok"))).toBe(200)
    },
    "ends the wait for a response with 504": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port), { limits: { upstreamHeadersTimeoutMs: 5_000 } })
      const client = await front.connect()
      client.send(h.get())
      await (await app.connection(0)).until("\r\n\r\n")
      h.passes(4_900)
      expect(client.text).toBe("")
      h.passes(200 + h.SCANS_MS)
      expect(h.status(await client.until("UPSTREAM_TIMEOUT"))).toBe(504)
    },
    "is overridden by a directive": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port, { headersTimeoutMs: 1_000 }), {
        limits: { upstreamHeadersTimeoutMs: 60_000 },
      })
      const client = await front.connect()
      client.send(h.get())
      await (await app.connection(0)).until("\r\n\r\n")
      h.passes(1_000 + h.SCANS_MS)
      expect(h.status(await client.until("UPSTREAM_TIMEOUT"))).toBe(504)
    },
  },
  upstreamIdleTimeoutMs: {
    "breaks off a response that stalls, and each byte renews it": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port))
      const client = await front.connect()
      client.send(h.get())
      const seen = await app.connection(0)
      await seen.until("\r\n\r\n")
      seen.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
      for (let piece = 0; piece < 3; piece++) {
        seen.send("x")
        await client.until("x")
        h.passes(299_900)
      }
      expect(client.state).toBe("open")
      h.passes(200 + h.SCANS_MS)
      expect((await client.over()).state).toBe("reset")
    },
    "is not for an event stream": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port))
      const client = await front.connect()
      client.send(h.get())
      const seen = await app.connection(0)
      await seen.until("\r\n\r\n")
      seen.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
      await client.until("\r\n\r\n")
      h.passes(86_400_000)
      seen.send("1\r\nx\r\n")
      expect(await client.until("x")).toBe("1\r\nx\r\n")
    },
  },
  poolIdleTimeoutMs: {
    "keeps a free connection for less than the 5 s of node:http, then closes it": async () => {
      const app = await h.respondingApp()
      const front = await h.listen(() => h.to(app.port))
      const client = await front.connect()
      client.send(h.get())
      await client.until("ok")
      h.passes(3_900)
      client.send(h.get())
      await client.until("ok")
      expect(app.connections).toHaveLength(1)
      h.passes(3_900)
      expect(app.connections[0]!.state).toBe("open")
      h.passes(200 + h.SCANS_MS)
      await app.connections[0]!.over()
      client.send(h.get())
      await client.until("ok")
      expect(app.connections).toHaveLength(2)
    },
  },
  tunnelIdleTimeoutMs: {
    "is none by default": async () => {
      const { client, app } = await tunnel({})
      h.passes(86_400_000)
      app.send("a")
      expect(await client.until("a")).toBe("a")
    },
    "is renewed by the bytes of either side and by nothing else": async () => {
      const { client, app, front } = await tunnel({ tunnelIdleTimeoutMs: 10_000 })
      for (let round = 0; round < 3; round++) {
        h.passes(9_900)
        client.send("c")
        await app.until("c")
      }
      for (let round = 0; round < 3; round++) {
        h.passes(9_900)
        app.send("a")
        await client.until("a")
      }
      h.passes(9_900)
      expect(client.state).toBe("open")
      // Other requests, and time, are no sign of life.
      await h.settled(front)
      h.passes(200 + h.SCANS_MS)
      await client.over()
      await app.over()
    },
    "of a tunnel that ends here is renewed by its bytes, and not by pings": async () => {
      const apps = await h.listenApp()
      const limits = { tunnelIdleTimeoutMs: 60_000 }
      const front = await h.listen(() => h.to(apps.port, { tunnel: "tcp" }), { limits })
      const client = await front.connect()
      client.send(h.handshake())
      await client.until("\r\n\r\n")
      const app = await apps.connection(0)
      h.passes(20_000)
      client.send(masked(0x82, "c"))
      await app.until("c")
      h.passes(29_000)
      app.send("a")
      expect(await client.until("a")).toBe("\x82\x01a")
      for (const ms of [29_000, 29_000]) {
        h.passes(ms)
        client.send(masked(0x89, ""))
        await client.until("\x8a\0")
      }
      expect(app.state).toBe("open")
      h.passes(2_000 + h.SCANS_MS)
      expect(await client.until("\x88\x02\x03\xf3")).toBe("\x88\x02\x03\xf3")
      await app.over()
      expect(app.state).toBe("reset")
    },
  },
  datagramIdleTimeoutMs: {
    "ends a UDP tunnel of which nothing comes or goes, and a pong does not renew it": async () => {
      const app = createSocket("udp4")
      await new Promise<void>((resolve) => app.bind(0, "127.0.0.1", resolve))
      try {
        const front = await h.listen(() => h.to(app.address().port, { tunnel: "udp" }), { limits: { tunnelPingMs: 0 } })
        const client = await front.connect()
        client.send(h.handshake())
        await client.until("\r\n\r\n")
        h.passes(119_000)
        const seen = once(app, "message")
        client.send(masked(0x82, "a"))
        expect(String((await seen)[0])).toBe("a")
        h.passes(119_000)
        client.send(masked(0x8a, ""))
        await h.settled(front)
        expect(client.state).toBe("open")
        h.passes(1_000 + h.SCANS_MS)
        expect(await client.until("\x88\x02\x03\xf3")).toBe("\x88\x02\x03\xf3")
        await h.eventually(() => front.events.some(({ type }) => type === "request"))
      } finally {
        app.close()
      }
    },
  },
  tunnelPingMs: {
    "pings the client of a tunnel that ends here when no byte came for so long": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port, { tunnel: "tcp" }))
      const client = await front.connect()
      client.send(h.handshake())
      await client.until("\r\n\r\n")
      for (let nth = 0; nth < 2; nth++) {
        h.passes(29_000)
        client.send(masked(0x8a, ""))
        await h.settled(front)
        h.passes(29_000)
        expect(client.text).toBe("")
        h.passes(1_000 + h.SCANS_MS)
        expect(await client.until("\x89\0")).toBe("\x89\0")
      }
    },
  },
  tunnelLingerMs: {
    "ends a tunnel of which one side has ended, and bytes of the other do not renew it": async () => {
      const { client, app, front } = await tunnel({})
      client.socket.end()
      await app.over()
      for (let round = 0; round < 2; round++) {
        h.passes(14_900)
        app.send("a")
        await client.until("a")
      }
      expect(client.state).toBe("open")
      h.passes(300 + h.SCANS_MS)
      await client.over()
      await h.eventually(() => front.events.length === 1)
    },
  },
  lingerMs: {
    "destroys a connection whose client does not end after the last response": async () => {
      const app = await h.respondingApp()
      const front = await h.listen(() => h.to(app.port))
      const client = await front.connect()
      client.send(h.get("/", "Connection: close\r\n"))
      await client.until("ok")
      // Our end has come; the client's has not, and what it sends is thrown away.
      await client.over()
      expect(client.state).toBe("ended")
      await h.settled(front)
      client.send(h.get())
      h.passes(1_900)
      await h.eventually(() => front.engine.connections() === 1)
      expect(client.state).toBe("ended")
      h.passes(200 + h.SCANS_MS)
      await h.eventually(() => front.engine.connections() === 0)
      expect(app.connections).toHaveLength(1)
    },
  },
  maxRequestHead: {
    "refuses a larger head with 431": async () => {
      const front = await h.listen(() => ({ status: 200, headers: [] }), { limits: { maxRequestHead: 1_000 } })
      const client = await front.connect()
      client.send(h.get("/", `X: ${"x".repeat(900)}\r\n`))
      expect(h.status(await client.until("\r\n\r\n"))).toBe(200)
      client.send(h.get("/", `X: ${"x".repeat(1_000)}\r\n`))
      expect(h.status(await client.until("\r\n\r\n"))).toBe(431)
    },
  },
  maxResponseHead: {
    "refuses a larger head with 502": async () => {
      const app = await h.respondingApp(`HTTP/1.1 204 N\r\nX: ${"x".repeat(1_000)}\r\n\r\n`)
      const front = await h.listen(() => h.to(app.port), { limits: { maxResponseHead: 1_000 } })
      const client = await front.connect()
      client.send(h.get())
      expect(h.status(await client.until("\r\n\r\n"))).toBe(502)
    },
  },
  maxFields: {
    "refuses more fields of a request with 431, of a response with 502": async () => {
      const app = await h.respondingApp(`HTTP/1.1 204 N\r\n${"X: 1\r\n".repeat(11)}\r\n`)
      const front = await h.listen(() => h.to(app.port), { limits: { maxFields: 10 } })
      const client = await front.connect()
      client.send(h.get("/", "X: 1\r\n".repeat(9)))
      expect(h.status(await client.until("\r\n\r\n"))).toBe(502)
      client.send(h.get("/", "X: 1\r\n".repeat(10)))
      expect(
        h.status(
          await client.when(({ text }) => text.includes("431")).then(({ text }) => text.slice(text.indexOf("HTTP"))),
        ),
      ).toBe(431)
    },
  },
  maxTarget: {
    "refuses a longer target with 414": async () => {
      const front = await h.listen(() => ({ status: 200, headers: [] }), { limits: { maxTarget: 10 } })
      const client = await front.connect()
      client.send(h.get("/23456789a"))
      expect(h.status(await client.until("\r\n\r\n"))).toBe(200)
      client.send(h.get("/23456789ab"))
      expect(h.status(await client.until("\r\n\r\n"))).toBe(414)
    },
  },
  maxChunkOverhead: {
    "refuses more chunk extensions": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port), { limits: { maxChunkOverhead: 100 } })
      const client = await front.connect()
      client.send(chunkedPost)
      const seen = await app.connection(0)
      await seen.until("\r\n\r\n")
      client.send(`1;${"e".repeat(40)}\r\nx\r\n`)
      await seen.until("x")
      client.send(`1;${"e".repeat(100)}\r\nx\r\n`)
      expect(h.status(await client.until("\r\n\r\n"))).toBe(400)
    },
  },
  maxInterim: {
    "passes so many interim responses on, and takes one more for a failure": async () => {
      const hints = (count: number) => "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(count)
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port), { limits: { maxInterim: 3 } })
      const client = await front.connect()
      client.send(h.get())
      const seen = await app.connection(0)
      await seen.until("\r\n\r\n")
      seen.send(`${hints(3)}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`)
      expect((await client.until("ok")).match(/^HTTP\/1\.1 \d{3}/gm)).toEqual([
        "HTTP/1.1 103",
        "HTTP/1.1 103",
        "HTTP/1.1 103",
        "HTTP/1.1 200",
      ])
      client.send(h.get())
      await seen.until("\r\n\r\n")
      seen.send(hints(4))
      expect(await client.until("UPSTREAM_FAILED")).toContain("HTTP/1.1 502 ")
    },
  },
  maxConnections: {
    "responds 503 to one connection more before it has said anything, and reports it": async () => {
      const front = await h.listen(() => ({ status: 204, headers: [] }), { limits: { maxConnections: 2 } })
      const [one, two] = [await front.connect(), await front.connect()]
      const third = await front.connect()
      expect(await third.until("OVERLOADED")).toMatch(/^HTTP\/1\.1 503 [^]*Retry-After: 1\r\n[^]*Connection: close\r\n/)
      await third.over()
      expect(front.events).toMatchObject([{ type: "error", tag: "Overloaded", count: 1 }])
      for (const client of [one, two]) {
        client.send(h.get())
        expect(h.status(await client.until("\r\n\r\n"))).toBe(204)
      }
      expect(front.engine.connections()).toBe(2)
    },
    "closes connections that are idle for half a second rather than refuse another client": async () => {
      const front = await h.listen(() => ({ status: 204, headers: [] }), { limits: { maxConnections: 2 } })
      const [silent, kept] = [await front.connect(), await front.connect()]
      kept.send(h.get())
      await kept.until("\r\n\r\n")
      h.passes(600)
      const third = await front.connect()
      await silent.over()
      third.send(h.get())
      expect(h.status(await third.until("\r\n\r\n"))).toBe(204)
      expect([kept.state, front.engine.connections(), front.events.filter(({ type }) => type === "error")]).toEqual([
        "open",
        2,
        [],
      ])
    },
    "closes no connection with a request under way": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port), { limits: { maxConnections: 1 } })
      const client = await front.connect()
      client.send(h.get())
      const seen = await app.connection(0)
      await seen.until("\r\n\r\n")
      h.passes(10_000)
      await (await front.connect()).until("OVERLOADED")
      seen.send("HTTP/1.1 204 N\r\n\r\n")
      expect(h.status(await client.until("\r\n\r\n"))).toBe(204)
    },
  },
  maxUpstreamConnections: {
    "closes free connections of other pools rather than refuse a request, and responds 503 if there is none":
      async () => {
        const app = await h.respondingApp()
        const stuck = await h.listenApp()
        const pools = [app, app, stuck, stuck].map(({ port }, at) => ({ pool: String(at), host: "127.0.0.1", port }))
        const front = await h.listen(({ head }) => h.to(0, { origin: pools[Number(head.target[1])]! }), {
          limits: { maxUpstreamConnections: 2 },
        })
        const client = await front.connect()
        for (const target of ["/0", "/1"]) {
          client.send(h.get(target))
          await client.until("ok")
        }
        const [one, two, three] = [await front.connect(), await front.connect(), await front.connect()]
        one.send(h.get("/2"))
        await stuck.connection(0)
        two.send(h.get("/3"))
        await stuck.connection(1)
        await Promise.all(app.connections.map((each) => each.over()))
        three.send(h.get("/0"))
        expect(await three.until("OVERLOADED")).toMatch(/^HTTP\/1\.1 503 /)
        stuck.connections[0]!.send("HTTP/1.1 204 N\r\nConnection: close\r\n\r\n")
        await one.until("\r\n\r\n")
        three.send(h.get("/0"))
        await three.until("ok")
      },
  },
  maxConnectionsPerPool: {
    "responds 503 to one request more at a time": async () => {
      const app = await h.listenApp()
      const front = await h.listen(() => h.to(app.port), { limits: { maxConnectionsPerPool: 1 } })
      const [one, two] = [await front.connect(), await front.connect()]
      one.send(h.get())
      const seen = await app.connection(0)
      await seen.until("\r\n\r\n")
      two.send(h.get())
      expect(await two.until("OVERLOADED")).toMatch(/^HTTP\/1\.1 503 /)
      seen.send("HTTP/1.1 204 N\r\n\r\n")
      expect(h.status(await one.until("\r\n\r\n"))).toBe(204)
    },
  },
  maxRequestsPerConnection: {
    "opens another connection to the app after so many requests": async () => {
      const app = await h.respondingApp()
      const front = await h.listen(() => h.to(app.port), { limits: { maxRequestsPerConnection: 3 } })
      const client = await front.connect()
      for (let request = 0; request < 7; request++) {
        client.send(h.get())
        await client.until("ok")
      }
      expect(app.connections).toHaveLength(3)
      await app.connections[0]!.over()
    },
  },
  maxStreams: {
    "refuses one more on a connection of HTTP/2, until one is over": async () => {
      const app = await h.listenApp()
      const front = await http2.listenHttp2(() => h.to(app.port), { limits: { maxStreams: 2 } })
      const client = (await front.raw()).start()
      for (const stream of [1, 3, 5]) client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, stream, raw.get())
      await client.frame(raw.RST_STREAM, 5)
      expect(client.resetCode(5)).toBe(REFUSED_STREAM)
      ;(await app.connection(0)).send("HTTP/1.1 204 No Content\r\n\r\n")
      await client.frame(raw.HEADERS)
      client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 7, raw.get())
      await app.connection(2)
    },
  },
  maxStreamResets: {
    "ends a connection of HTTP/2 whose client resets more, but for those that are complete": async () => {
      const app = await h.respondingApp()
      const hanging = new Promise<never>(() => {})
      const front = await http2.listenHttp2(({ head }) => (head.target === "/" ? h.to(app.port) : hanging), {
        limits: { maxStreamResets: 3 },
      })
      const client = (await front.raw()).start()
      const reset = (stream: number) =>
        client
          .send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, stream, raw.get("/hangs"))
          .send(raw.RST_STREAM, 0, stream, raw.uint32(CANCEL))
      for (const stream of [1, 3, 5]) reset(stream)
      client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 7, raw.get())
      await client.when(({ frames }) => frames.some((each) => each.stream === 7 && each.flags & raw.END_STREAM))
      reset(9)
      client.send(raw.PING, 0, 0, Buffer.alloc(8))
      await client.frame(raw.PING)
      reset(11)
      await client.over()
      expect(client.goAwayCode).toBe(ENHANCE_YOUR_CALM)
    },
  },
  unsentTimeoutMs: {
    "gives up complete responses of HTTP/2 that nobody takes, those beyond 256 KiB": async () => {
      const app = await h.listenApp((each) => {
        each.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        each.socket.write(Buffer.alloc(10_000))
      })
      const front = await http2.listenHttp2(() => h.to(app.port))
      const client = (await front.raw()).start([[4, 0]])
      for (let n = 0; n < 60; n++) client.send(raw.HEADERS, raw.END_STREAM | raw.END_HEADERS, 2 * n + 1, raw.get())
      await h.eventually(() => front.events.filter(({ type }) => type === "request").length === 60)
      h.passes(9_900)
      client.send(raw.PING, 0, 0, Buffer.alloc(8))
      await client.frame(raw.PING)
      const given = () => client.frames.filter(({ type }) => type === raw.RST_STREAM).length
      expect(given()).toBe(0)
      h.passes(100 + h.SCANS_MS)
      // 26 of 10 000 bytes are below: they have the time that an app may be slow.
      await client.when(() => given() === 34)
      h.passes(289_000)
      expect(given()).toBe(34)
    },
  },
  maxControlFrames: {
    "ends a connection of HTTP/2 whose client sends more, until some time has passed": async () => {
      const front = await http2.listenHttp2(() => h.to(1), { limits: { maxControlFrames: 3 } })
      const client = (await front.raw()).start()
      const ping = async (count: number) => {
        client.send(raw.PING, 0, 0, Buffer.alloc(8))
        await client.when(
          ({ frames, closed }) => closed || frames.filter(({ type }) => type === raw.PING).length === count,
        )
      }
      // The client's SETTINGS were one.
      await ping(1)
      await ping(2)
      h.passes(12_000)
      await ping(3)
      expect(client.closed).toBe(false)
      await ping(4)
      await client.over()
      expect(client.goAwayCode).toBe(ENHANCE_YOUR_CALM)
    },
  },
  maxPools: {
    "closes the free connections of the oldest pool when there is one more": async () => {
      const app = await h.respondingApp()
      const pools = ["a", "b", "c"].map((pool) => ({ pool, host: "127.0.0.1", port: app.port }))
      const front = await h.listen(({ head }) => h.to(app.port, { origin: pools[Number(head.target[1])]! }), {
        limits: { maxPools: 2 },
      })
      const client = await front.connect()
      for (const target of ["/0", "/1", "/0", "/1"]) {
        client.send(h.get(target))
        await client.until("ok")
      }
      expect(app.connections.map(({ state }) => state)).toEqual(["open", "open"])
      client.send(h.get("/2"))
      await client.until("ok")
      await app.connections[0]!.over()
      expect(app.connections.map(({ state }) => state).slice(1)).toEqual(["open", "open"])
    },
  },
}

const tunnel = async (limits: Partial<Limits>) => {
  const apps = await h.listenApp()
  const front = await h.listen((request) => h.asSent(request, apps.port), { limits })
  const client = await front.connect()
  client.send(h.handshake())
  const app = await apps.connection(0)
  await app.until("\r\n\r\n")
  app.send(h.switching)
  await client.until("\r\n\r\n")
  return { front, client, app }
}

describe.each(Object.entries(tests))("the limit %s", (_name, claims) => {
  it.each(Object.entries(claims))("%s", async (_claim, run) => {
    expect.hasAssertions()
    h.holdTime()
    await run()
  })
})

describe("limits", () => {
  const options = { onRequest: () => h.to(1), failure: () => ({ status: 500, headers: [] }) }

  it.each(Object.keys(defaultLimits))("%s is a number from 0 up", (name) => {
    for (const value of [-1, Number.NaN, Infinity, "1", null]) {
      expect(() => createEngine({ ...options, limits: { [name]: value } })).toThrow(`limits.${name} must be a number`)
    }
    expect(() => createEngine({ ...options, limits: { [name]: undefined } })).not.toThrow()
  })

  it("have the names that they have", () => {
    // @ts-expect-error there is no such limit
    expect(() => createEngine({ ...options, limits: { lingerMS: 1 } })).toThrow("did you mean limits.lingerMs?")
  })
})
