import { once } from "node:events"
import * as http from "node:http"
import * as net from "node:net"
import { generateTicketKeys, signTicket } from "@project-ingress/forward"
import type { VerificationKey } from "@project-ingress/forward"
import type { EngineEvent } from "@project-ingress/forward/sockets"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import { createMachineProxy } from "../src/machine-proxy.ts"
import {
  closedPort,
  dechunked,
  get,
  listen,
  machine,
  raw,
  receivedBy,
  signing,
  startApp,
  startProxy,
  ticket,
} from "./harness.ts"
import { verification } from "./harness.ts"
import type { RawAnswer, Running } from "./harness.ts"

const events: EngineEvent[] = []
let app: Running
let proxy: Running

beforeAll(async () => {
  app = await startApp()
  proxy = await startProxy({ onEvent: (event) => events.push(event) })
})
afterAll(async () => {
  await proxy[Symbol.asyncDispose]()
  await app[Symbol.asyncDispose]()
})

const failureOf = (answer: RawAnswer) => ({
  status: answer.status,
  code: answer.headers["x-iterate-proxy-error"],
  stamp: answer.headers["x-iterate-proxy-stamp"],
})
const stamped = (status: number, code: string) => ({ status, code, stamp: "1" })
const target = (port: number) => `x-iterate-proxy-target-host: ${port}__app.example.com`
const start = ["GET / HTTP/1.1", "Host: machine.example"]

describe("a ticket", () => {
  it("is needed", async () => {
    const answer = await raw(proxy.port, [...start, target(app.port)])
    expect(failureOf(answer)).toEqual(stamped(401, "TICKET_REQUIRED"))
    expect(answer.body).toContain('{"error":"TICKET_REQUIRED"}')
    expect(answer.headers).toMatchObject({ "content-type": "application/json", "cache-control": "no-store" })
  })

  it("is refused when it is forged, signed by another, altered or two", async () => {
    const other = await generateTicketKeys("k1")
    for (const forged of ["x", "a.b.c", ticket.slice(0, -4), await signTicket(other.signing, { machine })]) {
      const answer = await raw(proxy.port, [...start, target(app.port), `x-iterate-proxy-ticket: ${forged}`])
      expect(failureOf(answer)).toEqual(stamped(401, "TICKET_INVALID"))
    }
    const twice = await get(proxy.port, app.port, [`X-Iterate-Proxy-Ticket: ${ticket}`])
    expect(failureOf(twice)).toEqual(stamped(401, "TICKET_INVALID"))
  })

  it("for another machine is misdirected: 421, so that the router looks again", async () => {
    const elsewhere = await signTicket(signing, { machine: "mach_b" })
    const answer = await raw(proxy.port, [...start, target(app.port), `x-iterate-proxy-ticket: ${elsewhere}`])
    expect(failureOf(answer)).toEqual(stamped(421, "MACHINE_MISMATCH"))
  })

  it("comes before the target: nobody learns about ports without one", async () => {
    const answer = await raw(proxy.port, [...start, "x-iterate-proxy-target-host: evil.com:80"])
    expect(failureOf(answer)).toEqual(stamped(401, "TICKET_REQUIRED"))
  })

  it("is verified by whatever keys are current", async () => {
    const next = await generateTicketKeys("k2")
    let keys: readonly VerificationKey[] = [verification]
    await using rotating = await startProxy({ keys: () => keys })
    expect((await get(rotating.port, app.port)).status).toBe(200)
    expect((await get(rotating.port, app.port)).status).toBe(200)
    keys = [next.verification]
    expect((await get(rotating.port, app.port)).status).toBe(401)
    const rotated = `x-iterate-proxy-ticket: ${await signTicket(next.signing, { machine })}`
    expect((await raw(rotating.port, [...start, target(app.port), rotated])).status).toBe(200)
    keys = []
    expect((await raw(rotating.port, [...start, target(app.port), rotated])).status).toBe(401)
  })

  it("is not needed when the machine is declared insecure", async () => {
    await using open = await startProxy({ keys: "insecure" })
    expect((await raw(open.port, [...start, target(app.port)])).status).toBe(200)
  })
})

describe("a failure", () => {
  it("is a page for a person who navigates, stamped like any answer, and data for everybody else", async () => {
    const closed = await closedPort()
    const ask = (field: string) => get(proxy.port, closed, [field])
    for (const field of ["Accept: text/html,*/*", "Sec-Fetch-Mode: navigate"]) {
      const page = await ask(field)
      expect([page.status, page.headers["content-type"]]).toEqual([502, "text/html; charset=utf-8"])
      expect(page.headers).toMatchObject({ "x-iterate-proxy-stamp": "1", "x-iterate-proxy-error": "PORT_CLOSED" })
      expect(page.body).toContain("<h1>Nothing is listening on this port.</h1>")
    }
    for (const field of ["Accept: */*", "Accept: text/html\r\nSec-Fetch-Mode: cors"]) {
      expect(failureOf(await ask(field))).toEqual(stamped(502, "PORT_CLOSED"))
    }
  })
})

