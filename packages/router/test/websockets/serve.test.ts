import { once } from "node:events"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { App, Client, ok } from "../../../machine-proxy/test/catalogue/harness.ts"
import { machine, signing } from "../../../machine-proxy/test/harness.ts"
import { cases } from "../hosts/cases.ts"
import { startMachine } from "../hosts/hosts.ts"
import type { RunningHost } from "../hosts/hosts.ts"
import { startServed } from "./hosts.ts"
import type { ServedHost } from "./hosts.ts"
import { begin, BINARY, CLOSE, headOf, open, RawApp, TEXT } from "./raw-socket.ts"

const runtimes = ["bun", "deno"] as const
let proxy: RunningHost
const hosts = new Map<string, ServedHost>()
let app: RawApp

beforeAll(async () => {
  proxy = await startMachine()
  const setup = { machine, port: proxy.port, signingKey: signing }
  await Promise.all(runtimes.map(async (runtime) => hosts.set(runtime, await startServed(runtime, setup))))
}, 60_000)
afterAll(async () => {
  await Promise.all([...hosts.values()].map((host) => host.close()))
  await proxy.close()
})
beforeEach(async () => {
  app = await new RawApp().listen()
})
afterEach(() => app.close())

/** A response of the raw connection, until it has all of the text. */
const refusalOf = async (opening: Parameters<typeof begin>[0], text: string): Promise<string> => {
  const socket = begin(opening)
  const { head, rest } = await headOf(socket)
  let body = rest.toString()
  const over = once(socket, "close").then(() => Promise.reject(new Error(`no ${text}: ${head}\r\n\r\n${body}`)))
  over.catch(() => undefined)
  while (!head.includes(" 101 ") && !body.includes(text))
    body += String((await Promise.race([once(socket, "data"), over]))[0])
  socket.destroy()
  return `${head}\r\n\r\n${body}`
}

