/**
 * A raw client, a recording app and a machine proxy between them, for tests of what is on the wire. Nothing here uses the
 * codec under test: messages are read by the small parsers at the end of this file.
 */
import { once } from "node:events"
import { readFileSync } from "node:fs"
import * as net from "node:net"
import type { AddressInfo, Socket } from "node:net"
import type { EngineEvent } from "@project-ingress/forward/sockets"
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest"
import { createMachineProxy } from "../../src/machine-proxy.ts"
import type { MachineProxyOptions } from "../../src/machine-proxy.ts"
import { machine, ticketFor, verification } from "../harness.ts"

export { machine, signing, ticketFor } from "../harness.ts"

export type Bytes = string | Uint8Array

/** What the proxy adds to each response of an app without `Cache-Control`, by lower-case name, sorted. */
export const ownFields = ["cache-control", "x-iterate-proxy-fwd-cache-control", "x-iterate-proxy-stamp"] as const

/** One character per octet. */
export const octets = (bytes: Bytes): Buffer =>
  typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.from(bytes)

/**
 * How long anything may take to happen, in ms: much more than a busy machine needs, and less than every time-out of the proxy by
 * which it would happen otherwise. What is "at once" or "soon" is not measured more closely, because that depends on the machine.
 */
export const SOON_MS = 10_000

/** Waits for conditions that events make true; never by time. */
export class Watch {
  readonly #waiting = new Set<() => void>()

  /** Something happened: every waiting condition is looked at again. */
  readonly poke = (): void => {
    for (const look of this.#waiting) look()
  }

  /** Resolves once `check` holds. Rejects at the deadline with what `describe` says. */
  until(check: () => boolean, describe: () => string, deadlineMs = SOON_MS): Promise<void> {
    if (check()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!check()) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(look)
        reject(new Error(`not within ${deadlineMs} ms: ${describe()}`))
      }, deadlineMs)
      this.#waiting.add(look)
    })
  }
}

// ---- ends -----------------------------------------------------------------------------------------------------------

/** A port as in the kernel's tables. */
export const hexPort = (port: number): string => port.toString(16).toUpperCase().padStart(4, "0")

/** Node 22 emits `end` for a reset too, when octets came just before it. */
const MISTAKES_RESETS = process.platform === "linux" && Number.parseInt(process.versions.node, 10) < 24

/**
 * How the peer ended a connection that has just emitted `end`. Where the event is not to be believed the kernel is asked: after
 * a FIN it still has the connection, after a reset it has not.
 */
const howEnded = (socket: Socket, localPort: number, remotePort: number): "fin" | "reset" => {
  if (!MISTAKES_RESETS) return "fin"
  const { _handle: handle } = socket as unknown as { readonly _handle: { getpeername(into: object): number } | null }
  // Without its peer it was reset, or both sides have ended: only then is the table read, which may be long.
  if (handle?.getpeername({}) === 0) return "fin"
  const [local, remote] = [`:${hexPort(localPort)} `, `:${hexPort(remotePort)} `]
  const isIn = (table: string): boolean =>
    readFileSync(table, "latin1")
      .split("\n")
      .some((row) => row.includes(local) && row.includes(remote))
  return isIn("/proc/net/tcp") || isIn("/proc/net/tcp6") ? "fin" : "reset"
}

// ---- messages -------------------------------------------------------------------------------------------------------

export type Field = readonly [name: string, value: string]

/** A message as it was on the wire, one character per octet. */
export interface Message {
  /** The start line. */
  readonly line: string
  /** In order, with case and repetition. */
  readonly fields: readonly Field[]
  readonly body: Buffer
  readonly trailers: readonly Field[]
  /** The body's chunks, when it was chunked: extensions included in `sizeLine`. */
  readonly chunks: readonly { readonly sizeLine: string; readonly data: Buffer }[]
  /** False while octets of it are missing. */
  readonly complete: boolean
  /** All values of a field. */
  values(name: string): string[]
  /** The only value of a field, `undefined` without one; throws when there are several. */
  value(name: string): string | undefined
  /** The body as text. */
  readonly text: string
}

export interface AppRequest extends Message {
  readonly method: string
  readonly target: string
}

