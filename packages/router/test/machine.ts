import { createServer } from "node:http"
import type { IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { WebSocketServer } from "ws"

/** A machine as seen from outside: a server whose every answer is stamped. */
export interface StampedServer {
  readonly port: number
  readonly requests: IncomingMessage[]
  readonly close: () => Promise<void>
}

/** Answers by path: `/events` streams until the client leaves, `/redirect` redirects, `/misdirected` is known to `mach_1` only, `/closed` fails, `/upload` answers once it has the whole body, anything else echoes its body. */
export const startMachine = (id = "mach_1"): Promise<StampedServer> =>
  new Promise((resolve) => {
    const requests: IncomingMessage[] = []
    const server = createServer((request, response) => {
      requests.push(request)
      response.setHeader("x-iterate-proxy-stamp", "unproven")
      response.setHeader("x-iterate-secret", "not for clients")
      response.setHeader("x-machine", id)
      response.setHeader("set-cookie", ["a=1", "b=2"])
      if (request.url === "/events") {
        response.setHeader("content-type", "text/event-stream")
        response.write("data: 1\n\n")
        return
      }
      if (request.url === "/misdirected" && id === "mach_1") {
        response.setHeader("x-iterate-proxy-error", "MACHINE_MISMATCH")
        response.writeHead(421).end("{}")
        return
      }
      if (request.url === "/closed") {
        response.setHeader("x-iterate-proxy-error", "PORT_CLOSED")
        response.writeHead(502).end("{}")
        return
      }
      if (request.url === "/redirect") {
        response.writeHead(302, { location: "/elsewhere" }).end()
        return
      }
      if (request.url === "/upload") {
        request.resume().on("end", () => response.end())
        return
      }
      request.pipe(response)
    })
    const sockets = new WebSocketServer({ server, handleProtocols: () => "echo" })
    sockets.on("headers", (headers) => headers.push("x-iterate-proxy-stamp: unproven"))
    sockets.on("connection", (socket) => {
      socket.on("error", () => undefined)
      socket.on("message", (data, binary) => socket.send(data, { binary }))
    })
    server.listen(0, "127.0.0.1", () => {
      resolve({
        port: (server.address() as AddressInfo).port,
        requests,
        close: () =>
          new Promise((closed) => {
            for (const socket of sockets.clients) socket.terminate()
            server.close(() => closed())
            server.closeAllConnections()
          }),
      })
    })
  })
