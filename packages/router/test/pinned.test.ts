/**
 * A machine whose address somebody else gets: what a hostile program there is told, with its machine's key pinned and without.
 * The whole chain is real: a client, the router on sockets, machine proxies with tickets and TLS, an app.
 */
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer as createHttpServer, request as httpRequest } from "node:http"
import type { IncomingMessage } from "node:http"
import { connect, createServer } from "node:net"
import type { AddressInfo, Server, Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { forwardFetch as fetchOfWorkers } from "../../forward/src/fetch/workers.ts"
import { machineKey } from "@project-ingress/forward"
import { createMachineProxy, machineTls } from "../../machine-proxy/src/machine-proxy.ts"
import { local } from "@project-ingress/providers/local"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import { serveNode } from "../src/hosts/node.ts"
import type { Listening } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import type { RouterEvent, RouterOptions } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { hostnames, keys } from "./fakes.ts"

const folder = mkdtempSync(join(tmpdir(), "pinned-"))
const keyFile = (name: string): string => join(folder, `${name}.pem`)

const machineOneKey = await machineKey(keys.signing, "mach_1")

let appPort: number
/** What the app was asked, in order. */
const asked: IncomingMessage[] = []
const closing: (() => unknown)[] = []
const closingLast: (() => unknown)[] = [() => rmSync(folder, { recursive: true })]

const listen = async (server: Server, port = 0): Promise<number> => {
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

/** A server that can be stopped at once, with its connections. */
const stoppable = async (server: Server, port?: number) => {
  const open = new Set<Socket>()
  let connections = 0
  server.on("connection", (socket: Socket) => {
    connections++
    open.add(socket)
    socket.on("error", () => {})
    socket.on("close", () => open.delete(socket))
  })
  const stop = async (): Promise<void> => {
    if (!server.listening) return
    server.close()
    for (const socket of open) socket.destroy()
    await once(server, "close")
  }
  closing.push(stop)
  return { port: await listen(server, port), stop, connections: () => connections }
}

/** A machine proxy: by TLS with the key of that name, or plain. */
const startMachine = async ({ key, port }: { readonly key?: string; readonly port?: number } = {}) => {
  const proxy = createMachineProxy({ machine: "mach_1", keys: [machineOneKey] })
  if (key === undefined) return { ...(await stoppable(createServer(proxy.connection), port)), pin: undefined }
  const { server, pin } = machineTls(keyFile(key))
  return { ...(await stoppable(createServer(proxy.secureConnection(server)), port)), pin }
}

/** A program on a recycled address that keeps what it reads and responds in the machine proxy's name. */
const hostile = async (at: number, key?: string) => {
  const seen = { text: "" }
  const respond = (socket: Socket) => {
    socket.on("error", () => {})
    socket.on("data", (bytes: Buffer) => {
      seen.text += bytes.toString("latin1")
      if (!seen.text.includes(BODY)) return
      socket.write("HTTP/1.1 200 OK\r\nx-iterate-proxy-stamp: 1\r\nContent-Length: 7\r\n\r\nhostile")
    })
  }
  if (key === undefined) {
    const answering = (socket: Socket) => {
      respond(socket)
      // To a handshake that it does not understand it says whatever may get it a request.
      socket.once("data", (bytes: Buffer) => void (bytes[0] === 0x16 && socket.end("HTTP/1.1 200 OK\r\n\r\n")))
    }
    return { seen, ...(await stoppable(createServer(answering), at)) }
  }
  const { server } = machineTls(keyFile(key))
  server.on("secureConnection", respond)
  return {
    seen,
    ...(await stoppable(
      createServer((socket) => void server.emit("connection", socket)),
      at,
    )),
  }
}

const store = memoryStore()
const events: RouterEvent[] = []
const options: RouterOptions = {
  grammar: hostnames,
  store,
  providers: [local()],
  signingKey: keys.signing,
  onEvent: (event) => void events.push(event),
}

/** Says where the machine is: what a platform writes into its record. */
const attach = ({ port, pin }: { readonly port: number; readonly pin: string | undefined }): void => {
  const metadata = { port, epoch: "1", ...(pin === undefined ? {} : { pin }) }
  store.attach("p:misha", { machine: { id: "mach_1", type: "local", externalId: "m", metadata } })
}

let front: Listening
beforeAll(async () => {
  const app = createHttpServer((request, response) => {
    asked.push(request)
    request.pipe(response)
  })
  const sockets = new WebSocketServer({ server: app })
  sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(data as Buffer, { binary: false })))
  appPort = await listen(app)
  front = await serveNode(createRouter(options)).listen({ hostname: "127.0.0.1" })
  closingLast.push(
    () => front.close({ deadlineMs: 0 }),
    () => app.close(),
  )
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  asked.length = 0
  events.length = 0
})
afterAll(async () => {
  for (const close of closingLast) await close()
})

