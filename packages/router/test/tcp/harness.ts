import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import type { AddressInfo, Server, Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect as connectTls, createServer as createTlsServer } from "node:tls"
import type { TLSSocket } from "node:tls"
import { generateTicketKeys } from "@project-ingress/forward"
import type { ConnectionEvent } from "@project-ingress/forward/sockets"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { upstream } from "@project-ingress/providers/upstream"
import { onTestFinished } from "vitest"
import { serveTcp } from "../../src/hosts/tcp.ts"
import type { TcpHost, TcpOptions } from "../../src/hosts/tcp.ts"
import { createRouter } from "../../src/router.ts"
import type { Router, RouterEvent, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import type { MemoryStore } from "../../src/stores/memory.ts"

export const grammar = defineGrammar({ domains: ["iterate.app"] })
export const keys = await generateTicketKeys("test")

/** A certificate of its own for every name that tests use. */
export const certificate = (() => {
  const folder = mkdtempSync(join(tmpdir(), "tcp-"))
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")]
  const subject = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
  execFileSync(
    "openssl",
    [
      ...subject.split(" "),
      "-addext",
      "subjectAltName=DNS:*.iterate.app,DNS:db.example.com",
      "-keyout",
      key,
      "-out",
      cert,
    ],
    {
      stdio: "ignore",
    },
  )
  const made = { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") }
  rmSync(folder, { recursive: true })
  return made
})()

export const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port))
  })

/** An app by TCP; `serve` gets each connection. */
export const startApp = async (serve: (socket: Socket) => void): Promise<number> => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined)
    open.add(socket)
    socket.on("close", () => open.delete(socket))
    serve(socket)
  })
  const open = new Set<Socket>()
  onTestFinished(() => {
    server.close()
    for (const socket of open) socket.destroy()
  })
  return listening(server)
}

/** An app that speaks TLS itself, and echoes. */
export const startTlsApp = async (): Promise<number> => {
  const server = createTlsServer({ ...certificate, ALPNProtocols: ["h2", "echo"] }, (socket) => {
    socket.on("error", () => undefined)
    socket.write(`${socket.alpnProtocol}\n`)
    socket.pipe(socket)
  })
  server.on("tlsClientError", () => undefined)
  onTestFinished(() => void server.close())
  return listening(server)
}

export const echo = (socket: Socket): void => void socket.pipe(socket)

/** A record for an app at 127.0.0.1 whose port speaks TCP. */
export const tcpRecord = (id: string, port: number, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  machine: { id, type: "upstream", externalId: id, metadata: { origin: `http://127.0.0.1:${port}` } },
  port,
  protocol: "tcp",
  ...more,
})

export interface TcpSetup {
  readonly host: TcpHost
  readonly router: Router
  readonly store: MemoryStore
  readonly events: ConnectionEvent[]
  readonly routerEvents: RouterEvent[]
  /** The event of the connection that ends next, or has ended unseen. */
  readonly ended: () => Promise<ConnectionEvent>
}

/** A router for TCP over records. */
export const startHost = (
  records: Readonly<Record<string, unknown>>,
  { router: routerOptions = {}, ...options }: TcpOptions & { readonly router?: Partial<RouterOptions> } = {},
): TcpSetup => {
  const store = memoryStore(records as never)
  const routerEvents: RouterEvent[] = []
  const router = createRouter({
    grammar,
    store,
    providers: [upstream({ allowCidrs: ["127.0.0.0/8"] }), local()],
    signingKey: keys.signing,
    onEvent: (event) => void routerEvents.push(event),
    ...routerOptions,
  })
  const events: ConnectionEvent[] = []
  const waiting: ((event: ConnectionEvent) => void)[] = []
  const unseen: ConnectionEvent[] = []
  const host = serveTcp(router, {
    ...options,
    onEvent: (event) => {
      options.onEvent?.(event)
      if (event.type !== "connection") return
      events.push(event)
      const next = waiting.shift()
      if (next === undefined) unseen.push(event)
      else next(event)
    },
  })
  onTestFinished(() => host.drain({ deadlineMs: 0 }))
  const ended = async () => unseen.shift() ?? new Promise<ConnectionEvent>((resolve) => void waiting.push(resolve))
  return { host, router, store, events, routerEvents, ended }
}

/** A TCP client of a listener, from an address of loopback. */
export const dial = (port: number, localAddress = "127.0.0.1"): Socket => {
  const socket = connect({ port, host: "127.0.0.1", localAddress, allowHalfOpen: true })
  socket.on("error", () => undefined)
  onTestFinished(() => void socket.destroy())
  return socket
}

/** A TLS client that asks for a name. */
export const dialTls = (port: number, servername: string, more: object = {}): TLSSocket => {
  const socket = connectTls({ port, host: "127.0.0.1", servername, rejectUnauthorized: false, ...more })
  onTestFinished(() => void socket.destroy())
  return socket
}

/** Everything that a socket receives until its end, or `reset`. */
export const received = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    let text = ""
    socket.on("data", (bytes) => (text += bytes.toString("latin1")))
    socket.on("end", () => resolve(text))
    socket.on("close", (failed) => resolve(failed ? `${text}reset` : text))
  })

/** The error of a connection that fails. */
export const failure = (socket: Socket): Promise<NodeJS.ErrnoException> =>
  new Promise((resolve) => {
    socket.on("error", resolve)
  })

/** The next bytes, at least so many. */
export const next = (socket: Socket, size: number): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ""
    const onData = (bytes: Buffer): void => {
      text += bytes.toString("latin1")
      if (text.length < size) return
      socket.off("data", onData)
      resolve(text)
    }
    socket.on("data", onData)
    socket.once("close", () => reject(new Error(`closed after ${JSON.stringify(text)}`)))
  })
