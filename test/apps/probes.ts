import { Agent } from "node:https"
import { WebSocket } from "ws"
import type { ProbeRequest } from "./real-app.ts"

/** A page: the status. */
export const get = (path: string): ProbeRequest => ({
  request: `GET ${path}`,
  send: async ({ host, origin }) => String((await host.fetch(origin + path)).status),
})

/** A redirect: the status, and where to; `…` is the public name. */
export const followed = (path: string, form?: Readonly<Record<string, string>>): ProbeRequest => ({
  request: `${form === undefined ? "GET" : "POST"} ${path}, Location`,
  send: async ({ host, origin }) => {
    const body = form === undefined ? undefined : new URLSearchParams(form)
    const method = form === undefined ? "GET" : "POST"
    const response = await host.fetch(origin + path, { method, headers: { origin }, ...(body && { body }) })
    const location = response.headers.get("location") ?? String(response.status)
    return location.replace(new URL(origin).host, "…")
  },
})

/** A post from the app's own page, of a browser without Fetch Metadata: the status. */
export const post = (path: string, contentType: string, body: string): ProbeRequest => ({
  request: `POST ${path} from its own page`,
  send: async ({ host, origin }) => {
    const headers = { origin, "content-type": contentType, accept: "application/json, text/event-stream" }
    const response = await host.fetch(origin + path, { method: "POST", headers, body })
    await response.body?.cancel()
    return String(response.status)
  },
})

/** A WebSocket from the app's own page: 101 when its first message comes, or the status or the message that it is refused by. */
export const webSocket = (path: string): ProbeRequest => ({
  request: `WebSocket ${path.replace(/\?.*/, "")} from its own page`,
  send: ({ host, origin, certificate }) =>
    new Promise((resolve, reject) => {
      const { host: name, hostname } = new URL(origin)
      const agent = new Agent({ servername: hostname, ca: certificate })
      const socket = new WebSocket(`wss://127.0.0.1:${host.tlsPort}${path}`, { origin, headers: { host: name }, agent })
      socket.on("message", (data) => {
        const text = (data as Buffer).toString()
        resolve(text.includes("Invalid Host/Origin header") ? "Invalid Host/Origin header" : "101")
        socket.terminate()
      })
      socket.on("unexpected-response", (request, response) => {
        resolve(String(response.statusCode))
        request.destroy()
      })
      socket.on("close", () => resolve("closed"))
      socket.on("error", reject)
    }),
})
