/**
 * One client that takes all it can, by each way into a router, with the bounds that a host has by default: the visitor of another tenant
 * is served meanwhile. The hostile client has one address of loopback, the visitor another one; the machines and apps behind are real.
 */
import { once } from "node:events"
import { createServer as createHttpServer } from "node:http"
import type { ServerResponse } from "node:http"
import { connect as connectHttp2 } from "node:http2"
import type { ClientHttp2Session } from "node:http2"
import type { Socket } from "node:net"
import { connect as connectTls, createServer as createTlsServer } from "node:tls"
import { describe, expect, it, onTestFinished } from "vitest"
import { tunnelProtocols } from "../../packages/forward/src/internal.ts"
import { mount, serveNode } from "../../packages/router/src/hosts/node.ts"
import { serveUdp } from "../../packages/router/src/hosts/udp.ts"
import {
  certificate,
  dial,
  dialTls,
  echo,
  listening,
  next,
  received,
  startApp,
  startHost,
  startTlsApp,
} from "../../packages/router/test/tcp/harness.ts"
import { bindUdp, tenantRecord } from "./socket-tenants.ts"
import type { Reached } from "./socket-tenants.ts"

const HOSTILE = "127.0.0.1"
const VISITOR = "127.0.0.2"
/** What both are sent, again and again, until they are not taken any more. */
const piece = Buffer.alloc(65_536)

/** Writes for as long as anybody reads. */
const pour = (target: Socket | ServerResponse): void => {
  const write = (): void => {
    while (!target.destroyed && target.write(piece));
    target.once("drain", write)
  }
  write()
}

/** An app of HTTP: `/flood` has no end, `/silent` no beginning, and a body is read to its end. */
const startWebApp = (): Promise<number> => {
  const server = createHttpServer((request, response) => {
    response.on("error", () => undefined)
    if (request.url === "/silent") return
    if (request.url === "/flood") return pour(response)
    request.resume().on("end", () => response.end("served"))
  })
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return listening(server)
}

/** A router before the tenants 0, the hostile client's own, and 1. */
const startRouter = async (
  protocol: "http" | "tcp" | "udp",
  ports: readonly [number, number],
  reached: Reached = "by a tunnel",
) => {
  const [own, other] = await Promise.all(ports.map((port, index) => tenantRecord(index, port, { protocol, reached })))
  return startHost({ "p:tenant-0": own, "p:tenant-1": other }, { trustedProxies: [] })
}

