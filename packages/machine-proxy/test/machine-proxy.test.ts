import { once } from "node:events"
import * as http from "node:http"
import { generateTicketKeys, signTicket } from "@project-ingress/forward"
import type { VerificationKey } from "@project-ingress/forward"
import type { EngineEvent } from "@project-ingress/forward/sockets"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
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
  ticketFor,
} from "./harness.ts"
import { verification } from "./harness.ts"
import type { RawResponse, Running } from "./harness.ts"

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

const failureOf = (response: RawResponse) => ({
  status: response.status,
  code: response.headers["x-iterate-proxy-error"],
  stamp: response.headers["x-iterate-proxy-stamp"],
})
const stamped = (status: number, code: string) => ({ status, code, stamp: "unproven" })
const target = (port: number) => `x-iterate-proxy-target-host: ${port}__app.example.com`
const start = ["GET / HTTP/1.1", "Host: machine.example"]

describe("a ticket", () => {
  it("is required", async () => {
    const response = await raw(proxy.port, [...start, target(app.port)])
    expect(failureOf(response)).toEqual(stamped(401, "TICKET_REQUIRED"))
    expect(response.body).toMatch(/^401 TICKET_REQUIRED: .* Open the app by its public hostname\./)
    expect(response.headers).toMatchObject({ "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" })
  })

  it("is refused when it is forged, signed by another, altered or two", async () => {
    const other = await generateTicketKeys("k1")
    const ticket = ticketFor(`${app.port}__app.example.com`)
    const claims = { machine, port: app.port, name: "app.example.com" }
    for (const forged of ["x", "a.b.c", ticket.slice(0, -4), await signTicket(other.signing, claims)]) {
      const response = await raw(proxy.port, [...start, target(app.port), `x-iterate-proxy-ticket: ${forged}`])
      expect(failureOf(response)).toEqual(stamped(401, "TICKET_INVALID"))
    }
    const twice = await get(proxy.port, app.port, [`X-Iterate-Proxy-Ticket: ${ticket}`])
    expect(failureOf(twice)).toEqual(stamped(401, "TICKET_INVALID"))
  })

  it("for another machine is misdirected: 421, so that the router looks the route up again", async () => {
    const elsewhere = await signTicket(signing, { machine: "mach_b", port: app.port, name: "app.example.com" })
    const response = await raw(proxy.port, [...start, target(app.port), `x-iterate-proxy-ticket: ${elsewhere}`])
    expect(failureOf(response)).toEqual(stamped(421, "MACHINE_MISMATCH"))
  })

  it("is checked before the target: nobody learns about ports without one", async () => {
    const response = await raw(proxy.port, [...start, "x-iterate-proxy-target-host: evil.com:80"])
    expect(failureOf(response)).toEqual(stamped(401, "TICKET_REQUIRED"))
  })

  it("is verified by the keys that are current", async () => {
    const next = await generateTicketKeys("k2")
    let keys: readonly VerificationKey[] = [verification]
    await using rotating = await startProxy({ keys: () => keys })
    expect((await get(rotating.port, app.port)).status).toBe(200)
    expect((await get(rotating.port, app.port)).status).toBe(200)
    keys = [next.verification]
    expect((await get(rotating.port, app.port)).status).toBe(401)
    const claims = { machine, port: app.port, name: "app.example.com" }
    const rotated = `x-iterate-proxy-ticket: ${await signTicket(next.signing, claims)}`
    expect((await raw(rotating.port, [...start, target(app.port), rotated])).status).toBe(200)
    keys = []
    expect((await raw(rotating.port, [...start, target(app.port), rotated])).status).toBe(401)
  })

  it('is not needed when the keys are "insecure", and no cache keeps the response then either', async () => {
    await using open = await startProxy({ keys: "insecure" })
    const { status, headers } = await raw(open.port, [...start, target(app.port)])
    expect([status, headers["cache-control"]]).toEqual([200, "private, no-store"])
  })
})

