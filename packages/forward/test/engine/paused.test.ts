/** Sockets that a caller paused, to look at their first bytes, before it gave them to the engine. */
import { createServer, connect } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import * as tls from "node:tls"
import { readFileSync } from "node:fs"
import { afterEach, describe, expect, it } from "vitest"
import { createEngine } from "../../src/sockets.ts"
import type { EngineOptions } from "../../src/sockets.ts"
import { Raw } from "./harness.ts"

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

const read = (name: string) => readFileSync(new URL(`../fixtures/${name}`, import.meta.url))
const certificate = { key: read("localhost.key"), cert: read("localhost.crt") }
const trust = { trustedCidrs: ["127.0.0.0/8"] }

const engineOf = (options: Partial<EngineOptions> = {}) => {
  const engine = createEngine({
    onRequest: ({ head, remoteAddress }) => ({ status: 200, headers: [], body: `${head.target} of ${remoteAddress}` }),
    failure: (tag) => ({ status: 500, headers: [], body: tag }),
    ...options,
  })
  closing.push(() => engine.drain({ deadlineMs: 0 }))
  return engine
}

const listen = async (pauseOnConnect: boolean, take: (socket: Socket) => void): Promise<number> => {
  const server = createServer({ pauseOnConnect, allowHalfOpen: true }, take)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

/** Reads what has come first, pauses, puts it back, and gives the socket on. */
const peeking =
  (give: (socket: Socket) => void) =>
  (socket: Socket): void => {
    socket.once("data", (bytes) => {
      socket.pause()
      socket.unshift(bytes)
      give(socket)
    })
    socket.resume()
  }

const get = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
const ask = async (port: number, text: string): Promise<string> =>
  new Raw(connect(port, "127.0.0.1")).send(text).until("of 1")

const entries = {
  "whose server pauses it": { pauseOnConnect: true, by: (give: (socket: Socket) => void) => give },
  "whose first bytes were put back": { pauseOnConnect: true, by: peeking },
  "that a caller paused": {
    pauseOnConnect: false,
    by: (give: (socket: Socket) => void) => (socket: Socket) => give(socket.pause()),
  },
} as const

describe.each(Object.entries(entries))("a socket %s", (_, { pauseOnConnect, by }) => {
  it("is read by connection", async () => {
    const port = await listen(pauseOnConnect, by(engineOf().connection))
    expect(await ask(port, get)).toContain("/a of 127.0.0.1")
  })

  it("is read by connection after its PROXY header", async () => {
    const port = await listen(pauseOnConnect, by(engineOf({ proxyProtocol: trust }).connection))
    expect(await ask(port, `PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\n${get}`)).toContain("/a of 192.0.2.9")
  })

  it.each([false, true])("is read by secureConnection, with a PROXY header: %s", async (proxied) => {
    const server = tls.createServer(certificate)
    const engine = engineOf(proxied ? { proxyProtocol: trust } : {})
    const port = await listen(pauseOnConnect, by(engine.secureConnection(server)))
    const socket = connect(port, "127.0.0.1")
    closing.push(() => socket.destroy())
    if (proxied) socket.write("PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\n")
    const secured = new Raw(tls.connect({ socket, servername: "localhost", ca: certificate.cert }))
    expect(await secured.send(get).until("of 1")).toContain(`/a of ${proxied ? "192.0.2.9" : "127.0.0.1"}`)
  })

  it("that is one too many gets its refusal and its end", async () => {
    const admission = { admit: () => false, release: () => undefined }
    const port = await listen(pauseOnConnect, by(engineOf({ admission }).connection))
    const client = new Raw(connect({ port, host: "127.0.0.1", allowHalfOpen: true })).send(get)
    expect(await client.until("ClientLimited")).toContain(" 500 ")
    client.socket.end()
    await client.when(({ state }) => state === "closed")
  })
})
