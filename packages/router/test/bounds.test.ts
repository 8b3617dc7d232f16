import { connect } from "node:net"
import type { Socket } from "node:net"
import { local } from "@project-ingress/providers/local"
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { serveNode } from "../src/hosts/node.ts"
import type { NodeOptions } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import type { RouterEvent } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import type { RouteInput } from "../src/stores/memory.ts"
import { hostnames, keys } from "./fakes.ts"
import { startMachine } from "./machine.ts"
import type { StampedServer } from "./machine.ts"

let app: StampedServer
beforeAll(async () => {
  app = await startMachine()
})
afterAll(() => app.close())

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** Of two tenants: `org_1` has the projects misha and second, with a domain, `org_2` has anna. */
const routes = (): Record<`${"p" | "d"}:${string}`, RouteInput> => {
  const machine = (id: string) => ({ id, type: "local", externalId: id, metadata: { port: app.port } })
  const misha = { owner: "org_1", machine: machine("mach_1"), ports: { 9000: { minBodyRate: 0 } } }
  return {
    "p:misha": misha,
    "d:www.example.com": misha,
    "p:second": { owner: "org_1", machine: machine("mach_2") },
    "p:shared": { owner: "org_3", machine: machine("mach_1") },
    "p:anna": { owner: "org_2", machine: machine("mach_3") },
    "p:alone": { machine: machine("mach_4") },
  }
}

/** `noProxies` false: nobody says whether there is one. */
const listen = async (options: NodeOptions = {}, noProxies = true) => {
  const events: RouterEvent[] = []
  const router = createRouter({
    grammar: hostnames,
    store: memoryStore(routes()),
    providers: [local()],
    signingKey: keys.signing,
    unprovenMachines: true,
    onEvent: (event) => events.push(event),
  })
  const host = serveNode(router, {
    ...(noProxies ? { trustedProxies: [] } : {}),
    fallback: () => new Response("own app"),
    ...options,
  })
  const { port, close } = await host.listen({ hostname: "127.0.0.1" })
  closing.push(() => close({ deadlineMs: 0 }))
  return { port, host, events, reached: () => events.filter(({ type }) => type === "bound_reached") }
}

/** One connection of a client; `from`: its address on loopback. */
class Client {
  readonly socket: Socket
  text = ""
  readonly #changes: (() => void)[] = []