export interface Answer extends Message {
  readonly status: number
  readonly reason: string
}

// ---- the app --------------------------------------------------------------------------------------------------------

/** What an app does with a complete request. */
export type Script = (request: AppRequest, connection: AppConnection) => void | Promise<void>

/** One connection that the app accepted. */
export class AppConnection {
  readonly socket: Socket
  #received = Buffer.alloc(0)
  /** How the proxy closed it. */
  closed: "fin" | "reset" | undefined
  /** Requests handed to the script so far. */
  answered = 0

  constructor(socket: Socket) {
    this.socket = socket
  }

  /** Every octet that came. */
  get received(): Buffer {
    return this.#received
  }

  /** Every octet that came, one character each. */
  get text(): string {
    return this.#received.toString("latin1")
  }

  /** Requests in it; the last one may be incomplete. */
  get requests(): AppRequest[] {
    return parseRequests(this.#received)
  }

  add(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes])
  }

  write(bytes: Bytes): void {
    if (!this.socket.destroyed) this.socket.write(octets(bytes))
  }

  /** Writes and waits until the kernel took it: two of these are two pieces. */
  flush(bytes: Bytes): Promise<void> {
    return new Promise((resolve) => this.socket.write(octets(bytes), () => resolve()))
  }

  reset(): void {
    if (typeof this.socket.resetAndDestroy === "function") this.socket.resetAndDestroy()
    else this.socket.destroy()
  }
}

/** Answers every request with the same bytes. */
export const bytes =
  (...answer: readonly Bytes[]): Script =>
  (_, connection) => {
    for (const piece of answer) connection.write(piece)
  }

/** A complete 200 with that body. */
export const ok = (body: Bytes = "ok", ...fields: readonly string[]): Script =>
  bytes(
    `HTTP/1.1 200 OK\r\n${fields.map((field) => `${field}\r\n`).join("")}Content-Length: ${body.length}\r\n\r\n`,
    body,
  )

/** 200 with the request's body, target and fields of the request in the body: `{ line, fields, body }` with latin1 text. */
export const mirror: Script = (request, connection) => {
  const body = JSON.stringify({ line: request.line, fields: request.fields, body: request.text })
  void ok(Buffer.from(body))(request, connection)
}

/** Writes, then sends its FIN: the answer ends with the connection. */
export const closing =
  (...answer: readonly Bytes[]): Script =>
  (_, connection) => {
    for (const piece of answer) connection.write(piece)
    connection.socket.end()
  }

/** Writes, then breaks the connection. */
export const resetting =
  (...answer: readonly Bytes[]): Script =>
  async (_, connection) => {
    for (const piece of answer) await connection.flush(piece)
    connection.reset()
  }

/** Never answers. */
export const silent: Script = () => undefined

/** Writes one piece after another; a promise between two of them holds the rest back. */
export const pieces =
  (...answer: readonly (Bytes | Promise<unknown>)[]): Script =>
  async (_, connection) => {
    for (const piece of answer) await (piece instanceof Promise ? piece : connection.flush(piece))
  }

/** An app on a port of its own that records every octet. */
export class App extends Watch {
  readonly connections: AppConnection[] = []
  /** Runs for each complete request. Settable at any time. */
  script: Script = ok()
  /** Runs when octets came, before requests are looked for: for answers to incomplete requests. */
  onData: ((connection: AppConnection) => void) | undefined
  /** Runs on each accepted connection. */
  onConnection: ((connection: AppConnection) => void) | undefined
  /** False: sockets are not read until the test does. */
  reading = true
  port = 0
  readonly #server = net.createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))

  /** Every complete request, in order of connections, then of arrival. */
  get requests(): AppRequest[] {
    return this.connections.flatMap(({ requests }) => requests.filter(({ complete }) => complete))
  }

  /** The only complete request; throws when there is none or another. */
  get request(): AppRequest {
    const { requests } = this
    if (requests.length !== 1) throw new Error(`the app saw ${requests.length} requests: ${JSON.stringify(this.text)}`)
    return requests[0]!
  }

  /** Every octet of every connection. */
  get text(): string {
    return this.connections.map(({ text }) => text).join("")
  }

