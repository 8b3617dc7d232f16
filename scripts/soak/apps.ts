/**
 * The apps of all tenants, in one process: each listens on its machine's own loopback address and on the same port, so that what tells
 * two machines apart is never the port. A hostile one is a raw socket.
 */
import { once } from "node:events"
import { createServer as createHttpServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:net"
import type { AddressInfo, Server, Socket } from "node:net"
import { WebSocketServer } from "ws"
import { chosenResponse, serveHostile } from "../../test/abuse/hostile-root.ts"
import { serveParent, givenSetup } from "./process.ts"
import { sequenceOf, tenantOf } from "./token.ts"
import type { Tenant } from "./tenant.ts"

/** What the apps have to know. */
export interface AppsSetup {
  readonly tenants: readonly Tenant[]
  /** How many tokens there will be. */
  readonly requests: number
  /** Default: any. */
  readonly port?: number
}

/** What the apps saw of the run's requests. */
export interface AppsReport {
  /** Requests that an app got. */
  readonly seen: number
  /** Requests that came to an app of another tenant than the one asked. */
  readonly strayed: number
  /** Requests with a body that came more than once. */
  readonly repeated: number
  /** Requests to `/smuggled`, which is only ever a part of another request's body. */
  readonly smuggled: number
}

const { tenants, requests, port: given = 0 } = givenSetup() as AppsSetup
const times = new Uint8Array(requests + 1)
const report = { seen: 0, strayed: 0, repeated: 0, smuggled: 0 }

/** Counts a request that came to a tenant's app. */
const count = (tenant: Tenant, method: string, token: string): void => {
  if (token === "") return
  report.seen++
  if (tenantOf(token) !== tenant.index) report.strayed++
  const at = sequenceOf(token)
  // A request that is safe may be sent again once when its connection broke.
  if (++times[at]! > 1 && method === "POST") report.repeated++
}

const tokenOf = (request: IncomingMessage): string => String(request.headers["x-token"] ?? "")

/** The honest app: what it says names itself and the request. */
const respond = (tenant: Tenant) => (request: IncomingMessage, response: ServerResponse) => {
  const token = tokenOf(request)
  if (request.url === "/smuggled") report.smuggled++
  count(tenant, request.method ?? "", token)
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

const upgrade = (tenant: Tenant) => (request: IncomingMessage, socket: Socket, head: Buffer) => {
  const token = tokenOf(request)
  count(tenant, "GET", token)
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

const hostile = (tenant: Tenant): Server =>
  createServer(
    { noDelay: true, allowHalfOpen: true },
    serveHostile({
      mark: tenant.name,
      choose: chosenResponse,
      onRequest: ({ method, token }) => count(tenant, method, token),
    }),
  )

let port = given
for (const tenant of tenants) {
  const server =
    tenant.role === "hostile-app"
      ? hostile(tenant)
      : createHttpServer({ keepAliveTimeout: 10_000 }, respond(tenant)).on("upgrade", upgrade(tenant))
  server.listen({ port, host: tenant.loopback, backlog: 4_096 })
  await once(server, "listening")
  port = (server.address() as AddressInfo).port
}
serveParent({ port }, () => report satisfies AppsReport)
