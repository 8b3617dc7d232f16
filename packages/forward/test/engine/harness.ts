import { createServer, connect } from "node:net"
import type { AddressInfo, Server, Socket } from "node:net"
import { afterEach, vi } from "vitest"
import { defaultHeaderNames, errorResponse, forwardErrors } from "../../src/forward.ts"
import type { ResponseHop } from "../../src/forward.ts"
import { createEngine } from "../../src/sockets.ts"
import type { Engine, EngineEvent, EngineOptions, ForwardDirective, IncomingRequest } from "../../src/sockets.ts"

/*
 * Real sockets on both sides of an engine, and the engine's clock in the hands of the test: its deadlines come from an interval
 * and `performance.now`, which are faked, while I/O and `setTimeout` are real. So no claim depends on how fast the machine is.
 */

const closing: (() => unknown)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closing.splice(0).toReversed()) await close()
})

/** From here on the engine's time stands still until `passes` moves it. Before anything is made. */
export const holdTime = (): void => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] })

/** Moves the engine's time on. Deadlines fire up to two scans late, 100 ms. */
export const passes = (ms: number): void => void vi.advanceTimersByTime(ms)
export const SCANS_MS = 101

/** Resolves when it is true, for what no event tells. A test's own time-out ends the wait. */
export const eventually = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** One end of a connection, as a test reads and writes it. */
export class Raw {
  readonly socket: Socket
  text = ""
  state: "open" | "ended" | "closed" | "reset" = "open"
  #wake: (() => void)[] = []

  constructor(socket: Socket) {
    this.socket = socket
    const changed = () => {
      for (const wake of this.#wake.splice(0)) wake()
    }
    socket.on("data", (bytes: Buffer) => {
      this.text += bytes.toString("latin1")
      changed()
    })
    socket.on("end", () => {
      this.state = "ended"
      changed()
    })
    socket.on("error", () => {
      this.state = "reset"
      changed()
    })
    socket.on("close", () => {
      if (this.state !== "reset") this.state = "closed"
      changed()
    })
    closing.push(() => socket.destroy())
  }

  send(text: string): this {
    this.socket.write(text, "latin1")
    return this
  }

  /** Resolves as soon as it is true. A test's own time-out ends the wait. */
  async when(condition: (raw: this) => boolean): Promise<this> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#wake.push(resolve))
    return this
  }

  /** Resolves with what has come, and forgets it, once the text is in it. */
  async until(text: string): Promise<string> {
    await this.when((raw) => raw.text.includes(text))
    const seen = this.text
    this.text = ""
    return seen
  }

  /** Resolves when the peer has ended the connection in some way. */
  over(): Promise<this> {
    return this.when(({ state }) => state !== "open")
  }
}

/** An app: everything that connects to it, in order. */
export interface App {
  readonly port: number
  readonly connections: Raw[]
  /** Resolves with the nth connection, from 0. */
  connection(n: number): Promise<Raw>
}

/** `onConnection` may respond by itself. */
export const listenApp = async (onConnection: (raw: Raw) => void = () => {}): Promise<App> => {
  const connections: Raw[] = []
  const waiting: (() => void)[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const raw = new Raw(socket)
    connections.push(raw)
    onConnection(raw)
    for (const wake of waiting.splice(0)) wake()
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => server.close())
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    connection: async (n) => {
      while (connections.length <= n) await new Promise<void>((resolve) => waiting.push(resolve))
      return connections[n]!
    },
  }
}

/** An app that gives the same response to each request without a body. */
export const respondingApp = (response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"): Promise<App> =>
  listenApp((raw) => {
    raw.socket.on("data", () => {
      const heads = raw.text.split("\r\n\r\n")
      raw.text = heads.pop()!
      for (const _ of heads) raw.send(response)
    })
  })

const hop: ResponseHop = { headerNames: defaultHeaderNames, stamped: false, add: [] }

/** A directive to a port of this machine. */
export const to = (port: number, more: Partial<ForwardDirective> = {}): ForwardDirective => ({
  origin: { pool: String(port), host: "127.0.0.1", port },
  headers: ["Host", "app"],
  response: hop,
  ...more,
})

/** Everything but framing goes on, so that upgrades and expectations do. */
export const asSent = ({ head }: IncomingRequest, port: number): ForwardDirective => to(port, { headers: head.headers })

export interface Front {
  readonly engine: Engine
  readonly server: Server
  readonly events: EngineEvent[]
  /** Opens a connection to the engine. */
  readonly connect: () => Promise<Raw>
}

/** An engine that listens. */
export const listen = async (
  onRequest: EngineOptions["onRequest"],
  options: Partial<EngineOptions> = {},
): Promise<Front> => {
  const events: EngineEvent[] = []
  const engine = createEngine({
    onRequest,
    failure: (tag) => errorResponse(forwardErrors[tag], { headerNames: defaultHeaderNames, pseudonym: "test" }),
    onEvent: (event) => events.push(event),
    ...options,
  })
  const server = createServer(engine.connection)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => server.close())
  const { port } = server.address() as AddressInfo
  return {
    engine,
    server,
    events,
    connect: async () => {
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
      await new Promise<void>((resolve) => socket.once("connect", resolve))
      return new Raw(socket)
    },
  }
}

/** Resolves when an engine has so many connections. */
export const settledOpen = (front: Front, count: number): Promise<void> =>
  eventually(() => front.engine.connections() === count)

/** Lets I/O that is under way happen: a round over loopback, twice. */
export const settled = async (front: Front): Promise<void> => {
  const probe = await front.connect()
  probe.send("BAD\r\n\r\n")
  await probe.over()
  probe.socket.end()
  await probe.when(({ state }) => state === "closed")
}

export const get = (target = "/", more = ""): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n${more}\r\n`

export const handshake = (): string =>
  get(
    "/socket",
    `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${"A".repeat(22)}==\r\n`,
  )

export const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

export const status = (text: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1])