describe("the target", () => {
  it.each(["5173__app.example.com:80", "evil.com:80", "localhost:80@evil.com", "", "99999__x", "[::1]:3000", "a, b"])(
    "is refused as %j",
    async (value) => {
      expect(failureOf(await get(proxy.port, value))).toEqual(stamped(400, "invalid_proxy_target_host"))
    },
  )

  it("is needed, once", async () => {
    expect(failureOf(await get(proxy.port, undefined))).toEqual(stamped(400, "missing_proxy_target_host"))
    expect(failureOf(await get(proxy.port, app.port, [target(app.port)]))).toEqual(
      stamped(400, "invalid_proxy_target_host"),
    )
  })

  it("is reached in every form, upper case too", async () => {
    await using byDefault = await startProxy({ defaultPort: app.port })
    for (const value of [`${app.port}__a`, `localhost:${app.port}`, `LOCALHOST:${app.port}`, `127.0.0.1:${app.port}`]) {
      expect((await get(proxy.port, value)).status).toBe(200)
    }
    expect((await get(byDefault.port, "app.example.com")).status).toBe(200)
  })

  it("is reached on ::1 as well as on 127.0.0.1", async (ctx) => {
    const six = await startApp("::1").catch(() => ctx.skip("no IPv6 loopback here"))
    await using _ = six
    expect((await get(proxy.port, six.port)).status).toBe(200)
  })

  it("is reached on the one loopback address given, on no other", async (ctx) => {
    const own = await startApp("127.0.0.2").catch(() => ctx.skip("no 127.0.0.2 here"))
    await using _ = own
    const only = http.createServer((_request, response) => response.end("127.0.0.1"))
    only.listen(own.port, "127.0.0.1")
    await once(only, "listening")
    await using second = await startProxy({ loopback: "127.0.0.2" })
    await using third = await startProxy({ loopback: "127.0.0.3" })
    expect(receivedBy(await get(second.port, own.port))["host"]).toBe(`localhost:${own.port}`)
    expect(failureOf(await get(third.port, own.port))).toEqual(stamped(502, "PORT_CLOSED"))
    expect((await get(proxy.port, own.port)).body).toContain("127.0.0.1")
    only.close()
  })

  it("is reached on ::1 alone", async (ctx) => {
    const six = await startApp("::1").catch(() => ctx.skip("no IPv6 loopback here"))
    await using _ = six
    await using alone = await startProxy({ loopback: "::1" })
    expect((await get(alone.port, six.port)).status).toBe(200)
    expect(failureOf(await get(alone.port, app.port))).toEqual(stamped(502, "PORT_CLOSED"))
  })

  it("with nothing behind it is an instant 502", async () => {
    const started = performance.now()
    expect(failureOf(await get(proxy.port, await closedPort()))).toEqual(stamped(502, "PORT_CLOSED"))
    expect(performance.now() - started).toBeLessThan(1_000)
  })

  it("is never the proxy itself, by port or by way of an app", async () => {
    for (const value of [`${proxy.port}__a`, `localhost:${proxy.port}`]) {
      expect(failureOf(await get(proxy.port, value))).toEqual(stamped(508, "LOOP_DETECTED"))
    }
    // What an app that proxies back sends: the header that only apps are given, no ticket.
    const back = await raw(proxy.port, [...start, target(app.port), "X-Iterate-Proxy-Via: machine.example"])
    expect(failureOf(back)).toEqual(stamped(508, "LOOP_DETECTED"))
  })

  it("obeys deny and allow in every form", async () => {
    await using guarded = await startProxy({ ports: { allow: [app.port, [1, 100]], deny: [80] } })
    expect((await get(guarded.port, app.port)).status).toBe(200)
    for (const value of ["80__a", "localhost:80", "127.0.0.1:80", "101__a", "a.example"]) {
      expect(failureOf(await get(guarded.port, value))).toEqual(stamped(403, "PORT_FORBIDDEN"))
    }
    for (const port of [22, 25]) {
      expect(failureOf(await get(proxy.port, port))).toEqual(stamped(403, "PORT_FORBIDDEN"))
    }
  })
})

