import { Agent, request as httpRequest } from "node:http"
import type { IncomingMessage } from "node:http"
import { connect } from "node:net"
import { local } from "@project-ingress/providers/local"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocket } from "ws"
import { serveNode } from "../src/hosts/node.ts"
import type { Listening, NodeHost } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import type { RouterEvent } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { hostnames, keys } from "./fakes.ts"
import { startMachine } from "./machine.ts"
import type { StampedServer } from "./machine.ts"

const routes = memoryStore()
const events: RouterEvent[] = []
let machine: StampedServer
let host: NodeHost
let listening: Listening

const router = createRouter({
  grammar: hostnames,
  store: routes,
  providers: [local()],
  signingKey: keys.signing,
  unprovenMachines: true,
  onEvent: (event) => events.push(event),
})
const at = (port: number) => ({ machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port } } })

beforeAll(async () => {
  machine = await startMachine()
  routes.attach("p:misha", at(machine.port))
  host = serveNode(router, {
    fallback: async (request) =>
      new Response(`own app: ${request.method} ${new URL(request.url).pathname} ${await request.text()}`, {
        status: 201,
      }),
  })
  listening = await host.listen({ hostname: "127.0.0.1" })
})
afterAll(async () => {
  await listening.close({ deadlineMs: 100 })
  await machine.close()
})

interface Asked {
  readonly host?: string
  readonly method?: string
  readonly body?: string
  readonly headers?: Record<string, string>
}
const open = (path: string, { host = "misha.iterate.app", method = "GET", body, headers }: Asked = {}) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    const request = httpRequest(
      { host: "127.0.0.1", port: listening.port, path, method, headers: { host, ...headers }, agent: false },
      resolve,
    )
    request.on("error", reject)
    request.end(body)
  })
const text = async (response: IncomingMessage) => {
  let all = ""
  for await (const chunk of response) all += String(chunk)
  return all
}

