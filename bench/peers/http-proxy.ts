// http-proxy, its fork http-proxy-3 and its successor httpxy have one interface and differ in two places. All get an agent that keeps
// connections: their default opens one for each request, which KEEP_ALIVE=0 measures.
import { Agent, createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import { installed, listen, retarget } from "./job.ts"

type Failed = () => void
interface Proxy {
  web(request: IncomingMessage, response: ServerResponse, options: object, failed?: Failed): unknown
  // httpxy takes the head last, the others before their callback.
  ws(request: IncomingMessage, socket: Duplex, third: unknown, fourth: unknown, failed?: Failed): unknown
}
interface Library {
  readonly createProxyServer?: (options: object) => Proxy
  readonly default?: { readonly createProxyServer: (options: object) => Proxy }
}

const name = process.env["LIBRARY"] ?? "http-proxy"
const library = await installed<Library>(name)
const create = library.createProxyServer ?? library.default?.createProxyServer
if (create === undefined) throw new TypeError(`${name} has no createProxyServer`)
const agent = new Agent({ keepAlive: true, maxSockets: 512 })
const proxy = create({ ws: true, ...(process.env["KEEP_ALIVE"] === "0" ? {} : { agent }) })

const server = createServer((request, response) => {
  const failed = (): void => {
    if (!response.headersSent) response.statusCode = 502
    response.end()
  }
  const done = proxy.web(
    request,
    response,
    { target: retarget(request.headers) },
    name === "httpxy" ? undefined : failed,
  )
  if (done instanceof Promise) done.catch(failed)
})
server.on("upgrade", (request, socket, head) => {
  const failed = (): unknown => socket.destroy()
  const options = { target: retarget(request.headers) }
  const done =
    name === "httpxy" ? proxy.ws(request, socket, options, head) : proxy.ws(request, socket, head, options, failed)
  if (done instanceof Promise) done.catch(failed)
})
listen(server)