  /** Resolves once the app has seen that many complete requests. */
  seen(count: number): Promise<void> {
    return this.until(
      () => this.requests.length >= count,
      () => `${count} requests at the app, which saw ${JSON.stringify(this.text)}`,
    )
  }

  async listen(host = "127.0.0.1"): Promise<this> {
    this.#server.listen(0, host)
    await once(this.#server, "listening")
    this.port = (this.#server.address() as AddressInfo).port
    return this
  }

  /** Closes every connection and forgets what came on it. */
  forget(): void {
    for (const { socket } of this.connections.splice(0)) socket.destroy()
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.close()
    for (const { socket } of this.connections) socket.destroy()
    await once(this.#server, "close")
  }

  #accept(socket: Socket): void {
    const connection = new AppConnection(socket)
    this.connections.push(connection)
    socket.setNoDelay(true)
    // Once it is over, a socket no longer tells.
    const remotePort = socket.remotePort ?? 0
    socket.on("error", () => {
      connection.closed ??= "reset"
      this.poke()
    })
    socket.on("end", () => {
      connection.closed ??= howEnded(socket, this.port, remotePort)
      socket.end()
      this.poke()
    })
    socket.on("close", () => {
      connection.closed ??= "reset"
      this.poke()
    })
    if (this.reading) {
      socket.on("data", (data) => {
        connection.add(data)
        this.onData?.(connection)
        const complete = connection.requests.filter((request) => request.complete)
        while (connection.answered < complete.length) void this.script(complete[connection.answered++]!, connection)
        this.poke()
      })
    }
    this.onConnection?.(connection)
    this.poke()
  }
}

// ---- the client -----------------------------------------------------------------------------------------------------

export interface ClientOptions {
  /** Methods of the requests sent, in order, so that answers to HEAD have no body. Default: all GET. */
  readonly methods?: readonly string[]
}

/** A connection to the proxy. */
export class Client extends Watch {
  readonly socket: Socket
  readonly #methods: readonly string[]
  #received = Buffer.alloc(0)
  /** `fin`: ended in order. `reset`: broken. */
  closed: "fin" | "reset" | undefined

  constructor(port: number, options: ClientOptions = {}) {
    super()
    this.#methods = options.methods ?? []
    this.socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true })
    let localPort = 0
    this.socket.on("connect", () => {
      localPort = this.socket.localPort ?? 0
    })
    this.socket.on("data", (data) => {
      this.#received = Buffer.concat([this.#received, data])
      this.poke()
    })
    this.socket.on("end", () => {
      this.closed ??= howEnded(this.socket, localPort, port)
      this.poke()
    })
    this.socket.on("error", () => {
      this.closed ??= "reset"
      this.poke()
    })
    this.socket.on("close", () => {
      this.closed ??= "reset"
      this.poke()
    })
  }

  /** Every octet that came back. */
  get received(): Buffer {
    return this.#received
  }

  get text(): string {
    return this.#received.toString("latin1")
  }

  /** What came back, read as answers; the last one may be incomplete. Interim answers are among them. */
  get messages(): Answer[] {
    return parseAnswers(this.#received, this.#methods, this.closed === "fin")
  }

  /** Complete final answers. */
  get answers(): Answer[] {
    return this.messages.filter(({ complete, status }) => complete && (status >= 200 || status === 101))
  }

  /** Writes pieces, each of them flushed before the next. */
  async write(...parts: readonly Bytes[]): Promise<this> {
    for (const part of parts) {
      // A connection that the proxy refused already takes no more; that is what the test looks at then.
      if (this.socket.destroyed) return this
      await new Promise<void>((resolve) => this.socket.write(octets(part), () => resolve()))
    }
    return this
  }

  /** Sends our FIN; answers still come. */
  end(): this {
    this.socket.end()
    return this
  }

  reset(): void {
    if (typeof this.socket.resetAndDestroy === "function") this.socket.resetAndDestroy()
    else this.socket.destroy()
  }

  /** Resolves to the first `count` final answers. */
  async answered(count = 1, deadlineMs?: number): Promise<Answer[]> {
    await this.until(
      () => this.answers.length >= count || this.closed !== undefined,
      () => `${count} answers, got ${JSON.stringify(this.text)}`,
      deadlineMs,
    )
    if (this.answers.length < count) {
      throw new Error(
        `closed (${this.closed}) after ${this.answers.length} of ${count} answers: ${JSON.stringify(this.text)}`,
      )
    }
    return this.answers.slice(0, count)
  }

  /** Resolves to how the proxy closed the connection. */
  async close(deadlineMs?: number): Promise<"fin" | "reset"> {
    await this.until(
      () => this.closed !== undefined,
      () => `a close, got ${JSON.stringify(this.text)}`,
      deadlineMs,
    )
    return this.closed!
  }

  destroy(): void {
    this.socket.destroy()
  }
}

// ---- the machine ----------------------------------------------------------------------------------------------------

/** What `useMachine` gives to the tests of a file. */
export class Machine {
  port = 0
  /** A fresh one in each test; answers `ok` until told otherwise. */
  app = new App()
  /** What the engine told, emptied before each test. */
  events: EngineEvent[] = []
  readonly clients: Client[] = []
  /** The hop's field lines, for heads that `routed` cannot write. */
  get hop(): string {
    return this.hopTo(`${this.app.port}__app.example.com`)
  }