describe("the app", () => {
  it("sees neither ticket nor target, its own Host, and one Via", async () => {
    const received = receivedBy(
      await get(proxy.port, app.port, ["X-Forwarded-Host: app.example.com", "x-iterate-proxy-fwd-x-eaten: back"]),
    )
    expect(received).toMatchObject({
      host: `localhost:${app.port}`,
      via: "1.1 ingress-machine",
      "x-iterate-proxy-via": "machine.example",
      "x-forwarded-host": "app.example.com",
      "x-eaten": "back",
    })
    expect(Object.keys(received).filter((name) => name.startsWith("x-iterate-"))).toEqual(["x-iterate-proxy-via"])
  })

  it("sees the public name when it is preserved", async () => {
    await using preserving = await startProxy({ host: "preserve" })
    expect(receivedBy(await get(preserving.port, app.port))["host"]).toBe("app.example.com")
    const withPort = await get(preserving.port, app.port, [`X-Forwarded-Host: ${app.port}__app.example.com:8787`])
    expect(receivedBy(withPort)["host"]).toBe(`${app.port}__app.example.com:8787`)
    const hostile = await get(preserving.port, app.port, ["X-Forwarded-Host: a/b?c"])
    expect(receivedBy(hostile)["host"]).toBe("app.example.com")
    expect(receivedBy(await get(preserving.port, `localhost:${app.port}`))["host"]).toBe(`localhost:${app.port}`)
  })

  it("keeps what the router said of the client", async () => {
    const said = ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "Forwarded: for=192.0.2.1"]
    expect(receivedBy(await get(proxy.port, app.port, said))).toMatchObject({
      "x-forwarded-for": "192.0.2.1",
      "x-forwarded-proto": "https",
      forwarded: "for=192.0.2.1",
    })
  })

  it("is told the truth about a client that proved nothing", async () => {
    await using open = await startProxy({ keys: "insecure" })
    const spoofed = [
      "X-Forwarded-For: 192.0.2.1",
      "X-Forwarded-Host: evil.example",
      "X-Forwarded-Proto: https",
      "Forwarded: for=192.0.2.1",
      "X-Real-IP: 192.0.2.1",
      "X_Forwarded_For: 192.0.2.1",
      "x-iterate-proxy-fwd-authorization: Bearer forged",
      "x-iterate-user: admin",
    ]
    const received = receivedBy(await get(open.port, app.port, spoofed))
    expect(received).toMatchObject({
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-host": "app.example.com",
      "x-forwarded-proto": "http",
      forwarded: 'for=127.0.0.1;host="app.example.com";proto=http',
    })
    for (const name of ["x-real-ip", "x_forwarded_for", "authorization", "x-iterate-user"]) {
      expect(received).not.toHaveProperty(name)
    }
    const local = receivedBy(await get(open.port, `localhost:${app.port}`, spoofed))
    expect(local["x-forwarded-host"]).toBe("machine.example")
  })

  it("cannot delete the proxy's headers through Connection, nor speak in its name", async () => {
    const answer = await get(proxy.port, app.port, [
      "Connection: x-iterate-proxy-ticket, x-iterate-proxy-target-host, x-iterate-proxy-via",
    ])
    expect(failureOf(answer)).toEqual({ status: 200, code: undefined, stamp: "1" })
    expect(receivedBy(answer)["x-iterate-proxy-via"]).toBe("machine.example")
  })

  it("gets chunked bodies as they were and answers in kind", async () => {
    const head = [
      "POST /echo HTTP/1.1",
      "Host: machine.example",
      `x-iterate-proxy-ticket: ${ticket}`,
      target(app.port),
      "Transfer-Encoding: chunked",
    ]
    const answer = await raw(proxy.port, head, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    expect(answer.status).toBe(200)
    expect(answer.headers["x-iterate-proxy-stamp"]).toBe("1")
    expect(answer.headers["transfer-encoding"]).toBe("chunked")
    expect(dechunked(answer.body)).toBe("hello world")
  })

  it("is not reached by a head that is too large", async () => {
    const answer = await get(proxy.port, app.port, [`x: ${"a".repeat(70_000)}`])
    expect(failureOf(answer)).toEqual(stamped(431, "REQUEST_HEAD_TOO_LARGE"))
    expect((await get(proxy.port, app.port)).status).toBe(200)
  })
})

const open = (headers: Record<string, string>) => new WebSocket(`ws://127.0.0.1:${proxy.port}/ws`, { headers })

