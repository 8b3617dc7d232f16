/** The honest app of a tenant: what it says names itself and the request. */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { WebSocketServer } from "ws"
import type { Tenant } from "./tenant.ts"

/** Called with each request: its method, its path and its token. */
export type OnAppRequest = (tenant: Tenant, method: string, path: string, token: string) => void

const tokenOf = (request: IncomingMessage): string => String(request.headers["x-token"] ?? "")

export const respond =
  (tenant: Tenant, onRequest: OnAppRequest) => (request: IncomingMessage, response: ServerResponse) => {
    const token = tokenOf(request)
    onRequest(tenant, request.method ?? "", request.url ?? "", token)
    const mark = `${tenant.name} ${token}`
    response.setHeader("x-app", mark)
    response.setHeader("set-cookie", `token=${token}`)
    request.on("error", () => undefined)
    response.on("error", () => undefined)
    if (request.url === "/stream") {
      let left = 5
      const next = (): void => {
        response.write(`${mark}\n`)
        if (--left > 0 && !response.destroyed) setImmediate(next)
        else response.end()
      }
      next()
    } else if (request.url === "/events") {
      // Until the client leaves.
      response.setHeader("content-type", "text/event-stream")
      response.write(`data: ${mark}\n\n`)
    } else if (request.method === "POST") {
      const parts: Buffer[] = []
      request.on("data", (part: Buffer) => parts.push(part))
      request.on("end", () => response.end(`${mark}\n${Buffer.concat(parts).toString("latin1")}`))
    } else response.end(mark)
  }

const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })

export const upgrade =
  (tenant: Tenant, onRequest: OnAppRequest) => (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const token = tokenOf(request)
    onRequest(tenant, "GET", request.url ?? "", token)
    socket.on("error", () => undefined)
    if (request.url === "/idle") {
      // No frames: an echo of bytes is all that silence needs.
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
      socket.on("data", (bytes) => socket.write(bytes))
      socket.on("end", () => socket.end())
      return
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on("error", () => undefined)
      webSocket.on("message", (data: Buffer) => webSocket.send(`${tenant.name} ${token} ${data.toString("latin1")}`))
    })
  }
