/** WebSockets of hostnames that are not the router's, on the host on sockets. */
import { once } from "node:events"
import { readFileSync } from "node:fs"
import type { IncomingMessage } from "node:http"
import { connect as connectByHttp2 } from "node:http2"
import { connect } from "node:net"
import type { Duplex } from "node:stream"
import { connect as connectByTls, createServer } from "node:tls"
import { local } from "@project-ingress/providers/local"
import { afterEach, describe, expect, it } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import { serveNode } from "../src/hosts/node.ts"
import type { FallbackClient, NodeOptions } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { hostnames, keys } from "./fakes.ts"
import { startMachine } from "./machine.ts"
import { handshake } from "./attacks/raw-host.ts"

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

interface Taken {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
  readonly client: FallbackClient
}

const start = async (options: NodeOptions) => {
  const machine = await startMachine()
  closing.push(machine.close)
  const attached = { machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port: machine.port } } }
  const router = createRouter({
    grammar: hostnames,
    store: memoryStore({ "p:misha": attached }),
    providers: [local()],
    signingKey: keys.signing,
    unprovenMachines: true,
  })
  const events: unknown[] = []
  const host = serveNode(router, { onEvent: (event) => events.push(event), ...options })
  const listening = await host.listen({ hostname: "127.0.0.1" })
  closing.push(() => listening.close({ deadlineMs: 0 }))
  return { port: listening.port, host, listening, machine, events }
}

/** An app with `ws`, which echoes. */
const echoing = () => {
  const webSockets = new WebSocketServer({ noServer: true })
  closing.push(() => webSockets.close())
  const taken: Taken[] = []
  webSockets.on("connection", (socket) => socket.on("message", (data, binary) => socket.send(data, { binary })))
  const fallbackUpgrade: NonNullable<NodeOptions["fallbackUpgrade"]> = (request, socket, head, client) => {
    taken.push({ request, socket, head, client })
    webSockets.handleUpgrade(request, socket, head, (each) => webSockets.emit("connection", each, request))
  }
  return { taken, fallbackUpgrade }
}

