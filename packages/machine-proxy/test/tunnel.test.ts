import { once } from "node:events"
import { createSocket } from "node:dgram"
import * as net from "node:net"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { EngineEvent, TunnelBroken } from "@project-ingress/forward/sockets"
import { openDatagramTunnel, openTunnel, TunnelRefused } from "@project-ingress/forward/sockets"
import { tunnelProtocols } from "@project-ingress/forward/internal"
import { afterEach, describe, expect, it } from "vitest"
import { createMachineProxy } from "../src/machine-proxy.ts"
import type { MachineProxyOptions } from "../src/machine-proxy.ts"
import * as h from "./harness.ts"

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** A server of TCP on loopback. */
const listenApp = async (onConnection: (socket: Socket) => void): Promise<number> => {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined)
    closing.push(() => socket.destroy())
    onConnection(socket)
  })
  closing.push(() => server.close())
  return h.listen(server)
}

/** All that comes until its end; not by iteration, which on Bun destroys a socket that could still be written to. */
const received = (socket: Duplex): Promise<Buffer> =>
  new Promise((resolve) => {
    const pieces: Buffer[] = []
    socket.on("data", (bytes: Buffer) => pieces.push(bytes))
    socket.on("end", () => resolve(Buffer.concat(pieces)))
  })

const startProxy = async (options: Partial<MachineProxyOptions> = {}) => {
  const events: EngineEvent[] = []
  const proxy = createMachineProxy({
    machine: h.machine,
    keys: [h.verification],
    onEvent: (event) => events.push(event),
    ...options,
  })
  const server = net.createServer(proxy.connection)
  const port = await h.listen(server)
  closing.push(() => {
    server.close()
    return proxy.drain({ deadlineMs: 0 })
  })
  return { proxy, port, events }
}

const fieldsFor = (port: number, protocol: string | undefined = "tcp"): Record<string, string> => ({
  "x-iterate-proxy-ticket": h.ticketFor(`localhost:${port}`),
  "x-iterate-proxy-target-host": `localhost:${port}`,
  ...(protocol === undefined ? {} : { "x-iterate-proxy-protocol": protocol }),
})

const tunnelTo = (proxy: { readonly port: number }, port: number, more: Record<string, string> = {}): Promise<Duplex> =>
  openTunnel({ url: `http://127.0.0.1:${proxy.port}`, headers: { ...fieldsFor(port), ...more } })

const refusal = async (opening: Promise<unknown>): Promise<TunnelRefused> => {
  const error: unknown = await opening.then(
    () => undefined,
    (cause: unknown) => cause,
  )
  if (error instanceof TunnelRefused) return error
  throw new Error("the tunnel was not refused", { cause: error })
}

const failure = async (stream: Duplex): Promise<unknown> => {
  const [error] = (await once(stream, "error")) as [unknown]
  return error
}