describe("a failure", () => {
  it("is a page for a navigation, stamped like any response, JSON for a program and a line of text for curl", async () => {
    const closed = await closedPort()
    const ask = (field: string) => get(proxy.port, closed, [field])
    for (const field of ["Accept: text/html,*/*", "Sec-Fetch-Mode: navigate"]) {
      const page = await ask(field)
      expect([page.status, page.headers["content-type"]]).toEqual([502, "text/html; charset=utf-8"])
      expect(page.headers).toMatchObject({
        "x-iterate-proxy-stamp": "unproven",
        "x-iterate-proxy-error": "PORT_CLOSED",
      })
      expect(page.body).toContain(`<h1>Port ${closed} is not listening yet.</h1>`)
    }
    for (const field of ["Accept: application/json", "Accept: text/html\r\nSec-Fetch-Mode: cors"]) {
      const data = await ask(field)
      expect(failureOf(data)).toEqual(stamped(502, "PORT_CLOSED"))
      expect(data.headers["content-type"]).toBe("application/json")
      expect(JSON.parse(data.body)).toMatchObject({
        error: "PORT_CLOSED",
        message: expect.stringContaining(`Port ${closed} is not listening yet.`),
        retryable: true,
      })
    }
    const line = await ask("Accept: */*")
    expect(failureOf(line)).toEqual(stamped(502, "PORT_CLOSED"))
    expect(line.body).toMatch(new RegExp(`^502 PORT_CLOSED: Port ${closed} is not listening yet\\. .*\\n$`))
  })

  it("names the port that it is about, with the ticket's target only", async () => {
    await using closing = await startProxy({ ports: { allow: [app.port] } })
    const closed = await closedPort()
    expect((await get(closing.port, closed)).body).toMatch(`403 PORT_FORBIDDEN: Port ${closed} is not open`)
    expect((await raw(closing.port, [...start, target(closed)])).body).not.toContain(String(closed))
  })

  it("links to the pages about codes that its platform has", async () => {
    await using proxied = await startProxy({ errorDocs: "https://docs.example.com/{code}" })
    expect((await get(proxied.port, await closedPort())).body).toContain(", https://docs.example.com/PORT_CLOSED)")
  })

  it("has no body for HEAD, and says how long it would be", async () => {
    const closed = await closedPort()
    const ticket = ticketFor(`${closed}__app.example.com`)
    const head = [`HEAD / HTTP/1.1`, ...start.slice(1), `x-iterate-proxy-ticket: ${ticket}`]
    const response = await raw(proxy.port, [...head, target(closed)])
    expect(failureOf(response)).toEqual(stamped(502, "PORT_CLOSED"))
    expect([response.body, Number(response.headers["content-length"]) > 80]).toEqual(["", true])
  })
})

