/**
 * A front end and its API on two ports, configured as on localhost and for nothing else: the API allows the front end's origin with
 * credentials, and opens WebSockets for it alone. Neither knows of a proxy or of a public name.
 */
import { once } from "node:events"
import { createServer } from "node:http"
import type { IncomingMessage, Server } from "node:http"
import type { AddressInfo } from "node:net"
import { createAdaptorServer } from "@hono/node-server"
import { Hono } from "hono"
import { getCookie, setCookie } from "hono/cookie"
import { cors } from "hono/cors"
import { WebSocketServer } from "ws"

/** Two ports of this computer that belong together. */
export interface SplitApp extends AsyncDisposable {
  readonly frontEnd: number
  readonly api: number
}

/** Starts both on free ports. */
export const startSplitApp = async (): Promise<SplitApp> => {
  // What it is sent is what the test wants to know.
  const frontEnd = createServer((request, response) => {
    if (request.url === "/cookies") {
      response.setHeader("content-type", "application/json")
      response.end(JSON.stringify({ cookie: request.headers.cookie ?? "" }))
    } else {
      response.setHeader("content-type", "text/html")
      response.end("<!doctype html><title>front end</title>")
    }
  })
  const origin = `http://localhost:${await listen(frontEnd)}`

  const api = createAdaptorServer({ fetch: apiFor(origin).fetch }) as Server
  const sockets = new WebSocketServer({
    server: api,
    verifyClient: (info: { origin: string }) => info.origin === origin,
  })
  sockets.on("connection", (socket, request: IncomingMessage) => {
    socket.on("error", () => socket.terminate())
    socket.on("message", (data: Buffer) => socket.send(`${data.toString()} ${request.headers.cookie ?? ""}`))
  })
  await listen(api)

  return {
    frontEnd: portOf(frontEnd),
    api: portOf(api),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets.clients) socket.terminate()
      for (const server of [frontEnd, api]) {
        server.closeAllConnections()
        await once(server.close(), "close")
      }
    },
  }
}

const apiFor = (frontEnd: string): Hono => {
  const api = new Hono()
  const orders = new Map<string, Record<string, string>>()
  api.use(cors({ origin: frontEnd, credentials: true }))
  api.get("/cookies", (context) => context.json(getCookie(context)))
  api.put("/items", (context) => context.json({ updated: true }))
  // A page of the API's own, as that of a sign-in.
  api.get("/sign-in", (context) => {
    setCookie(context, "signed-in", "yes")
    return context.html("<!doctype html><title>signed in</title>")
  })
  api.post("/cookies/:name", (context) => {
    const name = context.req.param("name")
    const domain = context.req.query("domain")
    setCookie(context, name, "yes", {
      ...(name === "none" || name === "partitioned" ? { secure: true, sameSite: "None" } : {}),
      ...(name === "partitioned" ? { partitioned: true } : {}),
      ...(domain === undefined ? {} : { domain }),
    })
    return context.json({ set: name })
  })
  // Whoever sends a visitor's cookies along orders as that visitor.
  api.post("/orders/:id", (context) => {
    orders.set(context.req.param("id"), getCookie(context))
    return context.json({ ordered: true })
  })
  api.get("/orders/:id", (context) => context.json(orders.get(context.req.param("id")) ?? {}))
  return api
}

const listen = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return portOf(server)
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port
