/**
 * The app inside a machine: a page, an event stream, an upload and a WebSocket echo on one port, a plain page on another.
 * It knows nothing of any proxy. Preloaded into the machine proxy's process, so that a machine is one process.
 */
import { createHash } from "node:crypto"
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import { WebSocketServer } from "ws"
import { appPage, plainPage } from "./pages.ts"

const machine = process.env["INGRESS_MACHINE"] ?? "unknown"
const address = process.env["DEMO_ADDRESS"] ?? "127.0.0.1"
const appPort = Number(process.env["DEMO_APP_PORT"] ?? 4096)
const plainPort = Number(process.env["DEMO_PLAIN_PORT"] ?? 3000)

const html = (response: ServerResponse, text: string): void => {
  response.writeHead(200, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" })
  response.end(text)
}

/** Says which machine it is, then counts, on from where the browser was; ends after 2 s, so that the browser asks again. */
const events = (request: IncomingMessage, response: ServerResponse): void => {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" })
  response.write(`retry: 100\nevent: machine\ndata: ${machine}\n\n`)
  let count = Number(request.headers["last-event-id"]) || 0
  let left = 5
  const tick = (): void => {
    count += 1
    left -= 1
    response.write(`id: ${count}\ndata: ${count}\n\n`)
    if (left > 0) return
    clearInterval(timer)
    response.end()
  }
  const timer = setInterval(tick, 500)
  response.on("close", () => clearInterval(timer))
  tick()
}

const upload = (request: IncomingMessage, response: ServerResponse): void => {
  const hash = createHash("sha256")
  let bytes = 0
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length
    hash.update(chunk)
  })
  request.on("end", () => {
    response.writeHead(200, { "content-type": "application/json" })
    response.end(JSON.stringify({ bytes, sha256: hash.digest("hex"), machine }))
  })
}

const app = createServer((request, response) => {
  const path = request.url?.split("?")[0]
  if (path === "/") html(response, appPage(machine))
  else if (path === "/events") events(request, response)
  else if (path === "/upload" && request.method === "POST") upload(request, response)
  else if (path === "/headers") {
    response.writeHead(200, { "content-type": "application/json" })
    response.end(JSON.stringify({ machine, headers: request.headers }))
  } else {
    response.writeHead(404, { "content-type": "text/plain" })
    response.end("no such page in the app\n")
  }
})
new WebSocketServer({ server: app }).on("connection", (socket) => {
  socket.on("error", () => socket.terminate())
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }))
})
// Loopback is enough: the machine proxy is the only way in.
app.listen(appPort, address)
createServer((request, response) =>
  request.url === "/events" ? events(request, response) : html(response, plainPage(machine)),
).listen(plainPort, address)

// A child of the demo ends with it, even when the demo was killed and could end nobody.
if (process.env["DEMO_CHILD"] === "1") process.stdin.on("close", () => process.exit(0)).resume()