describe("a router on sockets", () => {
  it("passes a request and its answer, without a trace of the hop", async () => {
    const response = await open("/echo", {
      method: "POST",
      body: "hello",
      headers: { "x-iterate-proxy-via": "spoofed" },
    })
    expect([response.statusCode, await text(response)]).toEqual([200, "hello"])
    expect(response.headers["set-cookie"]).toEqual(["a=1", "b=2"])
    expect(Object.keys(response.headers).filter((name) => name.startsWith("x-iterate"))).toEqual([])
    const { headers } = machine.requests.at(-1)!
    expect(headers).toMatchObject({
      host: `127.0.0.1:${machine.port}`,
      "x-iterate-proxy-target-host": "3000__misha.iterate.app",
      "x-iterate-proxy-fwd-host": "localhost:3000",
      "x-iterate-proxy-fwd-x-forwarded-for": "127.0.0.1",
      "x-iterate-proxy-fwd-x-iterate-proxy-public-origin": "http://misha.iterate.app",
      via: "1.1 ingress-router",
    })
    expect(headers).not.toHaveProperty("x-iterate-proxy-via")
    expect(events.at(-1)).toMatchObject({ status: 200, machine: "mach_1" })
  })

  it("passes a body of 8 MiB both ways", async () => {
    const body = "0123456789abcdef".repeat(512 * 1024)
    expect((await text(await open("/echo", { method: "POST", body }))) === body).toBe(true)
  })

  it("streams events as they come and tells the app that the client left", async () => {
    const response = await open("/events")
    const first = await new Promise((resolve) => response.once("data", (data) => resolve(String(data))))
    expect(first).toBe("data: 1\n\n")
    const left = new Promise((resolve) => machine.requests.at(-1)!.socket.once("close", resolve))
    response.destroy()
    await left
  })

  it("passes a WebSocket with its protocol", async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${listening.port}/ws`, ["echo"], {
      headers: { host: "misha.iterate.app" },
    })
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject))
    expect(socket.protocol).toBe("echo")
    for (const message of ["one", "two".repeat(50_000)]) {
      const echoed = new Promise((resolve) => socket.once("message", (data: Buffer) => resolve(data.toString())))
      socket.send(message)
      expect(await echoed).toBe(message)
    }
    expect(events.at(-1)).toMatchObject({ status: 101, machine: "mach_1" })
    socket.close()
    await new Promise((resolve) => socket.once("close", resolve))
  })

  it("passes the code of the machine proxy's own failures", async () => {
    const response = (await open("/closed")).resume()
    expect([response.statusCode, response.headers["x-iterate-proxy-error"]]).toEqual([502, "PORT_CLOSED"])
  })

  it("replaces them by a platform's own, and the connection goes on", async () => {
    const replacing = createRouter({
      grammar: hostnames,
      store: routes,
      providers: [local()],
      signingKey: keys.signing,
      unprovenMachines: true,
      errorResponses: { PortClosed: () => ({ status: 503, headers: [], body: "ours" }) },
    })
    const other = await serveNode(replacing).listen({ hostname: "127.0.0.1" })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const answers: unknown[] = []
    for (const path of ["/closed", "/echo"]) {
      const options = { host: "127.0.0.1", port: other.port, path, headers: { host: "misha.iterate.app" }, agent }
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        httpRequest(options, resolve).on("error", reject).end()
      })
      answers.push([response.statusCode, response.headers["x-iterate-proxy-error"], await text(response)])
    }
    agent.destroy()
    await other.close({ deadlineMs: 0 })
    expect(answers).toEqual([
      [503, "PORT_CLOSED", "ours"],
      [200, undefined, ""],
    ])
  })

  it("does not follow redirects", async () => {
    const response = await open("/redirect")
    expect([response.statusCode, response.headers.location]).toEqual([302, "/elsewhere"])
    response.resume()
  })

  it.each([
    ["nobody.iterate.app", 404, "ROUTE_NOT_FOUND"],
    ["0__misha.iterate.app", 400, "HOSTNAME_MALFORMED"],
    ["misha.iterate.app:99999", 400, "REQUEST_MALFORMED"],
  ])("answers %s by itself: %i", async (host, status, code) => {
    const response = await open("/", { host, headers: { accept: "application/json" } })
    const requestId = response.headers["x-iterate-proxy-request-id"]
    expect([response.statusCode, JSON.parse(await text(response))]).toMatchObject([status, { error: code, requestId }])
  })

  it("is a 502 where nothing listens, a 503 where another machine answers", async () => {
    const gone = await startMachine()
    await gone.close()
    routes.attach("p:gone", at(gone.port))
    const refused = await open("/", { host: "gone.iterate.app" })
    expect([refused.statusCode, await text(refused)]).toEqual([502, expect.stringContaining("PORT_CLOSED")])
    const misdirected = await open("/misdirected")
    expect([misdirected.statusCode, await text(misdirected)]).toEqual([
      503,
      expect.stringContaining("MACHINE_MISMATCH"),
    ])
  })

  it("asks the machine a route was just moved to, and never answers from the last one", async () => {
    const next = await startMachine("mach_2")
    const stale = { kind: "machine" as const, ...at(machine.port), version: 1, epoch: 1 }
    const fresh = {
      kind: "machine" as const,
      machine: { ...at(next.port).machine, id: "mach_2" },
      version: 2,
      epoch: 2,
    }
    const moving = serveNode(
      createRouter({
        grammar: hostnames,
        providers: [local()],
        signingKey: keys.signing,
        unprovenMachines: true,
        store: { get: (_, { refresh }) => ({ status: "hit", record: refresh === true ? fresh : stale }) },
      }),
    )
    const at2 = await moving.listen({ hostname: "127.0.0.1" })
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest(
        { host: "127.0.0.1", port: at2.port, path: "/misdirected", headers: { host: "misha.iterate.app" } },
        resolve,
      ).end()
    })
    expect([response.statusCode, response.headers["x-machine"], next.requests.length]).toEqual([200, "mach_2", 1])
    response.resume()
    await at2.close({ deadlineMs: 0 })
    await next.close()
  })

  it("leaves foreign hostnames to the app given, body and all", async () => {
    const response = await open("/mine?q", { host: "example.com", method: "PUT", body: "to you" })
    expect([response.statusCode, await text(response)]).toEqual([201, "own app: PUT /mine to you"])
  })

  it("keeps the connection when that app does not read a body", async () => {
    const ignoring = await serveNode(router, { fallback: () => new Response("unread") }).listen({
      hostname: "127.0.0.1",
    })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const ask = (host: string) =>
      new Promise<string>((resolve, reject) => {
        const options = { agent, host: "127.0.0.1", port: ignoring.port, method: "POST", headers: { host } }
        httpRequest(options, (response) => void text(response).then(resolve, reject))
          .on("error", reject)
          .end("a body")
      })
    for (let turn = 0; turn < 5; turn++) {
      expect(await ask("example.com")).toBe("unread")
      expect(await ask("misha.iterate.app")).toBe("a body")
    }
    agent.destroy()
    await ignoring.close({ deadlineMs: 0 })
  })

  it("is a 500 when that app throws, and says so to the log", async () => {
    const failures: unknown[] = []
    const throwing = await serveNode(router, {
      fallback: () => Promise.reject(new Error("mine")),
      onEvent: (event) => event.type === "error" && failures.push(event.cause),
    }).listen({ hostname: "127.0.0.1" })
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest({ host: "127.0.0.1", port: throwing.port, headers: { host: "example.com" } }, resolve).end()
    })
    expect([response.resume().statusCode, failures]).toEqual([500, [new Error("mine")]])
    await throwing.close({ deadlineMs: 0 })
  })

  it.each([
    [undefined, "fallback must give a Response, got undefined"],
    ["text", "fallback must give a Response, got a string"],
  ])("is a 500 when that app gives %j, and the event says what it must give", async (given, reason) => {
    const failures: unknown[] = []
    const mistaken = await serveNode(router, {
      fallback: () => given as unknown as Response,
      onEvent: (event) => event.type === "error" && failures.push(event.reason),
    }).listen({ hostname: "127.0.0.1" })
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest({ host: "127.0.0.1", port: mistaken.port, headers: { host: "example.com" } }, resolve).end()
    })
    expect([response.resume().statusCode, failures]).toEqual([500, [reason]])
    await mistaken.close({ deadlineMs: 0 })
  })

  it("is a 404 for foreign hostnames when no app is given", async () => {
    const bare = await serveNode(router).listen({ hostname: "127.0.0.1" })
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest({ host: "127.0.0.1", port: bare.port, headers: { host: "example.com" } }, resolve).end()
    })
    expect(response.statusCode).toBe(404)
    response.resume()
    await bare.close({ deadlineMs: 0 })
  })

  it("answers what is no HTTP with 400 and lives on", async () => {
    const raw = await new Promise<string>((resolve) => {
      const socket = connect(listening.port, "127.0.0.1", () =>
        socket.end("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
      )
      let all = ""
      socket.on("data", (data) => (all += String(data))).on("close", () => resolve(all))
    })
    expect(raw).toMatch(/^HTTP\/1\.1 400 /)
    expect((await open("/echo")).resume().statusCode).toBe(200)
  })

  it("drains: accepts no more, and ends what is left at the deadline", async () => {
    const second = serveNode(router)
    const at3 = await second.listen({ hostname: "127.0.0.1" })
    const socket = new WebSocket(`ws://127.0.0.1:${at3.port}/ws`, { headers: { host: "misha.iterate.app" } })
    await new Promise((resolve) => socket.once("open", resolve))
    expect(second.connections()).toBe(1)
    const closed = new Promise((resolve) => socket.once("close", resolve).once("error", resolve))
    await at3.close({ deadlineMs: 50 })
    await closed
    expect(second.connections()).toBe(0)
    await expect(
      new Promise((resolve, reject) => connect(at3.port, "127.0.0.1", () => resolve("open")).on("error", reject)),
    ).rejects.toThrow("ECONNREFUSED")
  })
})
