/** What somebody at a machine's address gets shown in the machine's name: nothing, on every host. */
import { once } from "node:events"
import { createServer, request as httpRequest } from "node:http"
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, Server } from "node:http"
import { createServer as createTcpServer } from "node:net"
import type { AddressInfo } from "node:net"
import type { Duplex } from "node:stream"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import type { VerificationKey } from "@project-ingress/forward"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import { machine, signing } from "../../../machine-proxy/test/harness.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { startNode, startWorker } from "./hosts.ts"
import type { RunningHost } from "./hosts.ts"
import { routerFor } from "./router.ts"

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly interim: readonly number[]
}

/** A request to a host of the router, or to a machine. */
const ask = (port: number, headers: Record<string, string>, path = "/", method = "GET"): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const interim: number[] = []
    const sent = httpRequest({ host: "127.0.0.1", port, path, method, headers, agent: false })
    sent.on("information", ({ statusCode }) => interim.push(statusCode))
    const end = (response: IncomingMessage): void => {
      let body = ""
      response.setEncoding("utf8").on("data", (text: string) => (body += text))
      response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, body, interim }))
    }
    sent.on("response", end)
    sent.on("upgrade", (response, socket) => {
      socket.destroy()
      resolve({ status: response.statusCode!, headers: response.headers, body: "", interim })
    })
    sent.on("error", reject)
    sent.end()
  })

/** What sits at the machine's address. */
let atAddress: RequestListener
let onUpgrade: (request: IncomingMessage, socket: Duplex) => void
let hostile: Server & { readonly port: number }
/** The living machine, elsewhere, and its app. */
let living: RunningHost
let app: Server
let appPort: number
let node: RunningHost
let worker: RunningHost & { readonly edgePort: number }
const closing: (() => unknown)[] = []

const listening = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}
const machineProxy = async (id: string, keys: readonly VerificationKey[]): Promise<number> => {
  const proxy = createMachineProxy({ machine: id, keys })
  const server = createTcpServer(proxy.connection).listen(0, "127.0.0.1")
  await once(server, "listening")
  closing.push(() => server.close() && proxy.drain({ deadlineMs: 0 }))
  return (server.address() as AddressInfo).port
}

beforeAll(async () => {
  app = createServer((request, response) => response.end(`the app, asked for ${request.url}`))
  appPort = await listening(app)
  const server = createServer((request, response) => atAddress(request, response))
  server.on("upgrade", (request, socket) => onUpgrade(request, socket))
  hostile = Object.assign(server, { port: await listening(server) })
  const port = await machineProxy(machine, [await machineKey(signing, machine)])
  living = { port, close: async () => undefined }
  node = await startNode(hostile.port)
  worker = await startWorker(hostile.port)
})
afterEach(() => {
  atAddress = (_, response) => response.writeHead(500).end()
})
afterAll(async () => {
  await Promise.all([node.close(), worker.close()])
  for (const close of closing) await close()
  for (const each of [app, hostile]) {
    each.closeAllConnections()
    each.close()
  }
})

const page = "<h1>log in again</h1>"
const forged = (stamp: string | undefined, more: Readonly<Record<string, string>> = {}) => ({
  "content-type": "text/html",
  "set-cookie": "session=stolen",
  ...(stamp === undefined ? {} : { "x-iterate-proxy-stamp": stamp }),
  ...more,
})
const says = (stamp: (request: IncomingMessage) => string | undefined, status = 200, more = {}) => {
  atAddress = (request, response) => response.writeHead(status, forged(stamp(request), more)).end(page)
}
/** The stamp of the living machine's response to a request with this one's ticket, for a target of the caller's. */
const stampOfLiving = async (request: IncomingMessage, target?: string): Promise<string> => {
  const { "x-iterate-proxy-ticket": ticket, "x-iterate-proxy-target-host": own } = request.headers
  const sent = { "x-iterate-proxy-ticket": String(ticket), "x-iterate-proxy-target-host": target ?? String(own) }
  return String((await ask(living.port, sent)).headers["x-iterate-proxy-stamp"])
}

