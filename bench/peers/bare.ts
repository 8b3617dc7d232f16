// The least that a proxy on node:http and undici can do: header names filtered, bodies passed on with back-pressure.
import { createServer } from "node:http"
import type { IncomingMessage } from "node:http"
import { installed, listen, portOf, targetHeader, ticketHeader } from "./job.ts"

interface Controller {
  readonly rawHeaders?: readonly (Buffer | string)[]
  pause(): void
  resume(): void
  abort(reason: Error): void
}
interface Handler {
  onRequestStart(controller: Controller): void
  onResponseStart(controller: Controller, status: number): void
  onResponseData(controller: Controller, chunk: Buffer): void
  onResponseEnd(): void
  onResponseError(): void
}
interface Dispatch {
  readonly origin: string
  readonly path: string
  readonly method: string
  readonly headers: string[]
  readonly body: IncomingMessage | null
}
interface Undici {
  readonly Agent: new (options: { connections: number; pipelining: number }) => {
    dispatch(request: Dispatch, handler: Handler): boolean
  }
}

const { Agent } = await installed<Undici>("undici")
const agent = new Agent({ connections: 256, pipelining: 1 })
const dropped = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
])
for (const name of ["host", targetHeader, ticketHeader]) dropped.add(name)

const server = createServer((request, response) => {
  const raw = request.rawHeaders
  const headers: string[] = []
  for (let i = 0; i < raw.length; i += 2) if (!dropped.has(raw[i]!.toLowerCase())) headers.push(raw[i]!, raw[i + 1]!)
  const port = portOf(request.headers[targetHeader])
  headers.push("Host", `localhost:${port}`)
  const { "content-length": length, "transfer-encoding": coding } = request.headers
  const body = length === undefined && coding === undefined ? null : request
  const origin = `http://127.0.0.1:${port}`
  let running: Controller
  response.once("close", () => {
    if (!response.writableFinished) running.abort(new Error("the client left"))
  })
  agent.dispatch(
    { origin, path: request.url ?? "/", method: request.method ?? "GET", headers, body },
    {
      onRequestStart: (controller) => {
        running = controller
      },
      onResponseStart: ({ rawHeaders = [] }, status) => {
        const out: string[] = []
        for (let i = 0; i < rawHeaders.length; i += 2) {
          const name = rawHeaders[i]!.toString("latin1")
          if (!dropped.has(name.toLowerCase())) out.push(name, rawHeaders[i + 1]!.toString("latin1"))
        }
        response.writeHead(status, out)
      },
      onResponseData: (controller, chunk) => {
        if (response.write(chunk)) return
        controller.pause()
        response.once("drain", () => controller.resume())
      },
      onResponseEnd: () => response.end(),
      onResponseError: () => {
        if (!response.headersSent) response.statusCode = 502
        response.end()
      },
    },
  )
})
listen(server)
