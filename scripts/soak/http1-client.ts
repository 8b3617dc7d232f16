/** A client of HTTP/1.1 that keeps its connections. */
import { Agent, request as httpRequest } from "node:http"
import type { IncomingMessage } from "node:http"
import { WebSocket } from "ws"
import { KEPT_BYTES, LEAVES_MS } from "./client.ts"
import type { Client, ClientRequest, ClientWebSocket } from "./client.ts"
import type { Said } from "./judge.ts"

/** Sends to a port of this computer, over so many connections at most. */
export const http1Client = (port: number, maxSockets: number): Client => {
  const agent = new Agent({ keepAlive: true, maxSockets })
  return {
    send: ({ host, method, path, headers, body, chunked = false, leaves }) =>
      new Promise((resolve) => {
        const length =
          body === undefined || chunked ? undefined : String(leaves === "upload" ? body.length * 2 : body.length)
        const request = httpRequest({
          host: "127.0.0.1",
          port,
          agent,
          method,
          path,
          headers: {
            host,
            ...headers,
            ...(length === undefined ? {} : { "content-length": length }),
            ...(chunked ? { "transfer-encoding": "chunked" } : {}),
          },
        })
        request.once("error", () => resolve(undefined))
        // A hostile machine may respond before the body is there.
        request.once("response", (response) => void read(response, leaves).then(resolve))
        if (leaves === "upload") request.write(body, () => setTimeout(() => request.destroy(), LEAVES_MS))
        else request.end(body)
      }),
    webSocket: ({ host, headers }) =>
      new Promise((resolve) => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}/`, {
          headers: { host, ...headers },
          perMessageDeflate: false,
        })
        const opened: ClientWebSocket = {
          send: (text) => socket.send(text),
          onMessage: () => undefined,
          close: () => socket.terminate(),
        }
        socket.once("open", () => resolve({ opened }))
        socket.once("unexpected-response", (_, response) => {
          void read(response).then((refused) => {
            resolve({ refused })
            socket.terminate()
          })
        })
        socket.on("message", (data: Buffer) => opened.onMessage(data.toString("latin1")))
        const ended = (): void => {
          resolve(undefined)
          opened.onMessage(undefined)
        }
        socket.on("error", ended)
        socket.on("close", ended)
      }),
    dispose: () => agent.destroy(),
  }
}

const read = (response: IncomingMessage, leaves?: ClientRequest["leaves"]): Promise<Said> =>
  new Promise((resolve) => {
    let text = `${response.rawHeaders.join("\n")}\n\n`
    const code = response.headers["x-iterate-proxy-error"] as string | undefined
    const done = (whole: boolean): void => resolve({ code, text, whole })
    response.on("data", (data: Buffer) => {
      if (text.length < KEPT_BYTES) text += data.toString("latin1")
      if (leaves !== "download") return
      done(true)
      response.destroy()
    })
    response.on("error", () => undefined)
    response.once("close", () => done(leaves === "download" || response.complete))
  })
