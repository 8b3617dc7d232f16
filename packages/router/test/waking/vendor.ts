/** A vendor's API over HTTP and the machines behind it, for routers in other processes: machines sleep until somebody starts them. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { WebSocketServer } from "ws"

/** A running vendor. */
export interface Vendor {
  readonly origin: string
  /** The machines that were started, each time once more. */
  readonly starts: string[]
  /** Starts whose caller left before they were over: nobody started anything then. */
  readonly abandoned: string[]
  /** How often an app's page was loaded. */
  readonly loads: () => number
  /** Lets the starts of a machine whose name begins with `held` be over. */
  readonly release: () => void
  readonly close: () => Promise<void>
}

/**
 * By the beginning of a machine's name: `slow` starts in 2.5 s, `held` when the test says so, `hung` never, and neither where it is nor what it
 * is doing can be learned of `mute`; of all others a start takes 100 ms.
 */
export const startVendor = async (): Promise<Vendor> => {
  const starts: string[] = []
  const abandoned: string[] = []
  const running = new Set<string>()
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  let loads = 0

  const server = createServer((request, response) => {
    const [, call, id = ""] = /^\/vendor\/(\w+)\/(.+)$/.exec(request.url!) ?? []
    if (call === "start") {
      starts.push(id)
      response.on("close", () => {
        if (!response.writableFinished) abandoned.push(id)
      })
      const accepted = (): void => {
        if (response.destroyed) return
        running.add(id)
        response.end()
      }
      if (id.startsWith("held")) void held.then(accepted)
      else if (!id.startsWith("hung")) setTimeout(accepted, id.startsWith("slow") ? 2_500 : 100)
      return
    }
    if (call !== undefined) {
      if (id.startsWith("mute")) return
      response.writeHead(running.has(id) ? 200 : 409).end()
      return
    }
    response.setHeader("x-iterate-proxy-stamp", "unproven")
    // Whoever looks whether it is up loads no page.
    if (request.method === "GET" && request.headers["x-iterate-proxy-ticket"] !== undefined) loads++
    response.setHeader("content-type", "text/html")
    response.end("<title>the app</title><h1>the app</h1>")
  })
  const sockets = new WebSocketServer({ server })
  sockets.on("headers", (lines) => lines.push("x-iterate-proxy-stamp: unproven"))
  sockets.on("connection", (socket) => socket.on("message", (data, binary) => socket.send(data, { binary })))
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    starts,
    abandoned,
    loads: () => loads,
    release,
    close: async () => {
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    },
  }
}
