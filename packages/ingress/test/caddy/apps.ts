import { once } from "node:events"
import { createServer, request } from "node:http"
import type { IncomingHttpHeaders, RequestOptions } from "node:http"
import { request as requestTls } from "node:https"
import type { AddressInfo, Socket } from "node:net"

/** A little app behind the proxy. */
export interface App {
  readonly port: number
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly close: () => Promise<void>
}

/** What an app saw of a request; its response. */
export interface Seen {
  readonly app: string
  readonly url: string
  readonly method: string
  readonly headers: IncomingHttpHeaders
}

/** Says what it saw, takes WebSockets and leaves them open. `/slow` begins at once and ends after 300 ms. */
export const startApp = async (name: string, host = "127.0.0.1", port = 0): Promise<App> => {
  const sockets = new Set<Socket>()
  const server = createServer(({ url = "", method = "", headers }, response) => {
    response.setHeader("x-powered-by", name)
    const seen = JSON.stringify({ app: name, url, method, headers } satisfies Seen)
    if (url !== "/slow") response.end(seen)
    else {
      response.write(" ")
      setTimeout(() => response.end(seen), 300)
    }
  })
  server.on("connection", (socket: Socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket)).on("error", () => undefined)
  })
  server.on("upgrade", (_, socket: Socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
  })
  server.listen(port, host)
  await once(server, "listening")
  const address = server.address() as AddressInfo
  return {
    port: address.port,
    url: `http://${host}:${address.port}`,
    close: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
      if (server.listening) await once(server, "close")
    },
  }
}

/** A response as a visitor gets it. */
export interface Got {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** What the app saw, if an app responded. */
  readonly seen: Seen | undefined
}

/** One request on a connection of its own. The path goes out as it is. */
export const get = async (
  port: number,
  hostname: string,
  path = "/",
  { tls = false, ...options }: RequestOptions & { readonly tls?: boolean } = {},
): Promise<Got> =>
  new Promise((resolve, reject) => {
    const headers = { Host: hostname, ...(options.headers as Record<string, string> | undefined) }
    const given = { host: "127.0.0.1", port, path, agent: false as const, ...options, headers }
    const secure = { ...given, servername: hostname.split(":")[0]!, rejectUnauthorized: false }
    const outgoing = tls ? requestTls(secure) : request(given)
    outgoing.on("error", reject)
    outgoing.on("response", (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk
      })
      response.on("error", reject)
      response.on("end", () => {
        const isApp = response.headers["x-powered-by"] !== undefined || body.trimStart().startsWith('{"app"')
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body,
          seen: isApp ? (JSON.parse(body) as Seen) : undefined,
        })
      })
    })
    outgoing.end()
  })

/** Opens a WebSocket; resolves once it is one. `closed` resolves when the connection has ended. */
export const openWebSocket = async (
  port: number,
  hostname: string,
): Promise<{ readonly socket: Socket; readonly closed: Promise<unknown> }> => {
  const outgoing = request({
    host: "127.0.0.1",
    port,
    agent: false,
    headers: {
      Host: hostname,
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    },
  })
  outgoing.end()
  const [, socket] = (await once(outgoing, "upgrade")) as [unknown, Socket]
  socket.on("error", () => undefined)
  return { socket, closed: once(socket.resume(), "close") }
}
