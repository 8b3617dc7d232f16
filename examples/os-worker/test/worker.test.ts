import type { IncomingMessage, ServerResponse } from "node:http"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startMachine } from "./machine.ts"
import type { TestMachine } from "./machine.ts"
import { bytesOf, echoOf, openSocket, textOf, visit } from "./visitor.ts"
import type { Visit } from "./visitor.ts"
import { startWorker } from "./workerd.ts"
import type { RunningWorker } from "./workerd.ts"

const zipped = gzipSync("zipped ".repeat(1_000))
let machine: TestMachine
let worker: RunningWorker
let seen: IncomingMessage
let eventsClosed: Promise<void>

const respond = (request: IncomingMessage, response: ServerResponse): void => {
  seen = request
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

beforeAll(async () => {
  machine = await startMachine(respond)
  worker = await startWorker({ signing: machine.signing, domain: "iterate.app" })
  await attach("misha")
})
afterAll(async () => {
  await worker.dispose()
  await machine.close()
})

const attach = (slug: string) => {
  const { port } = machine
  return worker.attach(`p:${slug}`, { machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port } } })
}
const open = (path: string, asked?: Visit) => visit(worker.url, path, asked)

describe("the Worker in workerd", () => {
  it("passes a body both ways, with a ticket and without a trace of the hop", async () => {
    const response = await open("/a//b?q=%20", { method: "POST", body: "hello", host: "4096__misha.iterate.app" })
    expect([response.statusCode, await textOf(response)]).toEqual([200, "hello"])
    expect(response.headers["set-cookie"]).toEqual(["a=1", "b=2, still b"])
    expect(Object.keys(response.headers).filter((name) => name.startsWith("x-iterate"))).toEqual([])
    expect([seen.method, seen.url]).toEqual(["POST", "/a//b?q=%20"])
    expect(seen.headers["x-iterate-proxy-target-host"]).toBe("4096__misha.iterate.app")
    expect(await machine.verify(seen.headers["x-iterate-proxy-ticket"] as string)).not.toHaveProperty("refusal")
  })

  it("leaves foreign hostnames to its own app", async () => {
    for (const host of ["iterate.app", "example.com"]) {
      expect(await textOf(await open("/home", { host }))).toBe("the OS itself: /home")
    }
  })

  it.each([
    ["nobody.iterate.app", 404, "ROUTE_NOT_FOUND"],
    ["0__misha.iterate.app", 400, "HOSTNAME_MALFORMED"],
    ["web--misha.iterate.app", 404, "ROUTE_NOT_FOUND"],
  ])("answers %s with %i", async (host, status, code) => {
    const response = await open("/", { host, headers: { accept: "application/json" } })
    const requestId = response.headers["x-iterate-proxy-request-id"]
    expect([response.statusCode, JSON.parse(await textOf(response))]).toMatchObject([
      status,
      { error: code, requestId },
    ])
  })

  it("passes coded octets as they are, empty answers, redirects and the app's own failures", async () => {
    const coded = await open("/gzip", { headers: { "accept-encoding": "gzip" } })
    expect(coded.headers["content-encoding"]).toBe("gzip")
    expect((await bytesOf(coded)).equals(zipped)).toBe(true)
    expect((await open("/empty")).resume().statusCode).toBe(204)
    const redirect = (await open("/redirect")).resume()
    expect([redirect.statusCode, redirect.headers.location]).toEqual([307, "/elsewhere"])
    const broken = await open("/broken")
    expect([broken.statusCode, await textOf(broken)]).toEqual([500, "the app's own"])
  })

  it("streams events as they come and ends with the client", async () => {
    const response = await open("/events")
    expect(await new Promise((resolve) => response.once("data", (data) => resolve(String(data))))).toBe("data: 1\n\n")
    response.destroy()
    // workerd sees that a client has left when it writes to it.
    await eventsClosed
  })

  it("passes a WebSocket with its protocol", async () => {
    const socket = await openSocket(worker.url)
    expect(socket.protocol).toBe("echo")
    for (const message of ["one", "two".repeat(50_000)]) {
      expect(await echoOf(socket, message)).toBe(message)
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
        return textOf(response)
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
