import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { createServer as createHttp2Server } from "node:http2"
import type { IncomingMessage } from "node:http"
import { createServer as createSecureServer } from "node:https"
import { createServer as createTcpServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { connect as connectSecurely } from "node:tls"
import type { EngineEvent } from "@project-ingress/forward/sockets"
import { describe, expect, it } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import { mount } from "../../src/hosts/node.ts"
import { fake, setup } from "../fakes.ts"
import { closing, custom, get, Line, own, post, project, slowly, start, upgrade } from "./world.ts"

const read = (name: string) => readFileSync(new URL(`../../../forward/test/fixtures/${name}`, import.meta.url))
const certificate = { key: read("localhost.key"), cert: read("localhost.crt") }

const open = async (port: number, host: string): Promise<WebSocket> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`, ["echo"], { headers: { host } })
  closing.push(() => socket.terminate())
  await once(socket, "open")
  return socket
}
const echo = async (socket: WebSocket, text: string): Promise<string> => {
  const got = once(socket, "message")
  socket.send(text)
  return String((await got)[0])
}
/** Not `once` of node:events, which rejects with an error that comes before. */
const closeOf = (socket: Socket): Promise<string> =>
  new Promise((resolve) => void socket.once("close", () => resolve("closed")))
/** An app's own WebSockets, as `ws` adds them to a server. */
const serveWebSockets = (server: ReturnType<typeof createServer>): { count: number } => {
  const seen = { count: 0 }
  const webSockets = new WebSocketServer({ server })
  closing.push(() => webSockets.close())
  webSockets.on("connection", (socket) => {
    seen.count++
    socket.on("message", (data: Buffer) => socket.send(`app ${data.toString()}`))
  })
  return seen
}

describe.each([
  ["that knows at once", undefined],
  ["that has to be asked", slowly],
])("with a store %s", (_, store) => {
  const options = store === undefined ? {} : { store }

  it("divides the requests of one connection, in order", async () => {
    const { port, seen, machine } = await start(options)
    const line = new Line(port)
    line.write(
      get(own, "/1") +
        post(project, "/2", "machine 2") +
        get(own, "/3") +
        post(custom, "/4", "machine 4") +
        get("localhost", "/5"),
    )
    const text = await line.until("app /5")
    expect(text.match(/app \/\d|machine \d/g)).toEqual(["app /1", "machine 2", "app /3", "machine 4", "app /5"])
    expect(seen).toEqual([`GET ${own} /1`, `GET ${own} /3`, "GET localhost /5"])
    // Both at a time, as node:http gives requests to its listeners.
    expect(new Set(machine.requests.map(({ url }) => url))).toEqual(new Set(["/2", "/4"]))
  })

  it("divides WebSockets, also of listeners that were added later", async () => {
    const { port, server, seen } = await start(options)
    const apps = serveWebSockets(server)
    expect(await echo(await open(port, project), "a")).toBe("a")
    expect(await echo(await open(port, custom), "b")).toBe("b")
    expect(await echo(await open(port, own), "c")).toBe("app c")
    expect([apps.count, seen]).toEqual([1, []])
  })

  it("gives an app without an upgrade listener the request that it would have got", async () => {
    const bodies: string[] = []
    const { port, seen } = await start({
      ...options,
      app: (request, response) => {
        request.on("data", (bytes: Buffer) => bodies.push(bytes.toString()))
        request.on("end", () => response.end(`${request.headers.upgrade} ${request.rawHeaders.length}`))
      },
    })
    const line = new Line(port).write(upgrade(own, "/a"))
    expect(await line.until("websocket 10")).toContain("HTTP/1.1 200 OK")
    const second = new Line(port).write(post(own, "/b", "hello", "Connection: upgrade", "Upgrade: foo"))
    expect(await second.until("foo 8")).toContain("HTTP/1.1 200 OK")
    expect([seen, bodies]).toEqual([[`GET ${own} /a`, `POST ${own} /b`], ["hello"]])
  })
})

describe("whose a hostname is", () => {
  it("is the router's 404 for a project that there is not, and the app's for a reserved name and the apex", async () => {
    const { port, seen } = await start()
    const line = new Line(port)
    expect(await line.write(get("nobody.iterate.app")).until("\r\n\r\n")).toContain("404 Not Found")
    await line.write(get("www.iterate.app", "/a") + get("iterate.app", "/b")).until("app /b")
    expect(seen).toEqual(["GET www.iterate.app /a", "GET iterate.app /b"])
  })

  it("is the router's 503 for a look-up that is lost, and never the app's", async () => {
    const { port, seen } = await start({ store: () => ({ get: () => Promise.reject(new Error("the store is down")) }) })
    for (const host of [project, custom, "anything.example"])
      expect(await new Line(port).write(get(host)).until("\r\n\r\n")).toContain("503 Service Unavailable")
    expect(await new Line(port).write(upgrade(custom)).until("\r\n\r\n")).toContain("503 Service Unavailable")
    // An IP address has no record.
    await new Line(port).write(get("127.0.0.1", "/mine")).until("app /mine")
    expect(seen).toEqual(["GET 127.0.0.1 /mine"])
  })

  it("is what a trusted proxy says, and nobody else", async () => {
    const trusting = await start({ mount: { trustedProxies: ["127.0.0.0/8"], forwardedHeaders: ["x-forwarded-host"] } })
    const line = new Line(trusting.port).write(post(own, "/", "echo", `X-Forwarded-Host: ${project}`))
    expect(await line.until("echo")).toContain("200 OK")
    expect(trusting.seen).toEqual([])
    const other = await start()
    await new Line(other.port).write(get(own, "/a", `X-Forwarded-Host: ${project}`)).until("app /a")
    expect(other.machine.requests).toEqual([])
  })
})

describe("a mounted router", () => {
  it("tells the machine of https and of the client's address, on a server of node:https", async () => {
    const { port, machine } = await start({ server: createSecureServer(certificate), router: {} })
    const secure = connectSecurely({ port, host: "127.0.0.1", servername: "localhost", ca: certificate.cert })
    const line = new Line(port, secure)
    await line.write(post(project, "/", "hello", "X-Forwarded-Proto: gopher")).until("hello")
    expect(machine.requests[0]!.headers).toMatchObject({
      "x-iterate-proxy-fwd-x-forwarded-for": "127.0.0.1",
      "x-iterate-proxy-fwd-x-iterate-proxy-public-origin": `https://${project}`,
    })
    await line.write(upgrade(project)).until("101 Switching Protocols")
  })

  it("needs no listener of an app", async () => {
    const { port } = await start({ app: false })
    expect(await new Line(port).write(post(project, "/", "hello")).until("hello")).toContain("200 OK")
  })

  it("works for listeners that the app exchanges", async () => {
    const { port, server } = await start()
    server.removeAllListeners("request")
    server.on("request", (_, response) => void response.end("another"))
    const line = new Line(port).write(get(own) + post(project, "/", "machine"))
    expect(await line.until("machine")).toMatch(/another[^]*machine/)
  })

  it("leaves expectations to the app that listens for them, and to node:http otherwise", async () => {
    const { port, server, seen } = await start()
    const expecting = (host: string, what: string) => post(host, "/", "hello", `Expect: ${what}`)
    expect(await new Line(port).write(expecting(own, "100-continue")).until("app /")).toMatch(/100 Continue[^]*200 OK/)
    expect(await new Line(port).write(expecting(own, "tea")).until("\r\n\r\n")).toContain("417 Expectation Failed")
    const told: string[] = []
    server.on("checkContinue", (_, response) => {
      told.push("checkContinue")
      response.writeHead(403).end("no")
    })
    server.on("checkExpectation", (_, response) => {
      told.push("checkExpectation")
      response.writeHead(200).end("tea")
    })
    expect(await new Line(port).write(expecting(own, "100-continue")).until("\r\n\r\n")).toContain("403 Forbidden")
    expect(await new Line(port).write(expecting(own, "tea")).until("tea")).toContain("200 OK")
    // The router's are not told of.
    expect(await new Line(port).write(expecting(project, "100-continue")).until("hello")).toContain("100 Continue")
    expect(await new Line(port).write(expecting(project, "tea")).until("\r\n\r\n")).toContain("417 Expectation Failed")
    expect([told, seen]).toEqual([["checkContinue", "checkExpectation"], [`POST ${own} /`]])
  })

  it("leaves CONNECT, client errors and time-outs to the app", async () => {
    const { port, server } = await start()
    server.on("connect", (_, socket) => void socket.end("HTTP/1.1 200 tunnel\r\n\r\n"))
    server.on("clientError", (_, socket) => void socket.end("HTTP/1.1 400 mine\r\n\r\n"))
    expect(await new Line(port).send("CONNECT a.example:443 HTTP/1.1", "Host: a.example:443").untilClosed()).toContain(
      "tunnel",
    )
    expect(await new Line(port).send("GET / HTTP/9").untilClosed()).toContain("400 mine")
    server.setTimeout(20)
    const timedOut = once(server, "timeout")
    const silent = new Line(port)
    await once(silent.socket, "connect")
    ;((await timedOut)[0] as Socket).destroy()
    await silent.untilClosed()
  })

  it("passes a body of 8 MiB both ways, and keeps the connection", async () => {
    const { port } = await start()
    const body = "0123456789abcdef".repeat(512 * 1024)
    const line = new Line(port).write(`POST / HTTP/1.1\r\nHost: ${project}\r\nTransfer-Encoding: chunked\r\n\r\n`)
    line.write(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`)
    const text = await line.until("\r\n0\r\n\r\n")
    expect(text.length).toBeGreaterThan(body.length)
    await line.write(get(own, "/next")).until("app /next")
  })

  it("streams events as they come, and tells the machine that the client left", async () => {
    const { port, machine } = await start()
    const line = new Line(port).write(get(project, "/events"))
    await line.until("data: 1\n\n")
    const left = closeOf(machine.requests.at(-1)!.socket)
    line.socket.destroy()
    expect(await left).toBe("closed")
  })

  it("tells a client that pipelines, and leaves, from the machine of a request that is not the first", async () => {
    const waits = { app: (request: IncomingMessage) => void request.resume() }
    const { port, machine } = await start(waits)
    const line = new Line(port).write(get(own, "/never") + get(project, "/events"))
    while (machine.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const left = closeOf(machine.requests.at(-1)!.socket)
    line.socket.destroy()
    expect(await left).toBe("closed")
  })
})

describe("a response", () => {
  it.for<[title: string, status: string, rest: string, expected: RegExp]>([
    ["names trailers and has a length", "200 OK", "Trailer: X\r\nContent-Length: 2\r\n\r\nok", /200 OK[^]*\r\n\r\nok$/],
    [
      "has trailers",
      "200 OK",
      "Trailer: X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n",
      /ok\r\n0\r\nX: y\r\n\r\n$/,
    ],
    ["names trailers and is a 304", "304 Not Modified", "Trailer: X\r\n\r\n", /304 Not Modified[^]*\r\n\r\n$/],
    ["has a reason of its own", "299 \xe4 b", "Content-Length: 0\r\n\r\n", /^HTTP\/1.1 299 \xe4 b\r\n/],
    ["has no reason", "200 ", "Content-Length: 0\r\n\r\n", /^HTTP\/1.1 200 \r\n/],
    ["is a 205", "205 Reset Content", "Content-Length: 0\r\n\r\n", /205 Reset Content[^]*\r\n\r\n$/],
  ])("that %s reaches the client", async ([title, status, rest, expected], ctx) => {
    if ("Bun" in globalThis && title.includes("reason")) ctx.skip("Bun's node:http writes reasons of its own")
    const machine = createTcpServer((socket) => {
      socket.on("error", () => undefined)
      const head = `HTTP/1.1 ${status}\r\nx-iterate-proxy-stamp: unproven\r\n`
      socket.once("data", () => socket.write(head + rest, "latin1"))
    })
    await new Promise<void>((resolve) => machine.listen(0, "127.0.0.1", resolve))
    closing.push(() => machine.close())
    const { port } = await start({ machinePort: (machine.address() as AddressInfo).port })
    const line = new Line(port).write(get(project))
    await line.when(() => expected.test(line.text) || line.closed)
    expect(line.text).toMatch(expected)
    // The connection goes on.
    line.text = ""
    await line.write(get(own, "/next")).until("app /next")
  })
})

describe("a machine that breaks off", () => {
  const breaking = async () => {
    const connections: Socket[] = []
    const server = createTcpServer((socket) => {
      connections.push(socket)
      socket.on("error", () => undefined)
      socket.once("data", () =>
        socket.write("HTTP/1.1 200 OK\r\nx-iterate-proxy-stamp: unproven\r\nContent-Length: 10\r\n\r\nhalf"),
      )
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    closing.push(() => server.close())
    return { port: (server.address() as AddressInfo).port, connections }
  }

  it("breaks the client's connection", async () => {
    const machine = await breaking()
    const { port } = await start({ machinePort: machine.port })
    const line = new Line(port).write(get(project))
    await line.until("half")
    machine.connections[0]!.destroy()
    expect(await line.untilClosed()).toBe("")
  })

  it("does not break the response to an earlier request of the connection", async () => {
    const machine = await breaking()
    let respond: (() => void) | undefined
    const brokenOff: EngineEvent[] = []
    const onEvent = (event: EngineEvent) => {
      if (event.type === "request" && !event.complete) brokenOff.push(event)
    }
    const { port, events } = await start({
      machinePort: machine.port,
      mount: { onEvent },
      app: (_, response) => {
        respond = () => void response.end("early")
      },
    })
    const line = new Line(port).write(get(own) + get(project))
    while (events.length === 0) await new Promise((resolve) => setImmediate(resolve))
    machine.connections[0]!.destroy()
    while (brokenOff.length === 0) await new Promise((resolve) => setImmediate(resolve))
    respond!()
    expect(await line.untilClosed()).toMatch(/early$/)
  })
})

describe("unmount", () => {
  it("leaves no trace on the server", async () => {
    const { router } = setup()
    const server = createServer()
    server.on("upgrade", () => undefined)
    const listeners = () =>
      server.eventNames().map((name) => [name, server.rawListeners(name), server.listenerCount(name)])
    const trace = () => [Object.getOwnPropertyDescriptors(server), listeners()]
    const before = trace()
    const { unmount } = mount(server, router)
    expect(server.listenerCount("upgrade")).toBe(1)
    unmount()
    expect(trace()).toEqual(before)
    expect(server.listenerCount("checkContinue")).toBe(0)
  })

  it("goes out of the way where another library has hooked the server since", async () => {
    const { port, server, mounted, seen } = await start()
    const emit = Reflect.get(server, "emit") as (...values: readonly unknown[]) => boolean
    const names: unknown[] = []
    server.emit = (name: string, ...values: unknown[]) => {
      names.push(name)
      return Reflect.apply(emit, server, [name, ...values])
    }
    mounted.unmount()
    await new Line(port).write(get(project, "/a")).until("app /a")
    expect([seen, names.includes("request")]).toEqual([[`GET ${project} /a`], true])
  })

  it("lets requests in flight finish and WebSockets be; what comes then is the app's", async () => {
    const { port, machine, mounted, seen } = await start()
    const webSocket = await open(port, project)
    const line = new Line(port).write(`POST /upload HTTP/1.1\r\nHost: ${project}\r\nContent-Length: 10\r\n\r\nfirst`)
    while (machine.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
    mounted.unmount()
    line.write(`-last${get(project, "/b")}`)
    expect(await line.until("app /b")).toMatch(/200 OK[^]*x-machine[^]*200 OK/)
    expect(await echo(webSocket, "still")).toBe("still")
    expect(seen).toEqual([`GET ${project} /b`])
    const ended = once(webSocket, "close")
    await mounted.drain({ deadlineMs: 0 })
    expect((await ended)[0]).toBe(1001)
  })
})

describe("a shutdown", () => {
  it("lets the router's requests finish after server.close(), each as the last of its connection", async () => {
    const { port, machine, server, mounted } = await start()
    const line = new Line(port).write(`POST /upload HTTP/1.1\r\nHost: ${project}\r\nContent-Length: 10\r\n\r\nfirst`)
    while (machine.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const closed = new Promise((resolve) => server.close(resolve))
    const drained = mounted.drain({ deadlineMs: 60_000 })
    line.write("-last")
    expect(await line.untilClosed()).toMatch(/200 OK[^]*Connection: close/)
    await Promise.all([closed, drained])
  })

  it("ends at the deadline what has not", async () => {
    const { port, mounted } = await start()
    const line = new Line(port).write(get(project, "/events"))
    await line.until("data: 1\n\n")
    await mounted.drain({ deadlineMs: 0 })
    expect(await line.untilClosed()).not.toContain("0\r\n\r\n")
  })
})

describe("the machines of providers", () => {
  it("are watched while the server listens", async () => {
    const signals: AbortSignal[] = []
    const watched = fake({
      watch: async function* ({ signal }) {
        signals.push(signal)
        await once(signal, "abort")
        yield* []
      },
    })
    const { server, mounted } = await start({ router: { providers: [watched] } })
    while (signals.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const closed = once(server, "close")
    server.close()
    await closed
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
    mounted.unmount()
  })
})

describe("mount refuses", () => {
  const { router } = setup()

  it("a server that has a router, until that is unmounted", () => {
    const server = createServer()
    const { unmount } = mount(server, router)
    expect(() => mount(server, router)).toThrow("mount: the server has a router already: unmount that one first")
    unmount()
    mount(server, router).unmount()
  })

  it("what is no server of node:http, and options that it does not know", () => {
    expect(() => mount(createTcpServer() as never, router)).toThrow(/^mount: server must be a server of node:http/)
    expect(() => mount((() => undefined) as never, router)).toThrow("(an app? make its server with createServer(app))")
    expect(() => mount({ server: createServer() } as never, router)).toThrow("(an app? give its server: app.server)")
    expect(() => mount(createHttp2Server() as never, router)).toThrow("(HTTP/2 is served by serveNode)")
    expect(() => mount(createServer(), {} as never)).toThrow(TypeError)
    expect(() => mount(createServer(), router, { fallback: () => undefined } as never)).toThrow(/^mount: .*fallback/)
    const forwardedHeaders = ["x-forwarded-for"] as const
    expect(() => mount(createServer(), router, { forwardedHeaders })).toThrow(
      /^mount: forwardedHeaders needs trustedProxies/,
    )
    // A refused one is no mounted one.
    mount(createServer(), router).unmount()
  })
})
