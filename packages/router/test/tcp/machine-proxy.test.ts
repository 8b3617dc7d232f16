/** Real machine proxies: what they carry is a tunnel, and what they prove comes before a byte of the client's. */
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import type { Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { machineKey } from "@project-ingress/forward"
import { afterAll, expect, it, onTestFinished } from "vitest"
import { createMachineProxy, machineTls } from "../../../machine-proxy/src/machine-proxy.ts"
import {
  dial,
  dialTls,
  echo,
  failure,
  keys,
  listening,
  next,
  received,
  startApp,
  startHost,
  startTlsApp,
} from "./harness.ts"

const folder = mkdtempSync(join(tmpdir(), "tcp-machine-"))
afterAll(() => rmSync(folder, { recursive: true }))

const closeWhenFinished = (server: Server): Server => {
  onTestFinished(() => void server.close())
  return server
}

/** A machine proxy of `mach_1`, with the key of another machine if one is named; `pinned`: with TLS of its own. */
const startProxy = async ({ machine = "mach_1", pinned = false } = {}) => {
  const proxy = createMachineProxy({ machine, keys: [await machineKey(keys.signing, machine)] })
  onTestFinished(() => proxy.drain({ deadlineMs: 0 }))
  if (!pinned) return { port: await listening(closeWhenFinished(createServer(proxy.connection))), pin: undefined }
  const { server, pin } = machineTls(join(folder, `${machine}.pem`))
  return { port: await listening(closeWhenFinished(createServer(proxy.secureConnection(server)))), pin }
}

const record = (
  { port, pin }: { readonly port: number; readonly pin: string | undefined },
  app: number,
  more = {},
) => ({
  machine: { id: "mach_1", type: "local", externalId: "1", metadata: { port, ...(pin === undefined ? {} : { pin }) } },
  port: app,
  protocol: "tcp",
  ...more,
})

it.each([
  ["plain", false],
  ["with a pinned key", true],
])("by a machine proxy that is %s, TLS goes to the app in the machine", async (_, pinned) => {
  const app = await startTlsApp()
  const { host, ended } = startHost({ "p:misha": record(await startProxy({ pinned }), app) })
  const { port } = await host.listen({ hostname: "127.0.0.1" })
  const client = dialTls(port, "misha.iterate.app", { ALPNProtocols: ["echo"] })
  const text = "x".repeat(300_000)
  client.write(text)
  expect(await next(client, 5 + text.length)).toBe(`echo\n${text}`)
  client.end()
  expect(await ended()).toMatchObject({ hostname: "misha.iterate.app", end: "closed" })
})

it("each direction ends by itself, through the tunnel as well", async () => {
  const proxy = await startProxy()
  const asked = await startApp((socket) => void received(socket).then((all) => socket.end(`got ${all.length}`)))
  const first = await startApp((socket) => {
    socket.end("all that I say")
    void received(socket).then((all) => heard(all.length))
  })
  let heard: (size: number) => void = () => undefined
  const hearing = new Promise<number>((resolve) => (heard = resolve))
  const { host, ended } = startHost({ "p:asked": record(proxy, asked), "p:first": record(proxy, first) })
  const one = await host.listen({ hostname: "127.0.0.1", to: "asked.iterate.app" })
  const client = dial(one.port)
  client.end("x".repeat(100_000))
  expect(await received(client)).toBe("got 100000")
  expect(await ended()).toMatchObject({ end: "closed" })
  const two = await host.listen({ hostname: "127.0.0.1", to: "first.iterate.app" })
  const listener = dial(two.port)
  expect(await received(listener)).toBe("all that I say")
  listener.end("y".repeat(1_000))
  expect(await hearing).toBe(1_000)
  expect(await ended()).toMatchObject({ end: "closed" })
})

it("a reset in the machine is a reset for the client", async () => {
  const app = await startApp((socket) => void socket.once("data", () => socket.resetAndDestroy()))
  const { host, ended } = startHost({ "p:misha": record(await startProxy(), app) })
  const { port } = await host.listen({ hostname: "127.0.0.1", to: "misha.iterate.app" })
  const client = dial(port)
  client.write("x")
  expect(await received(client)).toBe("reset")
  expect(await ended()).toMatchObject({ end: "reset", bytesIn: 1 })
})

it("the app is told of the client by a PROXY header, where its port's settings ask for one", async () => {
  const app = await startApp((socket) => void socket.once("data", (bytes: Buffer) => socket.end(bytes)))
  const { host } = startHost({ "p:misha": record(await startProxy(), app, { proxyProtocol: 1 }) })
  const { port } = await host.listen({ hostname: "127.0.0.1", to: "misha.iterate.app" })
  const client = dial(port)
  const text = await received(client)
  expect(text).toBe(`PROXY TCP4 127.0.0.1 127.0.0.1 ${client.localPort} ${port}\r\n`)
})

it("a port that nothing listens on is an internal error, by its code", async () => {
  const { host, ended } = startHost({ "p:misha": record(await startProxy(), 1) })
  const { port } = await host.listen({ hostname: "127.0.0.1" })
  const error = await failure(dialTls(port, "misha.iterate.app"))
  expect(error.message).toMatch(/internal error/)
  expect(await ended()).toMatchObject({ end: "refused", alert: "internal_error", code: "PORT_CLOSED" })
})

it("of a machine that is another one by now, or cannot prove which it is, nobody's bytes reach the app", async () => {
  let seen = 0
  const app = await startApp((socket) => {
    seen++
    echo(socket)
  })
  const other = await startProxy({ machine: "mach_2" })
  // Answers every handshake, and knows no machine's secret.
  const impostor = await startApp((socket) => {
    socket.once("data", (bytes: Buffer) => {
      const key = /sec-websocket-key: (.*)\r\n/i.exec(bytes.toString("latin1"))?.[1] ?? ""
      void acceptOf(key).then((accept) => {
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: project-ingress.tcp.v1\r\nx-iterate-proxy-stamp: unproven\r\n\r\n`,
        )
        socket.on("data", () => seen++)
      })
    })
  })
  const { host, ended } = startHost({
    "p:moved": record(other, app),
    "p:misha": record({ port: impostor, pin: undefined }, app),
    "p:pinned": record({ ...(await startProxy({ pinned: true })), pin: `sha256//${"A".repeat(43)}=` }, app),
  })
  const { port } = await host.listen({ hostname: "127.0.0.1" })
  for (const name of ["moved", "misha", "pinned"]) {
    expect((await failure(dialTls(port, `${name}.iterate.app`))).message).toMatch(/internal error/)
    expect(await ended()).toMatchObject({ end: "refused", alert: "internal_error", bytesIn: 0 })
  }
  expect(seen).toBe(0)
})

const acceptOf = async (key: string): Promise<string> => {
  const text = new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
  return Buffer.from(await crypto.subtle.digest("SHA-1", text)).toString("base64")
}
