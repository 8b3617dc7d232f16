/** What a client can try against the division of a server's requests between an app and the router mounted in it. */
import { createServer } from "node:http"
import { createServer as createTcpServer } from "node:net"
import type { AddressInfo } from "node:net"
import { describe, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import { closing, custom, get, Line, own, post, project, slowly, start, upgrade } from "../mount/world.ts"

describe.each([
  ["that knows at once", undefined],
  ["that has to be asked", slowly],
])("a client of a store %s", (_, store) => {
  const options = store === undefined ? {} : { store }

  it.each([
    ["two Hosts, the router's first", `Host: ${project}\r\nHost: ${own}`],
    ["two Hosts, the app's first", `Host: ${own}\r\nHost: ${project}`],
    ["two Hosts, one of a custom domain", `Host: ${own}\r\nHost: ${custom}`],
    ["the same Host twice", `Host: ${project}\r\nHOST: ${project}`],
    ["a user before the name", `Host: ${own}@${project}`],
    ["the name as a user", `Host: ${project}@${own}`],
    ["a path behind the name", `Host: ${project}/../${own}`],
    ["a list", `Host: ${own}, ${project}`],
    ["a space", `Host: ${project} ${own}`],
    ["an escape", `Host: ${project}%00.${own}`],
    ["an invalid port", `Host: ${project}:80:80`],
  ])("is refused with %s, by neither's app", async (_, fields) => {
    const { port, seen, machine } = await start(options)
    const text = await new Line(port).write(`GET / HTTP/1.1\r\n${fields}\r\n\r\n`).untilClosed()
    expect(text).toMatch(/^HTTP\/1.1 400 /)
    expect([seen, machine.requests]).toEqual([[], []])
  })

  it.each([
    ["capitals", `GET / HTTP/1.1\r\nHost: ${custom.toUpperCase()}`],
    ["a root dot", `GET / HTTP/1.1\r\nHost: ${project}.`],
    ["a port", `GET / HTTP/1.1\r\nHost: ${custom}:8443`],
    ["an absolute-form, whatever Host says", `GET http://${project}/ HTTP/1.1\r\nHost: ${own}`],
    ["an absolute-form in capitals", `GET HTTP://${project.toUpperCase()}/ HTTP/1.1\r\nHost: ${own}`],
  ])("reaches the machine with %s", async (_, head) => {
    const { port, seen, machine } = await start(options)
    await new Line(port).write(`${head}\r\n\r\n`).until("x-machine")
    expect([seen, machine.requests.length]).toEqual([[], 1])
  })

  it.each([
    ["an absolute-form of the app's, whatever Host says", `GET http://${own}/ HTTP/1.1\r\nHost: ${project}`],
    ["two Hosts of its own", `GET / HTTP/1.1\r\nHost: ${own}\r\nHost: other.example`],
    ["a Host that is no name", "GET / HTTP/1.1\r\nHost: a_b!c"],
    ["no Host, in HTTP/1.0", "GET / HTTP/1.0\r\nX: y"],
    ["a name that only ends alike", "GET / HTTP/1.1\r\nHost: notiterate.app"],
    [
      "a name in other fields",
      `GET / HTTP/1.1\r\nHost: ${own}\r\nX-Forwarded-Host: ${project}\r\nForwarded: host=${project}`,
    ],
    ["a name in the path", `GET //${project}/ HTTP/1.1\r\nHost: ${own}`],
  ])("reaches the app with %s, as without a router", async (_, head) => {
    const { port, seen, machine } = await start({ ...options, app: (_, response) => void response.end("app") })
    await new Line(port).write(`${head}\r\n\r\n`).until("app")
    expect([seen.length, machine.requests.length]).toEqual([1, 0])
  })

  it("has the request behind a body decided by itself, which an app did not read", async () => {
    const { port, seen, machine } = await start(options)
    const hidden = get(project, "/hidden")
    const line = new Line(port).write(post(own, "/a", hidden) + get(own, "/b"))
    await line.until("app /b")
    expect([seen, machine.requests]).toEqual([[`POST ${own} /a`, `GET ${own} /b`], []])
  })

  it("has as long as the app's server gives it for the body of a handshake that is the app's", async () => {
    const server = createServer({ requestTimeout: 200, headersTimeout: 200, connectionsCheckingInterval: 50 })
    const { port, seen } = await start({ ...options, server, app: () => undefined })
    const line = new Line(port).write(upgrade(own, "/slow", "Content-Length: 5"))
    const text = await line.untilClosed()
    expect(text).toMatch(/^HTTP\/1.1 408 /)
    expect(seen).toEqual([`GET ${own} /slow`])
  })

  it("has no second request behind a handshake, whoever takes or refuses it", async () => {
    const { port, server, seen, machine } = await start(options)
    const webSockets = new WebSocketServer({ server, path: "/socket" })
    closing.push(() => webSockets.close())
    webSockets.on("connection", (socket) => socket.on("error", () => undefined))
    for (const [host, path] of [
      [own, "/socket"],
      [own, "/refused"],
      [project, "/socket"],
      [project, "/x"],
    ] as const) {
      const line = new Line(port).write(upgrade(host, path) + get(host === own ? project : own, "/hidden"))
      await line.until("HTTP/1.1 ")
      line.socket.end()
      await line.untilClosed()
    }
    expect([seen, machine.requests.filter(({ url }) => url === "/hidden")]).toEqual([[], []])
  })

  it("has no second request behind a handshake that an app without WebSockets serves as a request", async () => {
    const { port, machine } = await start({ ...options })
    const line = new Line(port).write(upgrade(own, "/a", "Connection: close") + get(project, "/hidden"))
    await line.untilClosed()
    expect(machine.requests).toEqual([])
  })

  it("meets the app's own exception, which is uncaught as without a router", async (ctx) => {
    if ("Deno" in globalThis)
      ctx.skip("Deno reports an exception of a listener of node:http otherwise, without a router too")
    const { port, machine } = await start({
      ...options,
      app: ({ url }, response) => {
        if (url === "/throws") throw new Error("the app's")
        response.end("app")
      },
    })
    // The runner's own listeners would call it a failure of the test.
    const listeners = process.listeners("uncaughtException")
    process.removeAllListeners("uncaughtException")
    try {
      const thrown = new Promise((resolve) => process.once("uncaughtException", resolve))
      const line = new Line(port).write(get(own, "/throws"))
      expect(await thrown).toMatchObject({ message: "the app's" })
      line.socket.destroy()
    } finally {
      for (const listener of listeners) process.on("uncaughtException", listener)
    }
    await new Line(port).write(post(project, "/", "machine")).until("machine")
    expect(machine.requests).toHaveLength(1)
  })

  it("makes no hook of the app see the router's requests, handshakes and refusals", async () => {
    const { port, server } = await start({ ...options, app: false })
    const told: string[] = []
    for (const name of ["request", "upgrade", "checkContinue", "checkExpectation", "connect", "dropRequest"] as const)
      server.on(name, () => void told.push(name))
    await new Line(port).write(post(custom, "/", "a", "Expect: 100-continue")).until("x-machine")
    await new Line(port).write(post(custom, "/", "a", "Expect: b")).until("417")
    await new Line(port).write(upgrade(custom)).until("101")
    await new Line(port).write(get(custom, "/", "Connection: upgrade", "Upgrade: h2c")).until("x-machine")
    await new Line(port).write(get("nobody.iterate.app")).until("404")
    expect(told).toEqual([])
  })
})

describe("a client", () => {
  it("that reads nothing stops the machine after a bounded number of bytes", async () => {
    let written = 0
    let full = (): void => {}
    const stalled = new Promise<void>((resolve) => (full = resolve))
    const piece = Buffer.alloc(65_536)
    const machine = createServer((_, response) => {
      response.setHeader("x-iterate-proxy-stamp", "unproven")
      const write = (): void => {
        while (response.write(piece)) written += piece.length
        written += piece.length
        const timer = setTimeout(full, 300)
        response.once("drain", () => {
          clearTimeout(timer)
          write()
        })
      }
      write()
    })
    await new Promise<void>((resolve) => machine.listen(0, "127.0.0.1", resolve))
    closing.push(() => machine.close().closeAllConnections())
    const { port, server } = await start({ machinePort: (machine.address() as AddressInfo).port })
    let queued = 0
    server.on("connection", (socket) => {
      const timer = setInterval(() => (queued = Math.max(queued, socket.writableLength)), 5)
      socket.once("close", () => clearInterval(timer))
    })
    const line = new Line(port)
    line.socket.pause()
    line.write(get(project))
    await stalled
    // What the kernel holds for two connections on loopback is some megabytes; what this process holds is not.
    expect(queued).toBeLessThan(512 * 1024)
    expect(written).toBeLessThan(64 * 1024 * 1024)
  })

  it("that sends more than the machine reads is stopped after a bounded number of bytes", async () => {
    const machine = createTcpServer((socket) => void socket.pause())
    await new Promise<void>((resolve) => machine.listen(0, "127.0.0.1", resolve))
    closing.push(() => machine.close())
    const { port } = await start({ machinePort: (machine.address() as AddressInfo).port })
    const line = new Line(port).write(`POST / HTTP/1.1\r\nHost: ${project}\r\nTransfer-Encoding: chunked\r\n\r\n`)
    const piece = `10000\r\n${"a".repeat(65_536)}\r\n`
    let sent = 0
    const stalled = () =>
      new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(true), 300)
        line.socket.write(piece, () => {
          clearTimeout(timer)
          resolve(false)
        })
      })
    while (!(await stalled())) sent += piece.length
    expect(sent).toBeLessThan(64 * 1024 * 1024)
  })

  it("that sends a request in two pieces, and another host's in the second, crosses nothing", async () => {
    const { port, seen, machine } = await start()
    const line = new Line(port).write(`POST /a HTTP/1.1\r\nHost: ${project}\r\nContent-Length: 4\r\n\r\nab`)
    line.write(`cd${get(own, "/b")}${post(project, "/c", "the end")}`)
    expect(await line.until("the end")).toMatch(/abcd[^]*app \/b[^]*the end/)
    expect(seen).toEqual([`GET ${own} /b`])
    expect(new Set(machine.requests.map(({ url }) => url))).toEqual(new Set(["/a", "/c"]))
  })
})