const open = async (port: number, host: string, headers: Record<string, string> = {}): Promise<WebSocket> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat?a=1`, ["echo"], { headers: { host, ...headers } })
  closing.push(() => socket.terminate())
  await once(socket, "open")
  return socket
}
const echo = async (socket: WebSocket, text: string): Promise<string> => {
  const got = once(socket, "message")
  socket.send(text)
  return String((await got)[0])
}
/** Sends text, and resolves with what has come once it holds `until`, or the connection has ended. */
const raw = (port: number, text: string, until: string): Promise<string> =>
  new Promise((resolve) => {
    let got = ""
    const socket = connect(port, "127.0.0.1", () => socket.write(text, "latin1"))
    closing.push(() => socket.destroy())
    socket.on("error", () => undefined)
    socket.on("close", () => resolve(`${got}<closed>`))
    socket.on("data", (bytes) => {
      got += bytes.toString("latin1")
      if (got.includes(until)) resolve(got)
    })
  })
const head = (host: string, ...fields: readonly string[]): string =>
  `${handshake(host, ...fields).join("\r\n")}\r\n\r\n`
/** A masked text frame that says `Hello` (RFC 6455 §5.7), and what the app echoes. */
const hello = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
const echoed = "\x81\x05Hello"

describe("a WebSocket of a hostname that is not the router's", () => {
  it("goes to fallbackUpgrade, and one of the router's to its machine", async () => {
    const app = echoing()
    const { port, machine } = await start({ fallbackUpgrade: app.fallbackUpgrade })
    expect(await echo(await open(port, "app.example.com"), "x".repeat(200_000))).toBe("x".repeat(200_000))
    expect(app.taken).toHaveLength(1)
    expect(await echo(await open(port, "misha.iterate.app"), "b")).toBe("b")
    expect([app.taken.length, machine.requests.length]).toEqual([1, 0])
  })

  it("has what the client sent too early", async () => {
    const app = echoing()
    const { port } = await start({ fallbackUpgrade: app.fallbackUpgrade })
    expect(await raw(port, head("app.example.com") + hello, echoed)).toContain(echoed)
    expect(app.taken[0]!.head).toHaveLength(hello.length)
  })

  it("has the client's true address, and fields that a client cannot write", async () => {
    const app = echoing()
    const { port } = await start({ fallbackUpgrade: app.fallbackUpgrade })
    const spoofed = {
      "x-forwarded-for": "192.0.2.1",
      "x-real-ip": "192.0.2.2",
      "x-iterate-user": "root",
      cookie: "a=1",
    }
    await open(port, "App.Example.com:99", spoofed)
    const { request, client } = app.taken[0]!
    expect(client).toEqual({ clientAddress: "127.0.0.1", peerAddress: "127.0.0.1" })
    expect([request.method, request.url, request.httpVersion]).toEqual(["GET", "/chat?a=1", "1.1"])
    expect(request.headers).toMatchObject({
      host: "app.example.com:99",
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-protocol": "echo",
      cookie: "a=1",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-host": "app.example.com:99",
    })
    for (const name of ["x-real-ip", "x-iterate-user"]) expect(request.headers).not.toHaveProperty(name)
  })

  it("has the client whom a trusted proxy names", async () => {
    const app = echoing()
    const trust = { trustedProxies: ["127.0.0.0/8"], forwardedHeaders: ["x-forwarded-for"] } as const
    const { port } = await start({ fallbackUpgrade: app.fallbackUpgrade, ...trust })
    await open(port, "app.example.com", { "x-forwarded-for": "evil, 192.0.2.1" })
    expect(app.taken[0]!.client).toEqual({ clientAddress: "192.0.2.1", peerAddress: "127.0.0.1" })
  })

  it("that was refused takes no other request with it", async () => {
    const { port, machine } = await start({
      fallbackUpgrade: (_, socket) => void socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
    })
    const second = "GET /second HTTP/1.1\r\nHost: misha.iterate.app\r\n\r\n"
    const got = await raw(port, head("app.example.com") + second, "<never>")
    expect(got).toBe("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n<closed>")
    expect(machine.requests).toEqual([])
  })

  it.each([
    [
      "throws",
      () => {
        throw new Error("no")
      },
    ],
    ["rejects", () => Promise.reject(new Error("no"))],
  ])("breaks when fallbackUpgrade %s, with an event", async (_, fallbackUpgrade) => {
    const { port, events } = await start({ fallbackUpgrade })
    expect(await raw(port, head("app.example.com"), "<never>")).toBe("<closed>")
    expect(events).toContainEqual(expect.objectContaining({ type: "error", tag: "ProxyFailed", reason: "no" }))
  })

  it("counts as a connection until it ends, is an event then, and ends at the deadline of a drain", async () => {
    const app = echoing()
    const { port, host, listening, events } = await start({ fallbackUpgrade: app.fallbackUpgrade })
    const left = await open(port, "app.example.com")
    const kept = await open(port, "app.example.com")
    expect(host.connections()).toBe(2)
    const gone = once(app.taken[0]!.socket, "close")
    left.terminate()
    await gone
    expect(host.connections()).toBe(1)
    expect(events).toContainEqual(expect.objectContaining({ type: "request", status: 101, host: "app.example.com" }))
    const closed = once(kept, "close")
    await listening.close({ deadlineMs: 0 })
    await closed
    expect(host.connections()).toBe(0)
  })

  it("without fallbackUpgrade gets the response of fallback, which cannot accept it", async () => {
    const { port } = await start({ fallback: () => new Response("no WebSockets here", { status: 400 }) })
    expect(await raw(port, head("app.example.com"), "here")).toContain("HTTP/1.1 400 ")
  })

  it("and a request without an upgrade goes to fallback", async () => {
    const app = echoing()
    const { port } = await start({ fallbackUpgrade: app.fallbackUpgrade, fallback: () => new Response("mine") })
    const request = "GET / HTTP/1.1\r\nHost: app.example.com\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    expect(await raw(port, request, "mine")).toContain("HTTP/1.1 200 ")
    expect(app.taken).toEqual([])
  })

  it("over HTTP/2 is one for the app like any other", async (ctx) => {
    if ("Deno" in globalThis) ctx.skip("HTTP/2 is served on Node and Bun")
    const app = echoing()
    const read = (name: string) => readFileSync(new URL(`../../forward/test/fixtures/${name}`, import.meta.url))
    const certificate = { key: read("localhost.key"), cert: read("localhost.crt") }
    const { host } = await start({ fallbackUpgrade: app.fallbackUpgrade })
    const tls = createServer({ ...certificate, ALPNProtocols: ["h2"] })
    const { port } = await host.listen({ hostname: "127.0.0.1", tls })
    const session = connectByHttp2(`https://localhost:${port}`, {
      createConnection: () =>
        connectByTls({ host: "127.0.0.1", port, servername: "localhost", ca: certificate.cert, ALPNProtocols: ["h2"] }),
    })
    closing.push(() => session.destroy())
    await once(session, "remoteSettings")
    const stream = session.request(
      {
        ":method": "CONNECT",
        ":protocol": "websocket",
        ":scheme": "https",
        ":path": "/chat",
        ":authority": `localhost:${port}`,
        "sec-websocket-version": "13",
      },
      { endStream: false },
    )
    const [headers] = (await once(stream, "response")) as [Record<string, unknown>]
    expect(headers[":status"]).toBe(200)
    let got = ""
    const echo = new Promise<void>((resolve) =>
      stream.on("data", (bytes: Buffer) => {
        got += bytes.toString("latin1")
        if (got.includes(echoed)) resolve()
      }),
    )
    stream.write(Buffer.from(hello, "latin1"))
    await echo
    expect(app.taken[0]!.client).toEqual({ clientAddress: "127.0.0.1", peerAddress: "127.0.0.1" })
  })
})