  hopTo(target: string, defaultPort?: number): string {
    return `x-iterate-proxy-ticket: ${ticketFor(target, defaultPort)}\r\nx-iterate-proxy-target-host: ${target}\r\n`
  }

  /** A head for the app: request line, fields, and last of all ticket and target. */
  routed(line: string, ...fields: readonly string[]): string {
    return `${[line, ...fields].join("\r\n")}\r\n${this.hop}\r\n`
  }

  /** `GET <path>` with Host, more fields, ticket and target. */
  get(path = "/", ...fields: readonly string[]): string {
    return this.routed(`GET ${path} HTTP/1.1`, "Host: app.example.com", ...fields)
  }

  /** `POST /` with Host, more fields, ticket and target, then the body as it is. */
  post(fields: readonly string[], body = ""): string {
    return this.routed("POST / HTTP/1.1", "Host: app.example.com", ...fields) + body
  }

  connect(options?: ClientOptions): Client {
    const client = new Client(this.port, options)
    this.clients.push(client)
    return client
  }

  /** Sends on a new connection and resolves to the answer. */
  async ask(...parts: readonly Bytes[]): Promise<Answer> {
    const client = await this.connect().write(...parts)
    return (await client.answered(1))[0]!
  }

  /** Sends on a new connection and resolves when the proxy has closed it. */
  async sendUntilClose(...parts: readonly Bytes[]): Promise<Client> {
    const client = await this.connect().write(...parts)
    await client.close()
    return client
  }

