import { once } from "node:events"
import { connect, createServer } from "node:net"
import type { AddressInfo, Server, Socket } from "node:net"
import { buffer } from "node:stream/consumers"
import { describe, expect, it, onTestFinished } from "vitest"
import { createTcpEngine, dialTcp } from "../../src/sockets.ts"
import type { ConnectionEvent, IncomingConnection, TcpEngine, TcpEngineOptions, TcpEvent } from "../../src/sockets.ts"
import { extension, helloFor } from "./hello-bytes.ts"

const listen = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

const startApp = (serve: (socket: Socket) => void): Promise<number> =>
  listen(
    createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => undefined)
      onTestFinished(() => void socket.destroy())
      serve(socket)
    }),
  )

const client = (port: number): Socket => {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
  socket.on("error", () => undefined)
  onTestFinished(() => void socket.destroy())
  return socket
}

/** Until the end, or with `reset` behind it. */
const received = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    let text = ""
    socket.on("data", (bytes) => (text += bytes.toString("latin1")))
    socket.on("end", () => resolve(text))
    socket.on("close", (failed) => resolve(failed ? `${text}reset` : text))
  })

interface Started {
  readonly engine: TcpEngine
  readonly port: number
  readonly server: Server
  readonly events: TcpEvent[]
  readonly ended: () => Promise<ConnectionEvent>
}

const start = async (
  app: number,
  options: Partial<TcpEngineOptions> & { readonly byName?: boolean } = {},
): Promise<Started> => {
  const { byName = false, ...rest } = options
  const events: TcpEvent[] = []
  const waiting: ((event: ConnectionEvent) => void)[] = []
  const unseen: ConnectionEvent[] = []
  const engine = createTcpEngine({
    onConnection: async ({ signal }) => {
      const opened = await dialTcp({ pool: "", host: "127.0.0.1", port: app }, { timeoutMs: 5_000, signal })
      return "tag" in opened ? { refuse: "internal_error", reason: opened.tag } : { relay: opened }
    },
    onEvent: (event) => {
      events.push(event)
      if (event.type !== "connection") return
      const next = waiting.shift()
      if (next === undefined) unseen.push(event)
      else next(event)
    },
    ...rest,
  })
  onTestFinished(() => engine.drain({ deadlineMs: 0 }))
  const server = createServer({ allowHalfOpen: true }, byName ? engine.byServerName : engine.to("app.example"))
  const port = await listen(server)
  const ended = async () => unseen.shift() ?? new Promise<ConnectionEvent>((resolve) => void waiting.push(resolve))
  return { engine, port, server, events, ended }
}

const echo = (socket: Socket): void => void socket.pipe(socket)

describe("bytes", () => {
  it("pass both ways untouched, what came before the connection to the app included", async () => {
    const { port, ended } = await start(await startApp(echo), { byName: true })
    const sent = Buffer.concat([helloFor("a.example"), Buffer.alloc(2_000_000, "0123456789abcdef-")])
    const socket = client(port)
    // The hello in three segments, and what follows it at once.
    for (const [from, to] of [
      [0, 3],
      [3, 20],
      [20, sent.length],
    ] as const) {
      socket.write(sent.subarray(from, to))
      await new Promise((resolve) => void setImmediate(resolve))
    }
    socket.end()
    expect((await buffer(socket)).equals(sent)).toBe(true)
    expect(await ended()).toMatchObject({ hostname: "a.example", bytesIn: sent.length, bytesOut: sent.length })
  })

  it("wait in the sender for a side that does not read", async () => {
    let reading: Socket | undefined
    const app = await startApp((socket) => {
      socket.pause()
      reading = socket
    })
    const { port, engine } = await start(app)
    const socket = client(port)
    const piece = Buffer.alloc(65_536)
    // More than all buffers of kernels hold.
    let written = 0
    await new Promise<void>((resolve) => {
      const write = (): void => {
        if (written > 200_000_000) throw new Error("nothing holds the sender back")
        written += piece.length
        if (socket.write(piece)) setImmediate(write)
        else {
          const stuck = setTimeout(resolve, 500)
          socket.once("drain", () => {
            clearTimeout(stuck)
            write()
          })
        }
      }
      write()
    })
    socket.end()
    let size = 0
    reading!.on("data", (bytes: Buffer) => (size += bytes.length))
    reading!.resume()
    await once(reading!, "end")
    expect(size).toBe(written)
    expect(engine.connections()).toBe(1)
  })
})