const COOKIE = "session=of-a-visitor"
const BODY = "number of a credit card"
const headersOf = () => ({ host: `${appPort}__misha.iterate.app`, cookie: COOKIE })

interface Answer {
  readonly status: number
  readonly code: string | undefined
  readonly body: string
}

/** A visitor's form. */
const post = async (): Promise<Answer> => {
  const sent = httpRequest({ port: front.port, host: "127.0.0.1", method: "POST", headers: headersOf(), agent: false })
  sent.end(BODY)
  const [response] = (await once(sent, "response")) as [IncomingMessage]
  const body = Buffer.concat(await response.toArray()).toString()
  return { status: response.statusCode!, code: response.headers["x-iterate-proxy-error"] as string | undefined, body }
}

const ok = { status: 200, body: BODY }
/** What only a visitor, the router and the visitor's machine may know. */
const secrets = [COOKIE, "x-iterate-proxy-ticket", BODY, "POST"]

describe("a pinned machine", () => {
  it("gets requests and WebSockets, by connections that are used again", async () => {
    const machine = await startMachine({ key: "a" })
    attach(machine)
    for (let i = 0; i < 3; i++) expect(await post()).toMatchObject(ok)
    expect(machine.connections()).toBe(1)
    expect(asked.map(({ headers }) => headers.cookie)).toEqual([COOKIE, COOKIE, COOKIE])
    const socket = new WebSocket(`ws://127.0.0.1:${front.port}/`, { headers: headersOf() })
    await once(socket, "open")
    socket.send("hello")
    expect(String((await once(socket, "message"))[0])).toBe("hello")
    socket.close()
    await once(socket, "close")
  })

  it("gets them from router.fetch on Node as well, and nobody else does", async () => {
    const machine = await startMachine({ key: "a" })
    attach(machine)
    const router = createRouter(options)
    const send = () =>
      router.fetch(
        new Request(`http://${appPort}__misha.iterate.app/`, {
          method: "POST",
          headers: { cookie: COOKIE },
          body: BODY,
        }),
      )
    expect(await (await send())!.text()).toBe(BODY)
    await machine.stop()
    const { seen } = await hostile(machine.port, "other")
    const response = await send()
    expect([response?.status, response?.headers.get("x-iterate-proxy-error")]).toEqual([503, "MACHINE_MISMATCH"])
    expect(seen.text).toBe("")
  })

  it("gets none from a host that cannot check its key, which says so", async () => {
    const machine = await startMachine({ key: "a" })
    attach(machine)
    const router = createRouter({ ...options, transport: fetchOfWorkers })
    const response = await router.fetch(new Request(`http://${appPort}__misha.iterate.app/`))
    expect([response?.status, response?.headers.get("x-iterate-proxy-error")]).toEqual([502, "PROVIDER_UNAVAILABLE"])
    expect(JSON.stringify(events)).toContain("its key is pinned, which this runtime's fetch cannot check")
    expect(machine.connections()).toBe(0)
  })

  it("accepts no plain request at its address", async () => {
    const machine = await startMachine({ key: "a" })
    attach({ port: machine.port, pin: undefined })
    expect(await post()).toMatchObject({ status: 502 })
    expect(asked).toEqual([])
  })
})