describe("a TCP tunnel", () => {
  it("carries bytes both ways, what the app says first included, and many of them", async () => {
    const app = await listenApp((socket) => {
      socket.write("ready")
      socket.pipe(socket)
    })
    const stream = await tunnelTo(await startProxy(), app)
    const sent = Buffer.alloc(3_000_000, "0123456789abcdef-")
    stream.end(sent)
    const seen = await received(stream)
    expect(seen.subarray(0, 5).toString()).toBe("ready")
    expect(seen.subarray(5).equals(sent)).toBe(true)
  })

  it("ends one direction without the other: the client first", async () => {
    const app = await listenApp((socket) => void received(socket).then((all) => socket.end(`got ${all.length}`)))
    const stream = await tunnelTo(await startProxy(), app)
    stream.end("12345")
    expect((await received(stream)).toString()).toBe("got 5")
  })

  it("ends one direction without the other: the app first", async () => {
    const got = Promise.withResolvers<string>()
    const app = await listenApp((socket) => {
      socket.end("all I have")
      void received(socket).then((all) => got.resolve(all.toString()))
    })
    const stream = await tunnelTo(await startProxy(), app)
    expect((await received(stream)).toString()).toBe("all I have")
    stream.end("and more")
    expect(await got.promise).toBe("and more")
  })

  it("tells the client of a reset of the app, and the app of one of the client", async () => {
    const sockets: Socket[] = []
    const app = await listenApp((socket) => void sockets.push(socket))
    const proxy = await startProxy()
    const first = await tunnelTo(proxy, app)
    sockets[0]!.resetAndDestroy()
    expect(await failure(first)).toMatchObject({ name: "TunnelBroken", code: 1011 })
    const second = await tunnelTo(proxy, app)
    const closed = new Promise((resolve) => sockets[1]!.once("close", resolve))
    second.destroy()
    await closed
    expect(sockets[1]!.errored).toMatchObject({ code: "ECONNRESET" })
  })

  it("is not opened to a port on which nobody listens, that is forbidden, or with a ticket for another one", async () => {
    const app = await listenApp(() => undefined)
    const proxy = await startProxy({ ports: { deny: [22] } })
    const closed = await h.closedPort()
    expect(await refusal(tunnelTo(proxy, closed))).toMatchObject({ status: 502, code: "PORT_CLOSED" })
    expect(await refusal(tunnelTo(proxy, 22))).toMatchObject({ status: 403, code: "PORT_FORBIDDEN" })
    const forged = { "x-iterate-proxy-target-host": `localhost:${app}` }
    expect(await refusal(tunnelTo(proxy, closed, forged))).toMatchObject({ code: "TICKET_WRONG_TARGET" })
  })

  it("is not opened without a valid handshake, nor by a sender that proves nothing", async () => {
    const app = await listenApp(() => undefined)
    const proxy = await startProxy()
    const fields = Object.entries(fieldsFor(app)).map(([name, value]) => `${name}: ${value}`)
    const upgrade = ["Connection: Upgrade", "Upgrade: websocket", `Sec-WebSocket-Protocol: ${tunnelProtocols.tcp}`]
    const key = `Sec-WebSocket-Key: ${"A".repeat(22)}==`
    const version = "Sec-WebSocket-Version: 13"
    const codeOf = async (...lines: string[]) =>
      (await rawHandshake(proxy.port, [...fields, ...lines])).match(/x-iterate-proxy-error: (\w+)/i)?.[1]
    expect(await codeOf(...upgrade, version)).toBe("TUNNEL_INVALID")
    expect(await codeOf(...upgrade, key)).toBe("TUNNEL_INVALID")
    expect(await codeOf(...upgrade, version, "Sec-WebSocket-Key: short")).toBe("TUNNEL_INVALID")
    expect(await codeOf(...upgrade, version, key, "Sec-WebSocket-Protocol: chat")).toBe("TUNNEL_INVALID")
    expect(await codeOf(...upgrade.slice(0, 2), version, key)).toBe("TUNNEL_INVALID")
    expect(await codeOf()).toBe("TUNNEL_INVALID")
    const open = await startProxy({ keys: "insecure" })
    expect(await refusal(tunnelTo(open, app))).toMatchObject({ status: 501, code: "TUNNEL_UNAVAILABLE" })
  })

  it("appears in the events as a WebSocket, with its bytes", async () => {
    const app = await listenApp((socket) => socket.pipe(socket))
    const { port, events } = await startProxy()
    const stream = await tunnelTo({ port }, app)
    stream.end("x".repeat(1_000))
    await received(stream)
    await expect.poll(() => events, { timeout: 20_000 }).toHaveLength(1)
    const [event] = events as [Extract<EngineEvent, { type: "request" }>]
    expect(event).toMatchObject({ status: 101, upgrade: true, complete: true })
    expect(event.bytesIn).toBeGreaterThan(1_000)
    expect(event.bytesOut).toBeGreaterThan(1_000)
  })

  it("ends with 1001 when the proxy stops", async () => {
    const app = await listenApp(() => undefined)
    const { port, proxy } = await startProxy()
    const stream = await tunnelTo({ port }, app)
    const failed = failure(stream)
    await proxy.drain({ deadlineMs: 0 })
    expect(await failed).toMatchObject({ code: 1001 })
  })

  it("is not read faster than the app reads, nor than the client does", async () => {
    const sockets: Socket[] = []
    const app = await listenApp((socket) => {
      socket.pause()
      sockets.push(socket)
    })
    const { port } = await startProxy()
    const stream = await tunnelTo({ port }, app)
    const piece = Buffer.alloc(65_536)
    const fill = async (target: Duplex): Promise<number> => {
      let written = 0
      // Once the kernel's buffers are full nothing drains any more.
      while (target.writableLength < 2_000_000 && written < 200_000_000) {
        target.write(piece)
        written += piece.length
        await new Promise((resolve) => setImmediate(resolve))
      }
      return written
    }
    expect(await fill(stream)).toBeLessThan(200_000_000)
    stream.pause()
    expect(await fill(sockets[0]!)).toBeLessThan(200_000_000)
  })
})