  /** The tags of what went wrong, in order. */
  get troubles(): string[] {
    return this.events.flatMap((event) => (event.type === "error" ? [event.tag] : []))
  }
}

const crashes: unknown[] = []
const crashed = (cause: unknown): void => void crashes.push(cause)
const nothing = (): Promise<void> => Promise.resolve()
let probes = 0

/**
 * Mounts a machine proxy for the tests of a file, with a fresh app in each. After each test: nothing was thrown past the
 * engine, no fault was caught inside it, and a plain request through the same proxy to the same app gets its own answer.
 */
export const useMachine = (options: Partial<MachineProxyOptions> = {}): Machine => {
  const m = new Machine()
  let stop = nothing

  beforeAll(async () => {
    process.on("unhandledRejection", crashed)
    process.on("uncaughtException", crashed)
    const proxy = createMachineProxy({
      machine,
      keys: [verification],
      ...options,
      onEvent: (event) => {
        m.events.push(event)
        options.onEvent?.(event)
      },
    })
    const server = net.createServer(proxy.connection)
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    m.port = (server.address() as AddressInfo).port
    stop = async () => {
      server.close()
      await proxy.drain({ deadlineMs: 0 })
    }
  })
  afterAll(async () => {
    await stop()
    process.off("unhandledRejection", crashed)
    process.off("uncaughtException", crashed)
  })
  beforeEach(async () => {
    m.events = []
    m.app = await new App().listen()
  })
  afterEach(async () => {
    for (const client of m.clients.splice(0)) client.destroy()
    try {
      await plainRequest(m)
      expect(crashes.splice(0)).toEqual([])
      expect(m.troubles.filter((tag) => tag === "ProxyFailed")).toEqual([])
    } finally {
      await m.app.stop()
    }
  })
  return m
}

/** Whatever happened, the next request is answered, and with its own answer. */
export const plainRequest = async (m: Machine): Promise<void> => {
  const path = `/probe-${++probes}`
  m.app.onData = undefined
  m.app.onConnection = undefined
  m.app.script = (request, connection) => void ok(`answer to ${request.target}`)(request, connection)
  const client = await m.connect().write(m.get(path))
  const [answer] = await client.answered(1)
  client.destroy()
  expect({ status: answer!.status, body: answer!.text }).toEqual({ status: 200, body: `answer to ${path}` })
}

/**
 * Sends what must be refused: 400 (or one of `statuses`), then a close in order, stamped, and no octet of it at the app, which
 * a plain request afterwards proves without waiting.
 */
const refused = async (
  m: Machine,
  sent: Bytes | readonly Bytes[],
  statuses: readonly number[] = [400],
): Promise<Answer> => {
  m.app.forget()
  const client = await m.sendUntilClose(...(typeof sent === "string" || sent instanceof Uint8Array ? [sent] : sent))
  const { answers, closed } = client
  const about = describeSent(sent)
  const expected = expect.toSatisfy((status: number) => statuses.includes(status)) as unknown
  expect([about, answers.map(({ status }) => status), closed]).toEqual([about, [expected], "fin"])
  expect(answers[0]!.value("connection")).toBe("close")
  expect(answers[0]!.value("x-iterate-proxy-stamp")).toBe("unproven")
  await plainRequest(m)
  // What the plain request brought is all there is: one connection, one request, no octet more.
  expect([about, m.app.connections.map(({ requests }) => requests.map(({ target }) => target))]).toEqual([
    about,
    [[`/probe-${probes}`]],
  ])
  return answers[0]!
}

/**
 * Sends a request whose body must be refused: 400, then a close in order; the app never sees the end of a request, and its
 * connection, if there was one, is closed.
 */
const refusedInBody = async (m: Machine, ...sent: readonly Bytes[]): Promise<Answer> => {
  m.app.forget()
  const client = await m.sendUntilClose(...sent)
  const { answers, closed } = client
  const about = describeSent(sent)
  expect([about, answers.map(({ status }) => status), closed]).toEqual([about, [400], "fin"])
  expect(answers[0]!.value("x-iterate-proxy-stamp")).toBe("unproven")
  const { app } = m
  await app.until(
    () => app.connections.every((connection) => connection.closed !== undefined),
    () => "the app's connection closed",
  )
  expect([about, app.requests.length]).toEqual([about, 0])
  await plainRequest(m)
  expect([about, app.requests.map(({ target }) => target)]).toEqual([about, [`/probe-${probes}`]])
  return answers[0]!
}

/** Named so that a linter knows an assertion when it sees one. */
export const assert = { refused, refusedInBody }

const describeSent = (sent: Bytes | readonly Bytes[]): string => {
  const list = typeof sent === "string" || sent instanceof Uint8Array ? [sent] : sent
  return list.map((part) => JSON.stringify(octets(part).toString("latin1")).slice(0, 400)).join(" + ")
}

// ---- parsers --------------------------------------------------------------------------------------------------------

interface Framing {
  readonly length: number | "chunked" | "until-close"
}

/** Reads the requests of a connection. Throws when octets are no request: then the proxy wrote something broken. */
export const parseRequests = (bytes: Buffer): AppRequest[] =>
  parseMessages(bytes, false, ({ message }) => ({
    length: message.values("transfer-encoding").length > 0 ? "chunked" : (lengthIn(message) ?? 0),
  })).map((message) => {
    const [method, target] = message.line.split(" ")
    return Object.assign(message, { method: method!, target: target! })
  })

/** Reads the answers of a connection. */
export const parseAnswers = (bytes: Buffer, methods: readonly string[], ended: boolean): Answer[] => {
  let finals = 0
  return parseMessages(bytes, ended, ({ message }) => {
    const status = Number(message.line.split(" ")[1])
    if (status < 200) return { length: status === 101 ? "until-close" : 0 }
    const method = methods[finals++]
    if (method === "HEAD" || status === 204 || status === 304) return { length: 0 }
    if (message.values("transfer-encoding").length > 0) return { length: "chunked" }
    return { length: lengthIn(message) ?? "until-close" }
  }).map((message) => {
    const [, status, ...reason] = message.line.split(" ")
    // A switched connection is complete with its head: the octets after it are its body so far.
    return Object.assign(message, {
      status: Number(status),
      reason: reason.join(" "),
      ...(Number(status) === 101 ? { complete: true } : {}),
    })
  })
}

const lengthIn = (message: Message): number | undefined => {
  const values = message.values("content-length")
  if (values.length === 0) return undefined
  if (values.length > 1 || !/^\d+$/.test(values[0]!))
    throw new Error(`Content-Length on the wire: ${JSON.stringify(values)}`)
  return Number(values[0])
}

type Parsed = { -readonly [K in keyof Message]: Message[K] }

const parseMessages = (bytes: Buffer, ended: boolean, frame: (head: { message: Message }) => Framing): Message[] => {
  const messages: Message[] = []
  let at = 0
  while (at < bytes.length) {
    const end = bytes.indexOf("\r\n\r\n", at)
    if (end < 0) break
    const [line, ...lines] = bytes.toString("latin1", at, end).split("\r\n")
    const message = emptyMessage(line!, lines.map(fieldOf))
    at = end + 4
    messages.push(message)
    const { length } = frame({ message })
    if (length === "until-close") {
      message.body = bytes.subarray(at)
      message.complete = ended
      return messages
    }
    if (length === "chunked") {
      const next = parseChunks(bytes, at, message)
      if (next === undefined) return messages
      at = next
    } else {
      message.body = bytes.subarray(at, at + length)
      if (message.body.length < length) return messages
      at += length
    }
    message.complete = true
  }
  return messages
}

/** Where the body ends; `undefined` while it has not. */
const parseChunks = (bytes: Buffer, from: number, message: Parsed): number | undefined => {
  const chunks: { sizeLine: string; data: Buffer }[] = []
  message.chunks = chunks
  let at = from
  for (;;) {
    const eol = bytes.indexOf("\r\n", at)
    if (eol < 0) return undefined
    const sizeLine = bytes.toString("latin1", at, eol)
    if (!/^[0-9a-fA-F]+$/.test(sizeLine)) throw new Error(`chunk size on the wire: ${JSON.stringify(sizeLine)}`)
    const size = Number.parseInt(sizeLine, 16)
    at = eol + 2
    if (size === 0) break
    const data = bytes.subarray(at, at + size)
    message.body = Buffer.concat([message.body, data])
    chunks.push({ sizeLine, data })
    if (bytes.length < at + size + 2) return undefined
    if (bytes.toString("latin1", at + size, at + size + 2) !== "\r\n")
      throw new Error("a chunk on the wire is longer than its size")
    at += size + 2
  }
  if (bytes.toString("latin1", at, at + 2) === "\r\n") return at + 2
  const end = bytes.indexOf("\r\n\r\n", at)
  if (end < 0) return undefined
  message.trailers = bytes.toString("latin1", at, end).split("\r\n").map(fieldOf)
  return end + 4
}

const fieldOf = (line: string): Field => {
  const colon = line.indexOf(":")
  if (colon < 1 || /[\r\n\0]/.test(line)) throw new Error(`field line on the wire: ${JSON.stringify(line)}`)
  return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "")]
}

const emptyMessage = (line: string, fields: readonly Field[]): Parsed => ({
  line,
  fields,
  body: Buffer.alloc(0),
  trailers: [],
  chunks: [],
  complete: false,
  values: (name) =>
    fields.filter(([candidate]) => candidate.toLowerCase() === name.toLowerCase()).map(([, value]) => value),
  value(name) {
    const found = this.values(name)
    if (found.length > 1) throw new Error(`${name} came ${found.length} times: ${JSON.stringify(found)}`)
    return found[0]
  },
  get text() {
    return this.body.toString("latin1")
  },
})
