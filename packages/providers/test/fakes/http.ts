/** What stateful fakes stand on: a server on a real socket that a test can close, and what an edge does with a request. */
import { once } from "node:events"
import { createServer, request as ask } from "node:http"
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type { Duplex } from "node:stream"

export interface FakeServer {
  /** `http://127.0.0.1:<port>` */
  readonly origin: string
  readonly port: number
  /** Cuts every connection, idle or not. */
  readonly close: () => Promise<void>
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** Listens on a free port of the loopback. A handler that throws answers 599, so that a fake's own bug is seen as one. */
export const listen = async (handler: Handler, onUpgrade?: UpgradeHandler): Promise<FakeServer> => {
  const upgraded = new Set<Duplex>()
  const server = createServer((request, response) => {
    Promise.resolve()
      .then(() => handler(request, response))
      .catch((error: unknown) => {
        if (response.headersSent) response.destroy()
        else response.writeHead(599).end(`the fake failed: ${String(error)}`)
      })
  })
  if (onUpgrade !== undefined) {
    server.on("upgrade", (request, socket, head) => {
      upgraded.add(socket)
      socket.on("close", () => upgraded.delete(socket)).on("error", () => {})
      onUpgrade(request, socket, head)
    })
  }
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    async close() {
      for (const socket of upgraded) socket.destroy()
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    },
  }
}

/** Answers with JSON, a text as it is, or nothing. */
export const answer = (
  response: ServerResponse,
  status: number,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): void => {
  if (body === undefined || typeof body === "string") response.writeHead(status, headers).end(body)
  else {
    const type = { "content-type": "application/json; charset=utf-8" }
    response.writeHead(status, { ...type, ...headers }).end(JSON.stringify(body))
  }
}

/** What an edge says itself. */
export interface Said {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Answers a handshake with something else than a 101. */
export const refuse = (socket: Duplex, { status, headers = {}, body = "" }: Said): void => {
  const length = { "content-length": String(Buffer.byteLength(body)), connection: "close" }
  socket.end(headOf(status, Object.entries({ ...headers, ...length }).flat()) + body)
}

/** How an edge sends a request on. */
export interface Onward {
  /** Who listens behind it, on this host. */
  readonly port: number
  readonly headers: OutgoingHttpHeaders
  /** What it puts on an answer, in place of fields of the same names; a cookie beside the others. */
  readonly adds?: Readonly<Record<string, string>>
  /** What it says when nobody listens there. */
  readonly unreached: () => Said
  /** True for one that drops trailers, and takes in a request before it sends it on. Default false. */
  readonly isOld?: boolean
}

/** Streams a request to who listens there and the answer back, with its fields as they came. */
export const sendOn = (request: IncomingMessage, response: ServerResponse, onward: Onward): void => {
  const out = outgoing(request, onward)
  out.on("response", (back) => {
    response.writeHead(back.statusCode!, fieldsOf(back, onward))
    response.flushHeaders()
    back.on("end", () => {
      if (onward.isOld !== true && back.rawTrailers.length > 0) response.addTrailers(back.trailers)
    })
    back.pipe(response)
    back.on("error", () => response.destroy())
  })
  out.on("error", () => {
    if (response.headersSent) return void response.destroy()
    const { status, headers, body } = onward.unreached()
    return answer(response, status, body, headers)
  })
  response.on("close", () => out.destroy())
  request.on("error", () => out.destroy())
  if (onward.isOld === true)
    request.toArray().then(
      (pieces: Buffer[]) => out.end(Buffer.concat(pieces)),
      () => out.destroy(),
    )
  else request.pipe(out)
}

/** The same for a handshake. A refusal ends its connection. */
export const upgradeOn = (request: IncomingMessage, socket: Duplex, head: Buffer, onward: Onward): void => {
  const out = outgoing(request, onward)
  out.on("upgrade", (back, machine, first) => {
    socket.write(headOf(101, fieldsOf(back, onward)))
    socket.write(first)
    machine.write(head)
    machine.pipe(socket).pipe(machine)
    machine.on("close", () => socket.destroy()).on("error", () => socket.destroy())
    socket.on("close", () => machine.destroy()).on("error", () => machine.destroy())
  })
  out.on("response", (back) => {
    const framing = ["transfer-encoding", "connection", "keep-alive"]
    socket.write(headOf(back.statusCode!, [...fieldsOf(back, onward, framing), "connection", "close"]))
    back.pipe(socket)
  })
  out.on("error", () => refuse(socket, onward.unreached()))
  out.end()
}

const outgoing = ({ method, url }: IncomingMessage, { port, headers }: Onward) =>
  ask({ host: "127.0.0.1", port, method, path: url, headers, agent: false })

const fieldsOf = (
  { rawHeaders }: IncomingMessage,
  { adds = {} }: Onward,
  without: readonly string[] = [],
): string[] => {
  const gone = new Set([...Object.keys(adds).filter((name) => name !== "set-cookie"), ...without])
  return rawHeaders.filter((_, i) => !gone.has(rawHeaders[i - (i % 2)]!.toLowerCase())).concat(...Object.entries(adds))
}

const headOf = (status: number, fields: readonly string[]): string => {
  const lines = fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${fields[i + 1]!}\r\n`] : []))
  return `HTTP/1.1 ${status} .\r\n${lines.join("")}\r\n`
}
