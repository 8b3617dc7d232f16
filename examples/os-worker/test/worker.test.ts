import { createServer, request as httpRequest } from "node:http"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { gzipSync } from "node:zlib"
import { generateTicketKeys, machineKey, ticketVerifier } from "@project-ingress/forward"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import { startWorker } from "./workerd.ts"
import type { RunningWorker } from "./workerd.ts"

const keys = await generateTicketKeys("worker-test")
const machineKeys = [await machineKey(keys.signing, "mach_1")]
const verify = ticketVerifier(() => machineKeys, "mach_1")
/** What a machine's proxy proves itself with. */
const stampFor = async ({ headers }: IncomingMessage): Promise<string> => {
  const verified = await verify(headers["x-iterate-proxy-ticket"] as string)
  return "refusal" in verified ? "refused" : verified.stamps!.response
}
const zipped = gzipSync("zipped ".repeat(1_000))
let machine: Server
let worker: RunningWorker
let seen: IncomingMessage
let eventsClosed: Promise<void>

const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
  seen = request
  response.setHeader("x-iterate-proxy-stamp", await stampFor(request))
  response.setHeader("set-cookie", ["a=1", "b=2, still b"])
  if (request.url === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n")
    const ticking = setInterval(() => response.write(": tick\n\n"), 50)
    eventsClosed = new Promise((resolve) => response.once("close", resolve)).then(() => clearInterval(ticking))
  } else if (request.url === "/gzip") {
    response.writeHead(200, { "content-type": "text/plain", "content-encoding": "gzip" }).end(zipped)
  } else if (request.url === "/empty") response.writeHead(204).end()
  else if (request.url === "/redirect") response.writeHead(307, { location: "/elsewhere" }).end()
  else if (request.url === "/broken") response.writeHead(500).end("the app's own")
  else request.pipe(response)
}

const startMachine = async (): Promise<Server> => {
  const server = createServer((request, response) => void respond(request, response))
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => "echo" })
  const stamps = new WeakMap<IncomingMessage, string>()
  server.on("upgrade", (request: IncomingMessage, socket, head) => {
    void stampFor(request).then((stamp) => {
      stamps.set(request, stamp)
      sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit("connection", opened))
    })
  })
  sockets.on("headers", (headers, request) => headers.push(`x-iterate-proxy-stamp: ${stamps.get(request)}`))
  sockets.on("connection", (socket) => {
    socket.on("message", (data, binary) => socket.send(data, { binary }))
    socket.on("close", (code) => socket.close(code === 1005 ? undefined : code))
  })
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
  return server
}

beforeAll(async () => {
  machine = await startMachine()
  worker = await startWorker({ signing: keys.signing, domain: "iterate.app" })
  await attach("misha")
})
afterAll(async () => {
  await worker.dispose()
  machine.closeAllConnections()
  await new Promise((resolve) => machine.close(resolve))
})

const attach = (slug: string) => {
  const { port } = machine.address() as AddressInfo
  return worker.attach(`p:${slug}`, { machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port } } })
}

interface Asked {
  readonly host?: string
  readonly method?: string
  readonly body?: string
  readonly headers?: Record<string, string>
}
const open = (path: string, { host = "misha.iterate.app", method = "GET", body, headers }: Asked = {}) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    const { hostname, port } = new URL(worker.url)
    httpRequest({ hostname, port, path, method, headers: { host, ...headers }, agent: false }, resolve)
      .on("error", reject)
      .end(body)
  })
const bytes = async (response: IncomingMessage) => {
  const all: Buffer[] = []
  for await (const chunk of response) all.push(chunk as Buffer)
  return Buffer.concat(all)
}
const text = async (response: IncomingMessage) => (await bytes(response)).toString()

describe("the Worker in workerd", () => {
  it("passes a body both ways, with a ticket and without a trace of the hop", async () => {
    const response = await open("/a//b?q=%20", { method: "POST", body: "hello", host: "4096__misha.iterate.app" })
    expect([response.statusCode, await text(response)]).toEqual([200, "hello"])
    expect(response.headers["set-cookie"]).toEqual(["a=1", "b=2, still b"])
    expect(Object.keys(response.headers).filter((name) => name.startsWith("x-iterate"))).toEqual([])
    expect([seen.method, seen.url]).toEqual(["POST", "/a//b?q=%20"])
    expect(seen.headers["x-iterate-proxy-target-host"]).toBe("4096__misha.iterate.app")
    expect(await verify(seen.headers["x-iterate-proxy-ticket"] as string)).not.toHaveProperty("refusal")
  })

  it("leaves foreign hostnames to its own app", async () => {
    for (const host of ["iterate.app", "example.com"]) {
      expect(await text(await open("/home", { host }))).toBe("the OS itself: /home")
    }
  })

  it.each([
    ["nobody.iterate.app", 404, "ROUTE_NOT_FOUND"],
    ["0__misha.iterate.app", 400, "HOSTNAME_MALFORMED"],
    ["web--misha.iterate.app", 404, "ROUTE_NOT_FOUND"],
  ])("answers %s with %i", async (host, status, code) => {
    const response = await open("/", { host, headers: { accept: "application/json" } })
    const requestId = response.headers["x-iterate-proxy-request-id"]
    expect([response.statusCode, JSON.parse(await text(response))]).toMatchObject([status, { error: code, requestId }])
  })

  it("passes coded octets as they are, empty answers, redirects and the app's own failures", async () => {
    const coded = await open("/gzip", { headers: { "accept-encoding": "gzip" } })
    expect(coded.headers["content-encoding"]).toBe("gzip")
    expect((await bytes(coded)).equals(zipped)).toBe(true)
    expect((await open("/empty")).resume().statusCode).toBe(204)
    const redirect = (await open("/redirect")).resume()
    expect([redirect.statusCode, redirect.headers.location]).toEqual([307, "/elsewhere"])
    const broken = await open("/broken")
    expect([broken.statusCode, await text(broken)]).toEqual([500, "the app's own"])
  })

  it("streams events as they come and ends with the client", async () => {
    const response = await open("/events")
    expect(await new Promise((resolve) => response.once("data", (data) => resolve(String(data))))).toBe("data: 1\n\n")
    response.destroy()
    // workerd sees that a client has left when it writes to it.
    await eventsClosed
  })

  it("passes a WebSocket with its protocol", async () => {
    const socket = new WebSocket(worker.url.replace("http", "ws"), ["echo"], { headers: { host: "misha.iterate.app" } })
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject))
    expect(socket.protocol).toBe("echo")
    for (const message of ["one", "two".repeat(50_000)]) {
      const echoed = new Promise((resolve) => socket.once("message", (data: Buffer) => resolve(data.toString())))
      socket.send(message)
      expect(await echoed).toBe(message)
    }
    const closed = new Promise((resolve) => socket.once("close", resolve))
    socket.close(4_000)
    expect(await closed).toBe(4_000)
  })

  it("serves a hundred requests at once, which share what is cached", async () => {
    await attach("crowd")
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, at) => {
        const response = await open("/", { host: "crowd.iterate.app", method: "POST", body: String(at) })
        return text(response)
      }),
    )
    expect(answers).toEqual(Array.from({ length: 100 }, (_, at) => String(at)))
  })

  it("forgets a detached project", async () => {
    await attach("brief")
    expect((await open("/", { host: "brief.iterate.app" })).resume().statusCode).toBe(200)
    await worker.detach("p:brief")
    expect((await open("/", { host: "brief.iterate.app" })).resume().statusCode).toBe(404)
  })
})