const own = "tenant-0.iterate.app"
const other = "tenant-1.iterate.app"
const get = (host: string, path = "/"): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`

/** Opens so many of something at once, each until something happens that says whether it was taken. */
const many = <A>(count: number, open: (n: number) => A): A[] => Array.from({ length: count }, (_, n) => open(n))

/** One in so many floods what takes it: each fills the buffers of four connections in the kernel, which takes time here. */
const FLOODS = 40

/** Opens so many connections, a few hundred at a time: a listener's backlog is 511, and SYNs beyond it wait for seconds. */
const manyConnections = async (count: number, open: (n: number) => Socket): Promise<void> => {
  for (let from = 0; from < count; from += 200) {
    const some = many(Math.min(200, count - from), (n) => open(from + n))
    await Promise.all(
      some.map((socket) => new Promise((resolve) => socket.once("connect", resolve).once("close", resolve))),
    )
  }
}

/** What a hostile client does on a connection of HTTP/1.1, by turns. */
const byHttp1 = (port: number) => (n: number) => {
  const socket = dial(port, HOSTILE)
  const kinds = [
    // Reads none of what never ends; waits for what never comes.
    n % FLOODS === 0 ? get(own, "/flood") : get(own, "/silent"),
    get(own, "/silent"),
    // A head and a body that never end.
    `GET / HTTP/1.1\r\nHost: ${own}\r\nX: `,
    `POST / HTTP/1.1\r\nHost: ${own}\r\nContent-Length: 100000\r\n\r\nslow`,
  ]
  socket.write(kinds[n % kinds.length]!)
  return socket.pause()
}

/** Once the router has begun with what it was sent: as soon as it has refused some of it. */
const untilRefused = (routerEvents: readonly { readonly type: string }[]): Promise<void> =>
  expect.poll(() => routerEvents.some(({ type }) => type === "bound_reached")).toBe(true)

/** What the visitor gets of the other tenant. */
const visit = (port: number): Promise<string> => {
  const visitor = dial(port, VISITOR)
  visitor.write(get(other).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
  return received(visitor)
}
const served = /^HTTP\/1\.1 200 OK\r\n[^]*served/

describe("one client leaves the visitors of another tenant served", () => {
  it("in a server of node:http that the router is mounted in, with 800 requests that do not end", async () => {
    const { router, routerEvents } = await startRouter("http", [await startWebApp(), await startWebApp()])
    const server = createHttpServer((_, response) => response.end("app"))
    const mounted = mount(server, router, { trustedProxies: [] })
    onTestFinished(() => {
      server.close()
      server.closeAllConnections()
      return mounted.drain({ deadlineMs: 0 })
    })
    const port = await listening(server)
    expect(await visit(port)).toMatch(served)
    await manyConnections(800, byHttp1(port))
    await untilRefused(routerEvents)
    expect(await visit(port)).toMatch(served)
  })

  const startHttp2 = async (protocol: "http" | "tcp", ports: readonly [number, number]) => {
    const made = await startRouter(protocol, ports)
    const tls = createTlsServer({ ...certificate, ALPNProtocols: ["h2", "http/1.1"] })
    const { port, close } = await serveNode(made.router, { trustedProxies: [] }).listen({ hostname: "127.0.0.1", tls })
    onTestFinished(() => close({ deadlineMs: 0 }))
    const session = (localAddress: string, settings = {}): ClientHttp2Session => {
      const createConnection = () =>
        connectTls({
          socket: dial(port, localAddress),
          servername: own,
          ALPNProtocols: ["h2"],
          rejectUnauthorized: false,
        })
      const client = connectHttp2(`https://${own}:${port}`, { createConnection, settings })
      client.on("error", () => undefined)
      onTestFinished(() => client.destroy())
      return client
    }
    return { ...made, port, session }
  }

  const servedByHttp2 = async (client: ClientHttp2Session, authority: string): Promise<string> => {
    const stream = client.request({ ":authority": authority })
    let text = ""
    for await (const bytes of stream) text += String(bytes)
    return text
  }

  it("by HTTP/2, with as many streams as there may be on each of 12 connections, which read and send nothing", async () => {
    const { routerEvents, session } = await startHttp2("http", [await startWebApp(), await startWebApp()])
    const before = session(VISITOR)
    expect(await servedByHttp2(before, other)).toBe("served")
    // No byte of a response's body may be sent.
    const hostile = many(12, () => session(HOSTILE, { initialWindowSize: 0 }))
    await Promise.all(hostile.map((client) => once(client, "remoteSettings")))
    for (const client of hostile) {
      many(100, (n) => {
        const isPost = n % 3 === 2
        const stream = client.request(
          { ":method": isPost ? "POST" : "GET", ":authority": own, ":path": n % 3 === 0 ? "/silent" : "/flood" },
          { endStream: !isPost },
        )
        stream.on("error", () => undefined)
        if (isPost) stream.write("slow")
      })
    }
    await untilRefused(routerEvents)
    expect(await servedByHttp2(before, other)).toBe("served")
    expect(await servedByHttp2(session(VISITOR), other)).toBe("served")
  })

  it("by tunnels in streams of HTTP/2, of which it opens 1 300 that flood both sides", async () => {
    const { routerEvents, session } = await startHttp2("tcp", [await startApp(pour), await startApp(echo)])
    const tunnel = (client: ClientHttp2Session, authority: string) => {
      const stream = client.request(
        {
          ":method": "CONNECT",
          ":protocol": "websocket",
          ":scheme": "https",
          ":authority": authority,
          ":path": "/",
          "sec-websocket-version": "13",
          "sec-websocket-protocol": tunnelProtocols.tcp,
        },
        { endStream: false },
      )
      stream.on("error", () => undefined)
      return stream
    }
    const hostile = many(13, () => session(HOSTILE))
    await Promise.all(hostile.map((client) => once(client, "remoteSettings")))
    for (const client of hostile) many(100, () => tunnel(client, own).pause())
    await untilRefused(routerEvents)
    const visitor = session(VISITOR)
    await once(visitor, "remoteSettings")
    const stream = tunnel(visitor, other)
    const [headers] = (await once(stream, "response")) as [{ readonly ":status": number }]
    expect(headers[":status"]).toBe(200)
  })

  it("by TCP, with 1 500 connections, silent or flooding, by name and by port", async () => {
    let connections = 0
    const flooding = await startApp((socket) => {
      if (connections++ % FLOODS === 0) pour(socket)
    })
    const { host, routerEvents } = await startRouter("tcp", [flooding, await startTlsApp()], "directly")
    const byName = await host.listen({ hostname: "127.0.0.1" })
    const byPort = await host.listen({ hostname: "127.0.0.1", to: own })
    await manyConnections(1_500, (n) => {
      const named = n % 10 === 0
      const socket = dial(named ? byName.port : byPort.port, HOSTILE)
      // By name: the beginning of a ClientHello. By port: nothing, or what the app does not read.
      if (named) socket.write(Buffer.of(22, 3, 1))
      if (n % FLOODS === 1) socket.write(piece)
      return socket.pause()
    })
    await untilRefused(routerEvents)
    const visitor = dial(byName.port, VISITOR)
    const client = dialTls(byName.port, other, { socket: visitor, ALPNProtocols: ["echo"] })
    client.write("served")
    expect(await next(client, 11)).toBe("echo\nserved")
  })

  it("by UDP, with 400 flows that send without end and whose app does too", async () => {
    const flooding = await bindUdp()
    flooding.on("message", (_, { port, address }) => {
      for (let i = 0; i < 10; i++) flooding.send(piece.subarray(0, 1_000), port, address)
    })
    const echoing = await bindUdp()
    echoing.on("message", (bytes, { port, address }) => echoing.send(bytes, port, address))
    const { router } = await startRouter("udp", [flooding.address().port, echoing.address().port])
    const host = serveUdp(router)
    onTestFinished(() => host.close())
    const [ofOwn, ofOther] = await Promise.all([own, other].map((to) => host.listen({ hostname: "127.0.0.1", to })))
    onTestFinished(async () => void (await Promise.all([ofOwn!.close(), ofOther!.close()])))
    const clients = await Promise.all(many(400, () => bindUdp(HOSTILE)))
    let turn = 0
    // A few at a time: the kernel keeps a hundred datagrams for a socket.
    const flood = setInterval(() => {
      for (const client of clients.slice(turn, (turn += 40)))
        client.send(piece.subarray(0, 1_000), ofOwn!.port, "127.0.0.1")
      if (turn >= clients.length) turn = 0
    }, 5)
    onTestFinished(() => clearInterval(flood))
    await expect.poll(() => host.flows()).toBe(host.limits.maxFlowsPerClient)
    const visitor = await bindUdp(VISITOR)
    const reply = once(visitor, "message") as Promise<[Buffer]>
    // Datagrams get lost where kernels have no room for them: whoever speaks UDP sends again.
    const again = setInterval(() => visitor.send("served", ofOther!.port, "127.0.0.1"), 100)
    onTestFinished(() => clearInterval(again))
    expect(String((await reply)[0])).toBe("served")
    expect(host.flows()).toBeLessThanOrEqual(host.limits.maxFlowsPerClient + 1)
  })
})
