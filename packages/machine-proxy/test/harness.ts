import { createPrivateKey, randomBytes, sign } from "node:crypto"
import { once } from "node:events"
import * as http from "node:http"
import * as net from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { generateTicketKeys } from "@project-ingress/forward"
import { createMachineProxy } from "../src/machine-proxy.ts"
import type { MachineProxyOptions } from "../src/machine-proxy.ts"

export const machine = "mach_a"
const pair = await generateTicketKeys("k1")
export const signing = pair.signing
export const verification = pair.verification
const privateKey = createPrivateKey({ key: { ...signing }, format: "jwk" })
const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url")

const signedTickets = new Map<string, { readonly ticket: string; readonly at: number }>()

/**
 * A valid ticket for what a target header names, valid or not. Signed at once, because the heads of these tests are texts; the
 * same one for a while, as a router gives it.
 */
export const ticketFor = (target: string, defaultPort = 3000): string => {
  const key = `${defaultPort} ${target}`
  const known = signedTickets.get(key)
  if (known !== undefined && performance.now() - known.at < 20_000) return known.ticket
  const ticket = newTicketFor(target, defaultPort)
  signedTickets.set(key, { ticket, at: performance.now() })
  return ticket
}

const newTicketFor = (target: string, defaultPort: number): string => {
  const [, port = defaultPort, name = ""] =
    /^(?:localhost|127\.0\.0\.1):(\d+)$/i.exec(target) ?? /^(?:(\d+)__)?(.*)$/.exec(target) ?? []
  const now = Math.floor(Date.now() / 1000)
  const id = randomBytes(16).toString("base64url")
  const claims = {
    port: Math.min(Number(port) || 1, 65_535),
    name: name.slice(0, 253) || "localhost",
    aud: machine,
    jti: id,
    iat: now,
    exp: now + 60,
  }
  const signed = `${encoded({ alg: "EdDSA", kid: "k1", typ: "ingress-ticket+jwt" })}.${encoded(claims)}`
  return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString("base64url")}`
}

/** A response as it is on the wire, read to the end of the connection: no HTTP client hides anything. */
export interface RawResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Running extends AsyncDisposable {
  readonly port: number
}

export const listen = async (server: net.Server, host = "127.0.0.1"): Promise<number> => {
  server.listen(0, host)
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

/** An app that responds with what it received, and echoes bodies under /echo. */
export const startApp = async (host?: string): Promise<Running> => {
  const server = http.createServer((request, response) => {
    if (request.url === "/echo") {
      request.pipe(response)
      return
    }
    response.setHeader("content-type", "application/json")
    // An app's response may not carry the hop's headers to the router.
    response.setHeader("x-iterate-proxy-error", "FORGED")
    response.setHeader("x-iterate-proxy-request-id", "FORGED")
    response.setHeader("x-iterate-proxy-stamp", "forged")
    response.end(JSON.stringify({ url: request.url, method: request.method, headers: request.rawHeaders }))
  })
  const port = await listen(server, host)
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    },
  }
}

export const startProxy = async (options: Partial<MachineProxyOptions> = {}): Promise<Running> => {
  const proxy = createMachineProxy({ machine, keys: [verification], ...options })
  const server = net.createServer(proxy.connection)
  const port = await listen(server)
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.close()
      await proxy.drain({ deadlineMs: 0 })
    },
  }
}

/** Sends the given lines as they are and reads until the end. `Connection: close` is added. */
export const raw = async (port: number, lines: readonly string[], body = ""): Promise<RawResponse> => {
  const socket = net.connect(port, "127.0.0.1")
  // Only so that a response that never comes is a failure of its own test.
  socket.setTimeout(30_000, () => socket.destroy(new Error("no byte in 30 s")))
  await once(socket, "connect")
  socket.write([...lines, "Connection: close", "", body].join("\r\n"), "latin1")
  return readResponse(socket)
}

/** A request whose response is read while it arrives. */
export interface PendingResponse {
  /** What has arrived so far. */
  readonly text: () => string
  /** Resolves when the connection is closed, however that happened. */
  readonly closed: Promise<void>
}

/** `GET /` for the app behind a port, with a valid ticket. */
export const begin = (port: number, appPort: number): PendingResponse => {
  const socket = net.connect(port, "127.0.0.1")
  let text = ""
  socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk))
  socket.on("error", () => undefined)
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()))
  socket.write(
    `GET / HTTP/1.1\r\nHost: m\r\nx-iterate-proxy-ticket: ${ticketFor(`localhost:${appPort}`)}\r\nx-iterate-proxy-target-host: localhost:${appPort}\r\n\r\n`,
  )
  return { text: () => text, closed }
}

/** `GET <path>` with a good ticket, a target and more header lines. */
export const get = (
  port: number,
  target: string | number | undefined,
  more: readonly string[] = [],
  path = "/",
  defaultPort = 3000,
) => {
  const named = typeof target === "number" ? `${target}__app.example.com` : target
  return raw(port, [
    `GET ${path} HTTP/1.1`,
    "Host: machine.example",
    `x-iterate-proxy-ticket: ${ticketFor(named ?? "localhost:3000", defaultPort)}`,
    ...(named === undefined ? [] : [`x-iterate-proxy-target-host: ${named}`]),
    ...more,
  ])
}

const readResponse = async (socket: Socket): Promise<RawResponse> => {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString("latin1")
  const end = text.indexOf("\r\n\r\n")
  const [status, ...fields] = text.slice(0, end).split("\r\n")
  const headers: Record<string, string> = {}
  for (const field of fields) {
    const colon = field.indexOf(":")
    const name = field.slice(0, colon).toLowerCase()
    const value = field.slice(colon + 1).trim()
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value
  }
  return { status: Number(status?.split(" ")[1]), headers, body: text.slice(end + 4) }
}

/** The headers that the app received, by lower-case name; repeated ones joined by ", ". */
export const receivedBy = (response: RawResponse): Readonly<Record<string, string>> => {
  const start = response.body.indexOf("{")
  const { headers } = JSON.parse(response.body.slice(start, response.body.lastIndexOf("}") + 1)) as {
    headers: string[]
  }
  const received: Record<string, string> = {}
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase()
    received[name] = name in received ? `${received[name]}, ${headers[i + 1]}` : headers[i + 1]!
  }
  return received
}

/** A port that nothing listens on; it was free a moment ago. */
export const closedPort = async (): Promise<number> => {
  const server = net.createServer()
  const port = await listen(server)
  server.close()
  await once(server, "close")
  return port
}

/** A chunked body without its framing; throws when its last chunk is missing. */
export const dechunked = (body: string): string => {
  let [text, rest] = ["", body]
  for (;;) {
    const end = rest.indexOf("\r\n")
    if (end < 0) throw new Error("the body ends without its last chunk")
    const size = Number.parseInt(rest.slice(0, end), 16)
    if (size === 0) return text
    text += rest.slice(end + 2, end + 2 + size)
    rest = rest.slice(end + 2 + size + 2)
  }
}