describe("a UDP tunnel", () => {
  const listenDatagrams = async (address = "127.0.0.1") => {
    const socket = createSocket(address === "::1" ? "udp6" : "udp4")
    socket.on("message", (bytes, { port, address: from }) =>
      socket.send(Buffer.concat([Buffer.from("re:"), bytes]), port, from),
    )
    await new Promise<void>((resolve) => socket.bind(0, address, resolve))
    closing.push(() => socket.close())
    return socket.address().port
  }
  const open = async (proxy: { readonly port: number }, port: number) => {
    const seen: string[] = []
    const over = Promise.withResolvers<TunnelBroken | undefined>()
    const tunnel = await openDatagramTunnel(
      { url: `http://127.0.0.1:${proxy.port}`, headers: fieldsFor(port, "udp") },
      { onDatagram: (bytes) => seen.push(Buffer.from(bytes).toString()), onClose: over.resolve },
    )
    closing.push(() => tunnel.close())
    return { tunnel, seen, over: over.promise }
  }

  it.each(["127.0.0.1", "::1"])("carries datagrams both ways, to an app on %s", async (address) => {
    const app = await listenDatagrams(address)
    const { tunnel, seen } = await open(await startProxy(), app)
    tunnel.send(Buffer.from("one"))
    await expect.poll(() => seen, { timeout: 20_000 }).toEqual(["re:one"])
    tunnel.send(Buffer.alloc(0))
    await expect.poll(() => seen, { timeout: 20_000 }).toEqual(["re:one", "re:"])
  })

  it("survives a restart of its app", async () => {
    const listenAt = async (port: number) => {
      const socket = createSocket("udp4")
      socket.on("message", (bytes, { port: to, address }) => socket.send(`re:${String(bytes)}`, to, address))
      await new Promise<void>((resolve) => socket.bind(port, "127.0.0.1", resolve))
      return socket
    }
    const before = await listenAt(0)
    const { port } = before.address()
    const { tunnel, seen } = await open(await startProxy(), port)
    tunnel.send(Buffer.from("one"))
    await expect.poll(() => seen, { timeout: 20_000 }).toEqual(["re:one"])
    await new Promise<void>((resolve) => before.close(() => resolve()))
    tunnel.send(Buffer.from("lost"))
    // By the time that others have come and gone, the machine's socket knows that nobody listens.
    const other = await open(await startProxy(), await listenDatagrams())
    for (const name of ["a", "b"]) {
      other.tunnel.send(Buffer.from(name))
      await expect.poll(() => other.seen, { timeout: 20_000 }).toContain(`re:${name}`)
    }
    const after = await listenAt(port)
    closing.push(() => after.close())
    // As a client of UDP does.
    await expect.poll(() => (tunnel.send(Buffer.from("two")), seen.includes("re:two")), { timeout: 20_000 }).toBe(true)
  })

  it("ends when nothing comes or goes for a while", async () => {
    const app = await listenDatagrams()
    const { over } = await open(await startProxy({ limits: { datagramIdleTimeoutMs: 100 } }), app)
    expect(await over).toMatchObject({ code: 1011 })
  })
})

/** Sends a request and gives the head of its response. */
const rawHandshake = async (port: number, lines: readonly string[]): Promise<string> => {
  const socket = net.connect(port, "127.0.0.1")
  closing.push(() => socket.destroy())
  socket.write(["GET / HTTP/1.1", "Host: m", ...lines, "", ""].join("\r\n"))
  let text = ""
  for await (const bytes of socket) {
    text += String(bytes)
    if (text.includes("\r\n\r\n")) break
  }
  return text
}