  constructor(port: number, from = "127.0.0.1") {
    this.socket = connect({ port, host: "127.0.0.1", localAddress: from })
    const changed = () => {
      for (const change of this.#changes.splice(0)) change()
    }
    this.socket.on("data", (bytes) => {
      this.text += bytes.toString("latin1")
      changed()
    })
    this.socket.on("error", () => undefined)
    this.socket.on("close", changed)
    closing.push(() => this.socket.destroy())
  }

  send(text: string): this {
    this.socket.write(text, "latin1")
    return this
  }

  /** The status of the response, once a text has come. */
  async status(until = "\r\n\r\n"): Promise<number> {
    while (!this.text.includes(until) && !this.socket.closed)
      await new Promise<void>((resolve) => this.#changes.push(resolve))
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(this.text)?.[1])
  }

  /** The code of an error response. */
  get code(): string | undefined {
    return /^x-iterate-proxy-error: (.*)$/im.exec(this.text)?.[1]
  }

  async close(): Promise<void> {
    this.socket.destroy()
    if (!this.socket.closed) await new Promise((resolve) => this.socket.once("close", resolve))
  }
}

const project = (name: string) => `${name}.iterate.app`
const get = (host: string, more = "", path = "/") => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`
/** Stays in flight until its client leaves. */
const stream = (host: string, more = "") => get(host, more, "/events")
const webSocket = (host: string, more = "") =>
  get(
    host,
    `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${"A".repeat(22)}==\r\n${more}`,
  )

/** Sends it by so many connections, and gives the statuses. */
const many = async (port: number, count: number, text: string, from?: string) => {
  const clients = Array.from({ length: count }, () => new Client(port, from).send(text))
  const statuses = await Promise.all(clients.map((client) => client.status()))
  return { clients, with: (status: number) => clients.filter((_, at) => statuses[at] === status) }
}
const ask = async (port: number, text: string, from?: string) => {
  const client = new Client(port, from).send(text)
  return { status: await client.status(), code: client.code, text: client.text }
}
const eventually = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe("a tenant with 1 000 silent WebSockets, as many as the host has connections", () => {
  it("has a quarter of the host, and everybody else is served", async () => {
    const { port, reached } = await listen({ limits: { maxConnections: 1_000 }, bounds: { client: false } })
    const attack = await many(port, 1_000, webSocket(project("misha")))
    expect(attack.with(101)).toHaveLength(250)
    expect(attack.with(503).map(({ code }) => code)).toEqual(Array.from({ length: 750 }, () => "PROJECT_LIMITED"))
    expect(await ask(port, get(project("anna")))).toMatchObject({ status: 200 })
    // Its own requests are others than its WebSockets.
    expect(await ask(port, get(project("misha")))).toMatchObject({ status: 200 })
    expect(reached()[0]).toEqual({
      type: "bound_reached",
      bound: "project",
      of: "webSockets",
      key: "owner org_1",
      limit: 250,
      count: 1,
    })
  })
})

describe("1 024 posts of one byte, as many as a machine has connections", () => {
  const post = `POST /upload HTTP/1.1\r\nHost: ${project("misha")}\r\nContent-Length: 2\r\n\r\nx`

  it("take half of them, and other clients reach the machine", async () => {
    const { port, host, reached } = await listen()
    const { maxConnections, maxConnectionsPerPool } = host.limits
    expect(maxConnectionsPerPool).toBe(1_024)
    // Where the process has few descriptors, it is an eighth of the connections that these allow.
    const half = Math.min(512, Math.floor(maxConnections / 8))
    const before = app.requests.length
    const attack = Array.from({ length: 1_024 }, () => new Client(port).send(post))
    await eventually(() => app.requests.length - before === half)
    await eventually(() => attack.filter(({ code }) => code === "CLIENT_LIMITED").length === 1_024 - half)
    expect(await ask(port, get(project("misha")), "127.0.0.2")).toMatchObject({ status: 200 })
    expect(reached()[0]).toMatchObject({ bound: "client", of: "requests", key: "127.0.0.1", limit: half })
  })

  it("are over after the grace, unless the port says that its bodies may be slow", async () => {
    const { port } = await listen({ limits: { minBodyRateGraceMs: 200 } })
    const slow = new Client(port).send(post.replace("Host: misha", "Host: 9000__misha"))
    const attack = new Client(port).send(post)
    expect([await attack.status(), attack.code]).toEqual([408, "REQUEST_TIMEOUT"])
    await new Promise((resolve) => attack.socket.once("close", resolve))
    slow.send("y")
    expect(await slow.status()).toBe(200)
  })
})

describe("a client at its bound", () => {
  it("of connections is refused before it has sent anything; others are served", async () => {
    const { port, reached } = await listen({ bounds: { client: { connections: 2 } } })
    const open = await many(port, 2, stream(project("misha")))
    expect(open.with(200)).toHaveLength(2)
    const third = new Client(port)
    expect(await third.status("CLIENT_LIMITED")).toBe(429)
    expect(third.text).toContain("Retry-After: 1\r\n")
    expect(await ask(port, get(project("misha")), "127.0.0.2")).toMatchObject({ status: 200 })
    expect(reached()).toMatchObject([{ bound: "client", of: "connections", key: "127.0.0.1", limit: 2, count: 1 }])
    await open.clients[0]!.close()
    await eventually(async () => (await ask(port, get(project("misha")))).status === 200)
  })

  it("of requests gets 429 until one of them is over, and keeps its connection; others are served", async () => {
    const { port } = await listen({ bounds: { client: { requests: 2 } } })
    const { clients } = await many(port, 2, stream(project("misha")))
    const third = new Client(port).send(get(project("anna")))
    expect([await third.status(), third.code]).toEqual([429, "CLIENT_LIMITED"])
    expect(await ask(port, get(project("misha")), "127.0.0.2")).toMatchObject({ status: 200 })
    await clients[0]!.close()
    await eventually(async () => {
      third.text = ""
      return (await third.send(get(project("anna"))).status("\r\n\r\n")) === 200
    })
  })

  it("of WebSockets gets 429; others, and its own requests, are served", async () => {
    const { port } = await listen({ bounds: { client: { webSockets: 2 } } })
    const { clients } = await many(port, 2, webSocket(project("misha")))
    expect(await ask(port, webSocket(project("anna")))).toMatchObject({ status: 429, code: "CLIENT_LIMITED" })
    expect(await ask(port, webSocket(project("misha")), "127.0.0.2")).toMatchObject({ status: 101 })
    expect(await ask(port, get(project("misha")))).toMatchObject({ status: 200 })
    await clients[0]!.close()
    await eventually(async () => (await ask(port, webSocket(project("anna")))).status === 101)
  })

  it("is its /64 in IPv6, and what the PROXY protocol says it is", async () => {
    const { port, reached } = await listen({
      trustedProxies: ["127.0.0.1/32"],
      proxyProtocol: true,
      bounds: { client: { connections: 1 } },
    })
    const from = (address: string) => ask(port, `PROXY TCP6 ${address} ::1 1 2\r\n${stream(project("misha"))}`)
    expect(await from("2001:db8:1:2::7")).toMatchObject({ status: 200 })
    expect(await from("2001:db8:1:2:ffff::9")).toMatchObject({ status: 429 })
    expect(await from("2001:db8:1:3::7")).toMatchObject({ status: 200 })
    expect(await from("::ffff:192.0.2.7")).toMatchObject({ status: 200 })
    expect(reached()).toMatchObject([{ key: "2001:db8:1:2::/64" }])
  })

  it("is the one that a trusted proxy names, whose own connections are not counted", async () => {
    const { port, reached } = await listen({
      trustedProxies: ["127.0.0.1/32"],
      bounds: { client: { connections: 1, requests: 2 } },
    })
    const of = (client: string) => stream(project("misha"), `X-Forwarded-For: ${client}\r\n`)
    expect((await many(port, 3, of("192.0.2.1"))).with(429)).toHaveLength(1)
    expect((await many(port, 3, of("192.0.2.2, 192.0.2.1"))).with(429)).toHaveLength(3)
    expect((await many(port, 3, of("192.0.2.2"))).with(429)).toHaveLength(1)
    // Not a proxy: what it says of itself is not read.
    expect((await many(port, 2, of("192.0.2.9"), "127.0.0.2")).with(429)).toHaveLength(1)
    expect(reached().every((event) => "key" in event && event.key !== "127.0.0.1")).toBe(true)
  })

  it("is counted for hostnames that are not ours, too", async () => {
    const { port } = await listen({ bounds: { client: { requests: 1 } } })
    const held = new Client(port).send("POST / HTTP/1.1\r\nHost: own.example\r\nContent-Length: 9\r\n\r\n")
    expect(await held.status()).toBe(200)
    await many(port, 1, stream(project("misha")))
    expect(await ask(port, get("own.example"))).toMatchObject({ status: 429 })
  })
})

describe("a project at its bound", () => {
  it("is what its records say it is, under every hostname; others are served", async () => {
    const { port, events } = await listen({ bounds: { project: { requests: 2 } } })
    const { clients } = await many(port, 2, stream(project("misha")))
    const refused = { status: 503, code: "PROJECT_LIMITED" }
    for (const host of ["misha.iterate.app", "4096__misha.iterate.app", "www.example.com", "second.iterate.app"])
      expect(await ask(port, get(host))).toMatchObject(refused)
    for (const name of ["anna", "shared", "alone"])
      expect(await ask(port, get(project(name)))).toMatchObject({ status: 200 })
    expect(events.find((event) => event.type === "request" && event.status === 503)).toMatchObject({
      status: 503,
      error: "ProjectLimited",
      reason: "owner org_1 has 2 requests in flight or WebSockets, as many as it may have",
    })
    await clients[0]!.close()
    await eventually(async () => (await ask(port, get("www.example.com"))).status === 200)
  })

  it("shows a page that names it to a browser, and reloads", async () => {
    const { port } = await listen({ bounds: { project: { requests: 1 } } })
    await many(port, 1, stream(project("misha")))
    const client = new Client(port).send(get(project("misha"), "Accept: text/html\r\nConnection: close\r\n"))
    await client.status("</html>")
    expect(client.text).toContain("Too many requests or WebSockets of project misha are open.")
  })
})

describe("a machine at its bound", () => {
  it("refuses whoever leads there; other machines of the project are reached", async () => {
    const { port, reached } = await listen({ bounds: { machine: { requests: 2 } } })
    await many(port, 2, stream(project("misha")))
    expect(await ask(port, get(project("misha")))).toMatchObject({ status: 503, code: "MACHINE_LIMITED" })
    expect(await ask(port, get(project("shared")))).toMatchObject({ status: 503, code: "MACHINE_LIMITED" })
    expect(await ask(port, get(project("second")))).toMatchObject({ status: 200 })
    expect(reached()[0]).toMatchObject({ bound: "machine", of: "requests", key: "mach_1", limit: 2 })
  })
})

describe("while most requests come from one private address", () => {
  const burst = async (port: number, count: number) => {
    const client = new Client(port)
    for (let i = 0; i < count; i++) {
      client.text = ""
      await client.send(get("own.example")).status("own app")
    }
    await client.close()
  }
  const bounds = { client: { requests: 2 } }

  it("bounds per client are off, with a warning, if nobody said whether it is a proxy's", async () => {
    const { port, events } = await listen({ bounds }, false)
    const before = await many(port, 3, stream(project("misha")))
    expect(before.with(429)).toHaveLength(1)
    for (const client of before.clients) await client.close()
    await eventually(async () => (await ask(port, get("own.example"))).status === 200)
    await burst(port, 256)
    expect(events.filter(({ type }) => type === "client_bounds")).toEqual([
      {
        type: "client_bounds",
        active: false,
        reason: expect.stringContaining("from 127.0.0.1, as from a load balancer"),
      },
    ])
    expect((await many(port, 3, stream(project("misha")))).with(200)).toHaveLength(3)
  })

  it("they are on if trustedProxies says that there is none", async () => {
    const { port, events } = await listen({ bounds })
    await burst(port, 256)
    expect((await many(port, 3, stream(project("misha")))).with(429)).toHaveLength(1)
    expect(events.filter(({ type }) => type === "client_bounds")).toEqual([])
  })
})

describe("what is refused", () => {
  it("is counted by a metric, each, and reported once a second", async () => {
    const counted = () =>
      Metric.snapshotUnsafe(Context.empty())
        .filter(({ id, attributes }) => id === "ingress_refused_total" && attributes?.["bound"] === "machine")
        .map(({ attributes, state }) => [attributes?.["of"], (state as { readonly count: number }).count])
    const before = Object.fromEntries(counted())["webSockets"] ?? 0
    const { port, reached } = await listen({ bounds: { machine: { webSockets: 1 } } })
    await many(port, 1, webSocket(project("misha")))
    expect((await many(port, 50, webSocket(project("misha")))).with(503)).toHaveLength(50)
    expect(Object.fromEntries(counted())["webSockets"]).toBe(before + 50)
    expect(reached().length).toBeLessThan(50)
  })
})

describe("bounds", () => {
  it.each<[object, string]>([
    [{ clients: {} }, "bounds.clients is not an option (did you mean bounds.client?)"],
    [{ client: true }, "bounds.client must be an object or false, got true"],
    [{ client: { request: 1 } }, "bounds.client.request is not an option"],
    [{ project: { connections: 1 } }, "bounds.project.connections is not an option"],
    [{ machine: { webSockets: 0 } }, "bounds.machine.webSockets must be an integer from 1 up, got 0"],
  ])("are checked when they are given: %j", (bounds, message) => {
    const router = createRouter({
      grammar: hostnames,
      store: memoryStore(),
      providers: [local()],
      signingKey: keys.signing,
    })
    expect(() => serveNode(router, { bounds })).toThrow(message)
  })
})