describe("a WebSocket", () => {
  const sockets = new WebSocketServer({ noServer: true })
  const received: http.IncomingHttpHeaders[] = []
  const server = http.createServer().on("upgrade", (request, socket, head) => {
    received.push(request.headers)
    sockets.handleUpgrade(request, socket, head, (ws) => {
      ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }))
    })
  })
  let port = 0
  beforeAll(async () => {
    port = await listen(server)
  })
  afterAll(async () => {
    server.closeAllConnections()
    server.close()
  })
  it("passes both ways, with the stamp on its 101", async () => {
    const socket = open({
      "x-iterate-proxy-ticket": ticket,
      "x-iterate-proxy-target-host": `${port}__app.example.com`,
    })
    const opened = once(socket, "open")
    const [response] = (await once(socket, "upgrade")) as [http.IncomingMessage]
    expect(response.headers["x-iterate-proxy-stamp"]).toBe("1")
    await opened
    for (const size of [5, 70_000, 1_000_000]) {
      socket.send("x".repeat(size))
      const [data] = (await once(socket, "message")) as [Buffer]
      expect(data.length).toBe(size)
    }
    socket.close(4001, "done")
    const [code] = (await once(socket, "close")) as [number]
    expect(code).toBe(4001)
    expect(received.at(-1)).toMatchObject({
      host: `localhost:${port}`,
      "x-iterate-proxy-via": `127.0.0.1:${proxy.port}`,
    })
    expect(received.at(-1)).not.toHaveProperty("x-iterate-proxy-ticket")
  })

  it.each([
    ["no ticket", { "x-iterate-proxy-target-host": "3000__a" }, 401],
    ["a foreign address", { "x-iterate-proxy-ticket": ticket, "x-iterate-proxy-target-host": "10.0.0.1:80" }, 400],
    ["a denied port", { "x-iterate-proxy-ticket": ticket, "x-iterate-proxy-target-host": "22__a" }, 403],
  ])("is refused with %s by the same checks", async (_, headers, status) => {
    const socket = open(headers)
    socket.on("error", () => {})
    const [, response] = (await once(socket, "unexpected-response")) as [unknown, http.IncomingMessage]
    expect(response.statusCode).toBe(status)
    expect(response.headers["x-iterate-proxy-stamp"]).toBe("1")
    socket.terminate()
  })
})

describe("the health path", () => {
  const health = "GET /__ingress/health HTTP/1.1"
  it("answers without ticket, stamped", async () => {
    const answer = await raw(proxy.port, [health, "Host: x"])
    expect(failureOf(answer)).toEqual({ status: 200, code: undefined, stamp: "1" })
    expect(answer.body).toContain('{"status":"ok"}')
  })
  it("hides no path of an app", async () => {
    const answer = await get(proxy.port, app.port, [], "/__ingress/health")
    expect(answer.body).toContain('"url":"/__ingress/health"')
    expect(failureOf(await raw(proxy.port, [health, "Host: x", target(app.port)])).status).toBe(401)
  })
})

describe("an exchange", () => {
  it("is told once, with its code", async () => {
    const seen: EngineEvent[] = []
    await using told = await startProxy({ onEvent: (event) => seen.push(event) })
    await get(told.port, app.port, [], "/a?b=c")
    await get(told.port, "evil.com:80")
    await expect.poll(() => seen.length).toBe(2)
    expect(seen[0]).toMatchObject({ type: "request", method: "GET", target: "/a?b=c", status: 200, complete: true })
    expect(seen[1]).toMatchObject({ type: "request", status: 400, code: "invalid_proxy_target_host" })
  })
})

const make = (options: object) => () => createMachineProxy({ machine, keys: [verification], ...options })

it("fails nowhere by itself", () => {
  expect(events.length).toBeGreaterThan(20)
  expect(events.filter((event) => event.type === "error" && event.tag === "ProxyFailed")).toEqual([])
})

describe("options", () => {
  it.each([
    ["machine", { machine: "" }],
    ["keys", { keys: [] }],
    ["keys", { keys: undefined }],
    ["keys", { keys: "open" }],
    ["keys[0]", { keys: [{ kid: "x" }] }],
    ["keys[0]", { keys: [signing] }],
    ["ports.allow", { ports: { allow: [[5, 4]] } }],
    ["ports.deny", { ports: { deny: [0] } }],
    ["host", { host: "public" }],
    ["defaultPort", { defaultPort: 0 }],
    ["loopback", { loopback: "10.0.0.1" }],
    ["loopback", { loopback: "loopback" }],
    ["loopback", { loopback: null }],
    ["defaultPort", { defaultPort: "3000" }],
  ])("are refused at creation: %s", (field, options) => {
    expect(make(options)).toThrow(TypeError)
    expect(make(options)).toThrow(field)
  })
  it("are taken by a listener of the caller's", async () => {
    const server = net.createServer(make({})().connection)
    const port = await listen(server)
    expect((await raw(port, ["GET /__ingress/health HTTP/1.1", "Host: x"])).status).toBe(200)
    server.close()
  })
})