describe.each([["serveNode"], ["router.fetch on Workers"]])("at a recycled address, behind %s", (host) => {
  const port = (): number => (host === "serveNode" ? node.port : worker.port)
  const visit = (project = "misha", more: Record<string, string> = {}): Promise<Answer> =>
    ask(port(), { host: `${appPort}--${project}.iterate.app`, cookie: "session=1", ...more })
  const assert = {
    shownNothing: ({ status, headers, body }: Answer): void => {
      expect(status).toBeGreaterThanOrEqual(502)
      expect(headers["set-cookie"]).toBeUndefined()
      expect(body).not.toContain("log in again")
    },
  }

  it.each([
    ["no stamp", undefined],
    ["the constant that was one once", "1"],
    ["a made-up one", "A".repeat(43)],
    ["an empty one", ""],
  ])("a hostile program with %s is shown to nobody", async (_, stamp) => {
    says(() => stamp)
    assert.shownNothing(await visit())
  })

  it("a program that says it cannot prove itself is refused, and the error says what to do", async () => {
    says(() => "unproven")
    const answer = await visit()
    assert.shownNothing(answer)
    expect([answer.status, answer.headers["x-iterate-proxy-error"]]).toEqual([502, "MACHINE_UNPROVEN"])
  })

  it("a hostile program that reflects any field of the request as its stamp is shown to nobody", async () => {
    let names: readonly string[] = []
    says(({ headers }) => ((names = Object.keys(headers)), undefined))
    await visit()
    expect(names).toContain("x-iterate-proxy-ticket")
    for (const name of names) {
      says(({ headers }) => String(headers[name]))
      assert.shownNothing(await visit())
    }
    // And what the ticket itself says.
    for (const part of [0, 1, 2]) {
      says(({ headers }) => String(headers["x-iterate-proxy-ticket"]).split(".")[part])
      assert.shownNothing(await visit())
    }
  })

  it("a hostile program that replays the stamp of another ticket is shown to nobody", async () => {
    let seen = ""
    atAddress = (request, response) =>
      void stampOfLiving(request).then((stamp) => {
        seen = stamp
        response.writeHead(200, forged(stamp)).end("of the living machine")
      })
    expect((await visit("other")).body).toBe("of the living machine")
    says(() => seen)
    assert.shownNothing(await visit("misha"))
  })

  it("the stamp of a refusal never passes for that of an app's response", async () => {
    atAddress = (request, response) =>
      void stampOfLiving(request, "localhost:1").then((stamp) => response.writeHead(200, forged(stamp)).end(page))
    assert.shownNothing(await visit())
  })

  it("a machine's own refusal reaches the visitor", async () => {
    atAddress = (request, response) =>
      void stampOfLiving(request, "localhost:1").then((stamp) =>
        response
          .writeHead(403, { "x-iterate-proxy-stamp": stamp, "x-iterate-proxy-error": "PORT_FORBIDDEN" })
          .end("no"),
      )
    expect(await visit()).toMatchObject({ status: 403, body: "no" })
  })

  it("a hostile program opens no WebSocket", async () => {
    onUpgrade = (request, socket) => {
      const stamp = request.url === "/constant" ? "x-iterate-proxy-stamp: 1\r\n" : ""
      socket.end(
        `HTTP/1.1 101 Switching Protocols\r\n${stamp}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n`,
      )
    }
    const handshake = {
      host: `${appPort}--misha.iterate.app`,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for (const path of ["/", "/constant"]) expect((await ask(port(), handshake, path)).status).not.toBe(101)
  })

  it("a program that relays to the living machine passes: only a pin of the machine's key prevents that", async () => {
    let read = ""
    atAddress = (request, response) => {
      read = String(request.headers["cookie"])
      const relayed = httpRequest({ host: "127.0.0.1", port: living.port, path: request.url, headers: request.headers })
      relayed.on("response", (from) => from.pipe(response.writeHead(from.statusCode!, from.headers)))
      request.pipe(relayed)
    }
    expect(await visit()).toMatchObject({ status: 200, body: "the app, asked for /" })
    expect(read).toBe("session=1")
  })
})

describe("at a recycled address, behind serveNode", () => {
  it("a hostile program's interim responses reach nobody either", async () => {
    atAddress = (_, response) => {
      response.writeEarlyHints({ link: "</evil.js>; rel=preload", "x-iterate-proxy-stamp": "1" })
      response.writeHead(200, forged("1")).end(page)
    }
    expect(await ask(node.port, { host: `${appPort}--misha.iterate.app` })).toMatchObject({ interim: [] })
  })

  it("a wrong stamp is an event that names the machine, and no stamp is none", async () => {
    const events: unknown[] = []
    const router = routerFor({
      machine,
      port: hostile.port,
      signingKey: signing,
      onEvent: (event) => events.push(event),
    })
    const fetched = () => router.fetch(new Request(`http://${appPort}--misha.iterate.app/`))
    says(() => undefined)
    expect((await fetched())?.status).toBe(502)
    says(() => "1")
    const response = await fetched()
    expect([response?.status, response?.headers.get("set-cookie")]).toEqual([502, null])
    const proofs = events.filter((event) => (event as { readonly type: string }).type === "proof")
    expect(proofs).toMatchObject([{ outcome: "wrong_stamp", provider: "local", machine, port: appPort }])
  })
})

describe("a machine that is proven", () => {
  const through = async (machinePort: number, key = signing, id = machine) => {
    const host = await serveNode(routerFor({ machine: id, port: machinePort, signingKey: key })).listen({
      hostname: "127.0.0.1",
    })
    closing.push(() => host.close({ deadlineMs: 0 }))
    return ask(host.port, { host: `${appPort}--misha.iterate.app` })
  }

  it("is so to every router that has the key", async () => {
    const port = await machineProxy("mach_1", [await machineKey(signing, "mach_1")])
    const both = [await through(port, signing, "mach_1"), await through(port, signing, "mach_1")]
    expect(both.map(({ status }) => status)).toEqual([200, 200])
  })

  it("is so by each of two keys while they rotate", async () => {
    const next = await generateTicketKeys("k2")
    const keys = [await machineKey(signing, "mach_1"), await machineKey(next.signing, "mach_1")]
    const port = await machineProxy("mach_1", keys)
    expect((await through(port, signing, "mach_1")).status).toBe(200)
    expect((await through(port, next.signing, "mach_1")).status).toBe(200)
  })

  it("is not its clone: a machine with another one's key and the name of this one, or the other way round", async () => {
    const named = await machineProxy("mach_1", [await machineKey(signing, "mach_2")])
    expect((await through(named, signing, "mach_1")).status).toBe(502)
    expect((await through(named, signing, "mach_2")).status).toBe(503)
  })

  it("has a key of its own: one that only verifies is refused", async () => {
    const { d: _, ...verification } = signing
    const port = await machineProxy("mach_1", [verification])
    const { status, headers } = await through(port, signing, "mach_1")
    expect([status, headers["x-iterate-proxy-error"]]).toEqual([502, "MACHINE_UNPROVEN"])
  })
})