describe.each(runtimes)("under %s", (runtime) => {
  const port = () => hosts.get(runtime)!.port
  const host = () => `${app.port}__misha.iterate.app`

  it("passes a refusal of the app, with its fields and body", async () => {
    app.respond = () => undefined
    const text = await refusalOf({ port: port(), host: host() }, "not here")
    expect(text).toMatch(/^HTTP\/1.1 403 /)
    expect(text.toLowerCase()).toContain("x-app: 1")
    expect(text.toLowerCase()).not.toContain("x-iterate")
  })

  it("has the policies decide about a handshake, by its path and its fields", async () => {
    for (const opening of [{ path: "/?deny" }, { fields: ["Sec-WebSocket-Protocol: forbidden"] }])
      expect(await refusalOf({ port: port(), host: host(), ...opening }, "ACCESS_DENIED")).toMatch(/^HTTP\/1.1 403 /)
    expect(app.connections).toEqual([])
  })

  it("sends the app the visitor's address and host, and nothing that the client claims of itself", async () => {
    const fields = ["X-Forwarded-For: 6.6.6.6", "X-Iterate-Proxy-Ticket: mine", "X-Real-IP: 6.6.6.6", "Cookie: a=1"]
    const client = await open({ port: port(), host: host(), path: "/a/b?c=%20", fields })
    await client.until(() => app.sockets.length > 0, "WebSocket")
    const { head } = app.sockets[0]!
    expect(head).toMatch(/^GET \/a\/b\?c=%20 HTTP\/1.1/)
    expect(head.toLowerCase()).toContain("x-forwarded-for: 127.0.0.1")
    expect(head.toLowerCase()).toContain("cookie: a=1")
    expect(head).not.toMatch(/6\.6\.6\.6|mine/)
    expect(client.head.toLowerCase()).not.toContain("x-iterate")
  })

  it("refuses an invalid 101, and an extension that nobody offered", async () => {
    for (const fields of [["Sec-WebSocket-Accept: wrong"], ["Sec-WebSocket-Extensions: permessage-deflate"]]) {
      app.respond = () => fields
      expect(await refusalOf({ port: port(), host: host() }, "UPSTREAM_FAILED")).toMatch(/^HTTP\/1.1 502 /)
    }
  })

  it("gives a hostname that is no route's the fallback, whose own WebSockets go on", async () => {
    const client = await open({ port: port(), host: "example.com", path: "/socket" })
    expect((await client.frame(TEXT)).payload.toString()).toBe("hello from the app")
    client.send(TEXT, "echo")
    await client.until(() => client.frames.some(({ payload }) => payload.toString() === "echo"), "echo")
    expect(await refusalOf({ port: port(), host: "example.com" }, "the app itself")).toMatch(/^HTTP\/1.1 200 /)
    expect((await fetch(`http://127.0.0.1:${port()}/throws`)).status).toBe(500)
  })

  it("tells the machine when a client leaves during the handshake", async () => {
    app.respond = () => "never"
    const socket = begin({ port: port(), host: host() })
    while (app.connections.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    const closed = once(app.connections[0]!, "close")
    app.connections[0]!.on("end", () => app.connections[0]!.end())
    socket.destroy()
    await closed
    expect(app.sockets).toEqual([])
  })

  it("closes a WebSocket with 1008 once its visitor would no longer be let in", async () => {
    const client = await open({ port: port(), host: host(), path: "/?expires" })
    expect(await client.closing()).toBe("1008")
    await client.until(() => app.sockets[0]!.ended || app.sockets[0]!.frames.length > 0, "end of the app's side")
  })

  it("closes the client's WebSocket when its machine dies", async () => {
    const dying = await startMachine()
    const setup = { machine, port: dying.port, signingKey: signing }
    const own = await startServed(runtime, setup)
    const client = await open({ port: own.port, host: host() })
    await client.until(() => app.sockets.length > 0, "WebSocket")
    await dying.close()
    // A machine proxy that stops says so.
    expect(await client.closing()).toBe("1001")
    await own.close()
  }, 30_000)

  it("holds a bounded part of what the app sends to clients that read nothing, and loses none of it", async () => {
    const rss = async () => Number(/\d+$/.exec(await (await fetch(`http://127.0.0.1:${port()}/`)).text())![0])
    const clients = await Promise.all([1, 2, 3].map(() => open({ port: port(), host: host() })))
    for (const client of clients) client.socket.pause()
    await clients[0]!.until(() => app.sockets.length === 3, "WebSockets")
    const before = await rss()
    const piece = Buffer.alloc(1_048_576)
    for (const each of app.sockets) for (let i = 0; i < 64; i++) each.send(BINARY, piece)
    let last = -1
    // Until nothing moves any more.
    for (let written = 0; written !== last;) {
      last = written
      await new Promise((resolve) => setTimeout(resolve, 300))
      written = app.sockets.reduce((sum, { socket }) => sum + socket.bytesWritten - socket.writableLength, 0)
    }
    expect((await rss()) - before).toBeLessThan(96 * 1_048_576)
    for (const client of clients) client.socket.resume()
    await Promise.all(clients.map((client) => client.until(() => client.received === 64 * 1_048_576, "rest")))
  }, 60_000)

  it("closes a client whose machine reads nothing at 17 MiB", async () => {
    const client = await open({ port: port(), host: host() })
    await client.until(() => app.sockets.length > 0, "WebSocket")
    app.sockets[0]!.socket.pause()
    const piece = Buffer.alloc(1_048_576)
    let sent = 0
    while (!client.ended && !client.frames.some(({ opcode }) => opcode === CLOSE) && sent < 96) {
      if (!client.send(BINARY, piece))
        await new Promise<void>((resolve) => {
          client.socket.once("drain", resolve)
          client.socket.once("close", () => resolve())
        })
      sent++
    }
    expect(sent).toBeLessThan(96)
  }, 30_000)

  it("is as router.fetch itself for every request of the conformance cases that is not a handshake", async () => {
    const { bare } = hosts.get(runtime)!
    const served = await new App().listen()
    const results = async (one: (typeof cases)[number], at: number) => {
      const before = served.text.length
      served.script = one.responds ?? ok()
      const client = new Client(at, { methods: [one.request.split(" ", 1)[0]!] })
      await client.write(one.request.replace("\r\n", `\r\nHost: ${served.port}__misha.iterate.app\r\n`))
      const [response] = await client.answered(1)
      client.destroy()
      const seen = served.text.slice(before)
      const plain = (text: string) =>
        text
          .replaceAll(String(served.port), "PORT")
          .replaceAll(/^(?:date|x-iterate-proxy-ticket|x-request-id): .*\r\n/gim, "")
          .replaceAll(/request(?:-id)?[ ,:]+[\w-]+/g, "ID")
          .replaceAll(/date,[^,]+,[^,]+/gi, "DATE")
          // Bun names a length, and a type with it, where the whole body has come before it writes the head.
          .replaceAll(
            /(?:content-type,application\/octet-stream,)?(?:content-length,\d+|transfer-encoding,chunked)/gi,
            "BODY",
          )
      return {
        line: response!.line,
        fields: plain(String(response!.fields)),
        body: plain(response!.text),
        app: plain(seen),
      }
    }
    for (const one of cases.filter(({ request }) => !/^upgrade: websocket/im.test(request))) {
      const withoutUs = await results(one, bare)
      const served = await results(one, port())
      // The host knows who connected; router.fetch alone does not.
      const anonymous = (text: string) => text.replaceAll(/^(?:x-forwarded-for|x-real-ip|forwarded): .*\r\n/gim, "")
      expect({ ...served, app: anonymous(served.app) }, one.title).toEqual({
        ...withoutUs,
        app: anonymous(withoutUs.app),
      })
    }
    await served.stop()
  }, 60_000)
})