describe("an end", () => {
  it("of the client's side leaves the app's open", async () => {
    const app = await startApp((socket) => void received(socket).then((all) => socket.end(`got ${all.length}`)))
    const { port, ended } = await start(app)
    const socket = client(port)
    socket.end("12345")
    expect(await received(socket)).toBe("got 5")
    expect(await ended()).toMatchObject({ end: "closed", bytesIn: 5, bytesOut: 5 })
  })

  it("of the app's side leaves the client's open", async () => {
    let heard: (text: string) => void = () => undefined
    const hearing = new Promise<string>((resolve) => (heard = resolve))
    const app = await startApp((socket) => {
      socket.end("bye")
      void received(socket).then(heard)
    })
    const { port, ended } = await start(app)
    const socket = client(port)
    expect(await received(socket)).toBe("bye")
    socket.end("still here")
    expect(await hearing).toBe("still here")
    expect(await ended()).toMatchObject({ end: "closed" })
  })

  it("by a reset of the app is a reset for the client", async () => {
    const { port, ended } = await start(
      await startApp((socket) => void socket.once("data", () => socket.resetAndDestroy())),
    )
    const socket = client(port)
    socket.write("x")
    expect(await received(socket)).toBe("reset")
    expect(await ended()).toMatchObject({ end: "reset" })
  })

  it("by a reset of the client is a reset for the app", async () => {
    let heard: (text: string) => void = () => undefined
    const hearing = new Promise<string>((resolve) => (heard = resolve))
    const app = await startApp((socket) => {
      socket.write("hello")
      void received(socket).then(heard)
    })
    const { port, ended } = await start(app)
    const socket = client(port)
    await once(socket, "data")
    socket.resetAndDestroy()
    expect(await hearing).toBe("reset")
    expect(await ended()).toMatchObject({ end: "reset" })
  })

  it("of an app that takes nothing more brings the client what the app said before", async () => {
    const app = await startApp((socket) => {
      // Long after the client's bytes have failed.
      setTimeout(() => socket.end("too many clients"), 100)
    })
    const { port } = await start(0, {
      onConnection: async ({ signal }) => {
        const opened = await dialTcp({ pool: "", host: "127.0.0.1", port: app }, { timeoutMs: 5_000, signal })
        if ("tag" in opened) throw new Error(opened.tag)
        // As the kernel says it of a peer that has closed.
        opened._write = (_bytes, _encoding, done) => done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }))
        return { relay: opened }
      },
    })
    const socket = client(port)
    socket.write("x")
    expect(await received(socket)).toBe("too many clients")
  })

  it("comes after a time without a byte, and sooner once one side has ended", async () => {
    const app = await startApp((socket) => void socket.resume())
    const limits = { idleTimeoutMs: 300, halfClosedTimeoutMs: 100 }
    const { port, ended } = await start(app, { limits })
    const silent = client(port)
    expect(await received(silent)).toBe("reset")
    expect((await ended()).end).toBe("timeout")
    const half = client(port)
    half.end("x")
    expect(await received(half)).toBe("reset")
    expect((await ended()).end).toBe("timeout")
  })
})

describe("a ClientHello", () => {
  it.each([
    ["never comes", Buffer.alloc(0)],
    ["comes in part", helloFor("a.example").subarray(0, 30)],
  ])("that %s ends the connection in time", async (_, part) => {
    const { port, ended } = await start(await startApp(echo), { byName: true, limits: { helloTimeoutMs: 150 } })
    const socket = client(port)
    socket.write(part)
    expect(await received(socket)).toBe("reset")
    expect(await ended()).toMatchObject({ end: "refused", hostname: "", reason: "the ClientHello took too long" })
  })

  it("that trickles in has no more time than one that does not", async () => {
    const { port, ended } = await start(await startApp(echo), { byName: true, limits: { helloTimeoutMs: 300 } })
    const socket = client(port)
    const sent = helloFor("a.example", extension(21, Buffer.alloc(1_000)))
    let at = 0
    const trickle = setInterval(() => socket.write(sent.subarray(at, ++at)), 20)
    onTestFinished(() => clearInterval(trickle))
    expect(await received(socket)).toBe("reset")
    expect((await ended()).end).toBe("refused")
    expect(at).toBeLessThan(sent.length)
  })

  it("that is malformed is answered by its alert, whatever else has come", async () => {
    const { port, ended } = await start(await startApp(echo), { byName: true })
    const socket = client(port)
    socket.write(Buffer.concat([helloFor("192.0.2.1"), Buffer.alloc(60_000)]))
    expect(await received(socket)).toBe("\x15\x03\x03\0\x02\x02\x2f")
    socket.end()
    expect(await ended()).toMatchObject({ end: "refused", alert: "illegal_parameter" })
  })

  it("is none: what speaks no TLS is reset without a byte", async () => {
    const { port, ended } = await start(await startApp(echo), { byName: true })
    const socket = client(port)
    socket.write("GET / HTTP/1.1\r\n")
    expect(await received(socket)).toBe("reset")
    const event = await ended()
    expect(event).toMatchObject({ end: "refused", reason: "the connection does not begin with TLS" })
    expect(event.alert).toBeUndefined()
  })
})