describe("a hostile program at the address that a pinned machine had", () => {
  const moved = async () => {
    const machine = await startMachine({ key: "a" })
    attach(machine)
    expect(await post()).toMatchObject(ok)
    await machine.stop()
    return machine
  }

  it("gets no cookie, no ticket and no body without TLS", async () => {
    const { port } = await moved()
    const { seen, connections } = await hostile(port)
    expect(await post()).toMatchObject({ status: 502, code: "PROVIDER_UNAVAILABLE" })
    expect(connections()).toBeGreaterThan(0)
    for (const secret of secrets) expect(seen.text).not.toContain(secret)
  })

  it("gets nothing at all by TLS with a key of its own", async () => {
    const { port } = await moved()
    const { seen, connections } = await hostile(port, "hostile")
    expect(await post()).toMatchObject({ status: 503, code: "MACHINE_MISMATCH" })
    expect(connections()).toBeGreaterThan(0)
    expect(seen.text).toBe("")
  })

  it("gets no WebSocket's handshake either", async () => {
    const { port } = await moved()
    const { seen } = await hostile(port, "hostile")
    const socket = new WebSocket(`ws://127.0.0.1:${front.port}/`, { headers: headersOf() })
    const [, response] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage]
    expect(response.statusCode).toBe(503)
    expect(seen.text).toBe("")
  })

  it("learns nothing by passing bytes on to the living machine, which does respond", async () => {
    const { port, pin } = await moved()
    const elsewhere = await startMachine({ key: "a" })
    expect(elsewhere.pin).toBe(pin)
    let seen = ""
    const relay = createServer((socket) => {
      const onward = connect(elsewhere.port, "127.0.0.1")
      for (const side of [socket, onward]) {
        side.on("error", () => {})
        side.on("data", (bytes: Buffer) => (seen += bytes.toString("latin1")))
      }
      socket.pipe(onward).pipe(socket)
    })
    await stoppable(relay, port)
    expect(await post()).toMatchObject(ok)
    expect(seen.length).toBeGreaterThan(BODY.length)
    for (const secret of secrets) expect(seen).not.toContain(secret)
  })

  it("is not disturbed by anybody when the machine is back: the next request reaches it", async () => {
    const { port } = await moved()
    const { stop } = await hostile(port, "hostile")
    expect(await post()).toMatchObject({ status: 503 })
    await stop()
    await startMachine({ key: "a", port })
    expect(await post()).toMatchObject(ok)
  })
})

describe("what a pin does not keep", () => {
  it("without one, whoever has the address reads cookies, tickets and bodies", async () => {
    const machine = await startMachine()
    attach(machine)
    expect(await post()).toMatchObject(ok)
    await machine.stop()
    const { seen } = await hostile(machine.port)
    await post()
    for (const secret of secrets) expect(seen.text).toContain(secret)
  })

  it("whoever has the machine's key, as a clone of an image with a key in it, is that machine for everybody", async () => {
    const machine = await startMachine({ key: "in-an-image" })
    attach(machine)
    await machine.stop()
    const { seen } = await hostile(machine.port, "in-an-image")
    await post()
    for (const secret of secrets) expect(seen.text).toContain(secret)
  })

  it("two machines that make their keys at their first start are told apart", async () => {
    const [one, two] = [machineTls(keyFile("first-start-1")), machineTls(keyFile("first-start-2"))]
    expect(one.pin).not.toBe(two.pin)
  })
})

describe("a record's new pin", () => {
  it("counts at once: connections that an old key opened are not used, and the new key is wanted", async () => {
    const machine = await startMachine({ key: "old" })
    attach(machine)
    expect(await post()).toMatchObject(ok)
    const { pin } = machineTls(keyFile("new"))
    attach({ port: machine.port, pin })
    // The connection is still open, and its peer would respond.
    expect(await post()).toMatchObject({ status: 503, code: "MACHINE_MISMATCH" })
    expect(asked).toHaveLength(1)
    await machine.stop()
    await startMachine({ key: "new", port: machine.port })
    expect(await post()).toMatchObject(ok)
  })
})