describe("the id of a request", () => {
  const own = /^[a-z0-9]{10}-[a-z0-9]+$/
  const idOf = ({ headers, body }: RawResponse): string => {
    const id = headers["x-iterate-proxy-request-id"]!
    expect([`(request ${id}, `, `"requestId":"${id}"`].some((shown) => body.includes(shown))).toBe(true)
    return id
  }
  const withId = (id: string) => `x-iterate-proxy-request-id: ${id}`

  it("is the router's in every failure of a request with a valid ticket", async () => {
    await using closing = await startProxy({ ports: { allow: [app.port] } })
    const closed = await closedPort()
    expect(idOf(await get(proxy.port, closed, [withId("k3v9x2m1qa-1f")]))).toBe("k3v9x2m1qa-1f")
    expect(idOf(await get(closing.port, closed, [withId("k3v9x2m1qa-1g")]))).toBe("k3v9x2m1qa-1g")
    expect(idOf(await get(proxy.port, undefined, [withId("k3v9x2m1qa-1h")]))).toBe("k3v9x2m1qa-1h")
  })

  it("is the proxy's own without a valid ticket, without keys, without one and in place of a hostile one", async () => {
    await using open = await startProxy({ keys: "insecure" })
    const closed = await closedPort()
    const ids = [
      idOf(await raw(proxy.port, [...start, target(closed), withId("forged-1")])),
      idOf(await get(proxy.port, closed, ["x-iterate-proxy-ticket: another", withId("forged-1")])),
      idOf(await raw(open.port, [...start, target(closed), withId("forged-1")])),
      idOf(await get(proxy.port, closed)),
      idOf(await get(proxy.port, closed, [withId("<b>")])),
      idOf(await get(proxy.port, closed, [withId("x".repeat(65))])),
      idOf(await raw(proxy.port, ["GET / HTTP/1.1", "No Host"])),
    ]
    for (const id of ids) expect(id).toMatch(own)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it("reaches no app, and no client gets an app's", async () => {
    const response = await get(proxy.port, app.port, [withId("k3v9x2m1qa-1f")])
    expect(response.status).toBe(200)
    expect(receivedBy(response)).not.toHaveProperty("x-iterate-proxy-request-id")
    expect(response.headers).not.toHaveProperty("x-iterate-proxy-request-id")
  })
})

describe("the target", () => {
  it.each(["5173__app.example.com:80", "evil.com:80", "localhost:80@evil.com", "", "99999__x", "[::1]:3000", "a, b"])(
    "is refused as %j",
    async (value) => {
      expect(failureOf(await get(proxy.port, value))).toEqual(stamped(400, "invalid_proxy_target_host"))
    },
  )

  it("is required, exactly once", async () => {
    expect(failureOf(await get(proxy.port, undefined))).toEqual(stamped(400, "missing_proxy_target_host"))
    expect(failureOf(await get(proxy.port, app.port, [target(app.port)]))).toEqual(
      stamped(400, "invalid_proxy_target_host"),
    )
  })

  it("is reached in every form, in upper case too", async () => {
    await using byDefault = await startProxy({ defaultPort: app.port })
    for (const value of [`${app.port}__a`, `localhost:${app.port}`, `LOCALHOST:${app.port}`, `127.0.0.1:${app.port}`]) {
      expect((await get(proxy.port, value)).status).toBe(200)
    }
    expect((await get(byDefault.port, "app.example.com", [], "/", app.port)).status).toBe(200)
  })

  it("is the app of its own port, whose connection is reused, never another one's", async () => {
    await using reusing = await startProxy({ limits: { poolIdleTimeoutMs: 600_000 } })
    let connections = 0
    const servers = ["first", "second"].map((name) =>
      http
        .createServer({ keepAliveTimeout: 0 }, (_request, response) => response.end(name))
        .on("connection", () => connections++),
    )
    const [first = 0, second = 0] = await Promise.all(servers.map((server) => listen(server)))
    for (let round = 0; round < 3; round++) {
      expect((await get(reusing.port, first)).body).toContain("first")
      expect((await get(reusing.port, second)).body).toContain("second")
    }
    expect(connections).toBe(2)
    for (const server of servers) {
      server.closeAllConnections()
      server.close()
    }
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

  it("with no listener is an immediate 502", async () => {
    // Not by the connect time-out, which would outlast this test.
    await using patient = await startProxy({ limits: { connectTimeoutMs: 600_000 } })
    expect(failureOf(await get(patient.port, await closedPort()))).toEqual(stamped(502, "PORT_CLOSED"))
  })

  it("is never the proxy itself, by port or through an app", async () => {
    for (const value of [`${proxy.port}__a`, `localhost:${proxy.port}`]) {
      expect(failureOf(await get(proxy.port, value))).toEqual(stamped(508, "LOOP_DETECTED"))
    }
    // What an app that forwards back sends: the header that only apps get, no ticket.
    const back = await raw(proxy.port, [...start, target(app.port), "X-Iterate-Proxy-Via: machine.example"])
    expect(failureOf(back)).toEqual(stamped(508, "LOOP_DETECTED"))
  })

  it("follows deny and allow in every form", async () => {
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

  it("sees the public name when that is preserved", async () => {
    await using preserving = await startProxy({ host: "preserve" })
    expect(receivedBy(await get(preserving.port, app.port))["host"]).toBe("app.example.com")
    const withPort = await get(preserving.port, app.port, [`X-Forwarded-Host: ${app.port}__app.example.com:8787`])
    expect(receivedBy(withPort)["host"]).toBe(`${app.port}__app.example.com:8787`)
    const hostile = await get(preserving.port, app.port, ["X-Forwarded-Host: a/b?c"])
    expect(receivedBy(hostile)["host"]).toBe("app.example.com")
    expect(receivedBy(await get(preserving.port, `localhost:${app.port}`))["host"]).toBe(`localhost:${app.port}`)
  })

  it("gets what the router reports about the client", async () => {
    const reported = ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "Forwarded: for=192.0.2.1"]
    expect(receivedBy(await get(proxy.port, app.port, reported))).toMatchObject({
      "x-forwarded-for": "192.0.2.1",
      "x-forwarded-proto": "https",
      forwarded: "for=192.0.2.1",
    })
  })

  it("gets nothing that a client without a ticket claims about itself", async () => {
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
      "x-forwarded-port": "80",
      forwarded: "for=127.0.0.1;host=app.example.com;proto=http",
    })
    for (const name of ["x-real-ip", "x_forwarded_for", "authorization", "x-iterate-user"]) {
      expect(received).not.toHaveProperty(name)
    }
    const local = receivedBy(await get(open.port, `localhost:${app.port}`, spoofed))
    expect(local["x-forwarded-host"]).toBe("machine.example")
  })

  it("never gets a client's X-Forwarded-Host as Host when there are no keys", async () => {
    await using open = await startProxy({ keys: "insecure", host: "preserve" })
    const spoofed = ["X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"]
    const named = receivedBy(await get(open.port, app.port, spoofed))
    expect(named).toMatchObject({ host: "app.example.com", "x-forwarded-host": "app.example.com" })
    const local = receivedBy(await get(open.port, `localhost:${app.port}`, spoofed))
    expect(local).toMatchObject({ host: `localhost:${app.port}`, "x-forwarded-host": "machine.example" })
    expect(JSON.stringify([named, local])).not.toContain("evil.example")
  })

  it("gets the proxy's headers whatever Connection names, and cannot forge them in its response", async () => {
    const response = await get(proxy.port, app.port, [
      "Connection: x-iterate-proxy-ticket, x-iterate-proxy-target-host, x-iterate-proxy-via",
    ])
    expect(failureOf(response)).toEqual({ status: 200, code: undefined, stamp: "unproven" })
    expect(receivedBy(response)["x-iterate-proxy-via"]).toBe("machine.example")
  })

  it("gets chunked bodies unchanged and may respond with chunks", async () => {
    const head = [
      "POST /echo HTTP/1.1",
      "Host: machine.example",
      `x-iterate-proxy-ticket: ${ticketFor(`${app.port}__app.example.com`)}`,
      target(app.port),
      "Transfer-Encoding: chunked",
    ]
    const response = await raw(proxy.port, head, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    expect(response.status).toBe(200)
    expect(response.headers["x-iterate-proxy-stamp"]).toBe("unproven")
    expect(response.headers["transfer-encoding"]).toBe("chunked")
    expect(dechunked(response.body)).toBe("hello world")
  })

  it("is not reached by a head that is too large", async () => {
    const response = await get(proxy.port, app.port, [`x: ${"a".repeat(70_000)}`])
    expect(failureOf(response)).toEqual(stamped(431, "REQUEST_HEAD_TOO_LARGE"))
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
      "x-iterate-proxy-ticket": ticketFor(`${port}__app.example.com`),
      "x-iterate-proxy-target-host": `${port}__app.example.com`,
    })
    const opened = once(socket, "open")
    const [response] = (await once(socket, "upgrade")) as [http.IncomingMessage]
    expect(response.headers["x-iterate-proxy-stamp"]).toBe("unproven")
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

  it("opens although onUpgrade throws, which is called for a 101 only", async () => {
    let calls = 0
    const onUpgrade = () => {
      calls++
      throw new Error("a counter that fails")
    }
    await using counting = await startProxy({ onUpgrade })
    const headers = {
      "x-iterate-proxy-ticket": ticketFor(`localhost:${port}`),
      "x-iterate-proxy-target-host": `localhost:${port}`,
    }
    const socket = new WebSocket(`ws://127.0.0.1:${counting.port}/ws`, { headers })
    await once(socket, "open")
    socket.close()
    await once(socket, "close")
    expect(calls).toBe(1)
    const refused = new WebSocket(`ws://127.0.0.1:${counting.port}/ws`, {
      headers: { ...headers, "x-iterate-proxy-target-host": `localhost:${app.port}` },
    })
    refused.on("error", () => undefined)
    await once(refused, "unexpected-response")
    refused.terminate()
    expect((await get(counting.port, app.port)).status).toBe(200)
    expect(calls).toBe(1)
  })

  it.each([
    ["no ticket", { "x-iterate-proxy-target-host": "3000__a" }, 401],
    [
      "a foreign address",
      { "x-iterate-proxy-ticket": ticketFor("x"), "x-iterate-proxy-target-host": "10.0.0.1:80" },
      400,
    ],
    ["a denied port", { "x-iterate-proxy-ticket": ticketFor("22__a"), "x-iterate-proxy-target-host": "22__a" }, 403],
  ])("is refused for %s by the same checks", async (_, headers, status) => {
    const socket = open(headers)
    socket.on("error", () => {})
    const [, response] = (await once(socket, "unexpected-response")) as [unknown, http.IncomingMessage]
    expect(response.statusCode).toBe(status)
    expect(response.headers["x-iterate-proxy-stamp"]).toBe("unproven")
    socket.terminate()
  })
})

describe("the health path", () => {
  const health = "GET /__ingress/health HTTP/1.1"
  it("responds without a ticket, stamped", async () => {
    const response = await raw(proxy.port, [health, "Host: x"])
    expect(failureOf(response)).toEqual({ status: 200, code: undefined, stamp: "unproven" })
    expect(response.body).toContain('{"status":"ok"}')
  })
  it("hides no path of an app", async () => {
    const response = await get(proxy.port, app.port, [], "/__ingress/health")
    expect(response.body).toContain('"url":"/__ingress/health"')
    expect(failureOf(await raw(proxy.port, [health, "Host: x", target(app.port)])).status).toBe(401)
  })
})

describe("a request", () => {
  it("is reported once when it is over, with its code", async () => {
    const seen: EngineEvent[] = []
    await using reporting = await startProxy({ onEvent: (event) => seen.push(event) })
    await get(reporting.port, app.port, [], "/a?b=c")
    await get(reporting.port, "evil.com:80")
    await expect.poll(() => seen.length).toBe(2)
    expect(seen[0]).toMatchObject({ type: "request", method: "GET", target: "/a?b=c", status: 200, complete: true })
    expect(seen[1]).toMatchObject({ type: "request", status: 400, code: "invalid_proxy_target_host" })
  })
})

it("has no internal error in any of these tests", () => {
  expect(events.length).toBeGreaterThan(20)
  expect(events.filter((event) => event.type === "error" && event.tag === "ProxyFailed")).toEqual([])
})