describe("a decision", () => {
  it("that throws or rejects ends its own connection and no other", async () => {
    let count = 0
    const { port, events, engine, ended } = await start(0, {
      onConnection: () => {
        if (count++ === 0) throw new Error("thrown")
        return Promise.reject(new Error("rejected"))
      },
    })
    expect(await received(client(port))).toBe("reset")
    expect(await received(client(port))).toBe("reset")
    expect(events.filter(({ type }) => type === "error")).toMatchObject([{ reason: "thrown" }, { reason: "rejected" }])
    expect([(await ended()).code, (await ended()).code]).toEqual(["PROXY_FAILED", "PROXY_FAILED"])
    expect(engine.connections()).toBe(0)
  })

  it("that comes after its client has left closes what it brings", async () => {
    let decide: (decision: never) => void = () => undefined
    let asked: (connection: IncomingConnection) => void = () => undefined
    const asking = new Promise<IncomingConnection>((resolve) => (asked = resolve))
    const { port, ended } = await start(0, {
      onConnection: (connection) => {
        asked(connection)
        return new Promise((resolve) => (decide = resolve))
      },
    })
    const socket = client(port)
    const { signal } = await asking
    socket.resetAndDestroy()
    expect((await ended()).end).toBe("left")
    expect(signal.aborted).toBe(true)
    const app = client(await startApp(echo))
    decide({ relay: app } as never)
    await once(app, "close")
    expect(app.destroyed).toBe(true)
  })
})

describe("a stop", () => {
  it("waits for what is open, takes nobody new, and resets the rest at its deadline", async () => {
    const { port, engine, server, ended } = await start(await startApp(echo))
    const [one, two] = [client(port), client(port)]
    for (const socket of [one, two]) {
      socket.write("x")
      await once(socket, "data")
    }
    const stopped = engine.drain({ deadlineMs: 400, listeners: [server] })
    one.end("last")
    expect(await received(one)).toBe("last")
    expect((await ended()).end).toBe("closed")
    expect(engine.draining()).toBe(true)
    const reset = received(two)
    await stopped
    expect(await reset).toBe("reset")
    expect((await ended()).end).toBe("drained")
    expect(await received(client(port))).toBe("reset")
    expect(engine.connections()).toBe(0)
  })
})

describe("many", () => {
  it("connections that say nothing make room for one that does", async () => {
    const limits = { maxConnections: 30 }
    const { port, engine } = await start(await startApp(echo), { byName: true, limits })
    const silent = Array.from({ length: 30 }, () => client(port))
    await Promise.all(silent.map((socket) => once(socket, "connect")))
    // Those that have been silent for half a second are closed for others; until then there is no room.
    for (let served = false; !served;) {
      const socket = client(port)
      socket.write(helloFor("a.example"))
      served = await new Promise((resolve) => {
        socket.on("data", () => resolve(true))
        socket.on("close", () => resolve(false))
      })
    }
    expect(engine.connections()).toBeLessThanOrEqual(30)
    expect(silent.some((socket) => socket.destroyed)).toBe(true)
  })

  it("options that are wrong are named", () => {
    const onConnection = () => ({ refuse: "internal_error", reason: "" }) as const
    expect(() => createTcpEngine({ onConnection, limits: { maxHello: 20_000 } })).toThrow("limits.maxHello")
    expect(() => createTcpEngine({ onConnection, limits: { idle: 1 } as never })).toThrow("limits.idle")
    expect(() => createTcpEngine({ onConnection, proxyProtocol: {} as never })).toThrow("proxyProtocol.trustedCidrs")
    expect(() => createTcpEngine({} as never)).toThrow("onConnection")
  })
})
