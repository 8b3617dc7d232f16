/** Apps with what stays open, and clients of it: for the tests of withdrawn access. */
import { once } from "node:events"
import * as http from "node:http"
import type { IncomingMessage } from "node:http"
import { createServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { machineKey } from "@project-ingress/forward"
import type { EdDsaSigningKey } from "@project-ingress/forward"
import { WebSocket, WebSocketServer } from "ws"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import type { MachineProxyOptions } from "../../../machine-proxy/src/machine-proxy.ts"

export interface Running {
  readonly port: number
  readonly close: () => Promise<unknown>
}

const listen = async (server: Server | http.Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

/** A real machine proxy with a key of its own. */
export const startMachine = async (
  signing: EdDsaSigningKey,
  machine: string,
  options: Partial<MachineProxyOptions> = {},
): Promise<Running> => {
  const proxy = createMachineProxy({ machine, keys: [await machineKey(signing, machine)], ...options })
  const server = createServer(proxy.connection)
  const port = await listen(server)
  const close = () => {
    server.close()
    return proxy.drain({ deadlineMs: 0 })
  }
  return { port, close }
}

export interface StreamApp extends Running {
  /** The request's fields, one entry for each request. */
  readonly seen: http.IncomingHttpHeaders[]
  /** Bytes of uploads so far. */
  readonly uploaded: () => number
  /** Closed WebSockets. */
  readonly closed: () => number
}

/** `GET` is an event stream, `GET /page` a page, `POST` reads and never responds, a WebSocket echoes. */
export const startStreamApp = async (): Promise<StreamApp> => {
  const seen: http.IncomingHttpHeaders[] = []
  let uploaded = 0
  let closed = 0
  const server = http.createServer((request, response) => {
    seen.push(request.headers)
    if (request.method === "POST") request.on("data", (chunk: Buffer) => (uploaded += chunk.length))
    else if (request.url === "/page") response.end("page")
    else response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n")
  })
  const sockets = new WebSocketServer({ server })
  sockets.on("connection", (socket, request) => {
    seen.push(request.headers)
    socket.on("message", (data) => socket.send(data)).on("close", () => closed++)
  })
  const port = await listen(server)
  const close = async () => {
    for (const socket of sockets.clients) socket.terminate()
    server.closeAllConnections()
    server.close()
    await once(server, "close")
  }
  return { port, close, seen, uploaded: () => uploaded, closed: () => closed }
}

/** Something open; `ended` says how it ended. */
export interface Opened<A> {
  readonly ended: Promise<A>
  readonly isOpen: () => boolean
  readonly close: () => void
}

const opened = <A>(ended: Promise<A>, close: () => void): Opened<A> => {
  let open = true
  void ended.finally(() => (open = false))
  return { ended, isOpen: () => open, close }
}

/** An event stream whose first event has come. Ends with `complete`, which no client takes for a failure, or `broken`. */
export const openStream = async (
  port: number,
  headers: http.OutgoingHttpHeaders,
): Promise<Opened<"complete" | "broken">> => {
  const request = http.get({ host: "127.0.0.1", port, headers, agent: false })
  const [response] = (await once(request, "response")) as [IncomingMessage]
  if (response.statusCode !== 200) throw new Error(`the stream got ${response.statusCode}`)
  request.on("error", () => undefined)
  const ended = new Promise<"complete" | "broken">((resolve) => {
    response.on("error", () => resolve("broken")).on("end", () => resolve("complete"))
  })
  await once(response, "data")
  response.resume()
  return opened(ended, () => request.destroy())
}

/** A WebSocket; ends with its close code. */
export const openSocket = async (port: number, headers: http.OutgoingHttpHeaders): Promise<Opened<number>> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: headers as Record<string, string> })
  await once(socket, "open")
  const echoed = once(socket, "message")
  socket.send("hello")
  await echoed
  return opened(new Promise<number>((resolve) => socket.on("close", resolve)), () => socket.terminate())
}

/** An upload that goes on; ends with the response's status and code, or with `broken`. */
export const openUpload = (port: number, headers: http.OutgoingHttpHeaders): Opened<string> => {
  const request = http.request({ host: "127.0.0.1", port, method: "POST", headers, agent: false })
  const sending = setInterval(() => request.write("."), 100)
  request.write("begin")
  const ended = new Promise<string>((resolve) => {
    request
      .on("error", () => resolve("broken"))
      .on("response", (response) => {
        response.resume()
        resolve(`${response.statusCode} ${String(response.headers["x-iterate-proxy-error"])}`)
      })
  })
  void ended.finally(() => clearInterval(sending))
  return opened(ended, () => request.destroy())
}
