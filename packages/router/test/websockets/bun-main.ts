// Run by Bun, by hosts.ts: the router under Bun.serve, beside an app with WebSockets of its own.
import { createRouter } from "../../src/router.ts"
import { serveBun } from "../../src/hosts/bun.ts"
import { options, setup } from "./router.ts"

const router = createRouter(options)
const host = serveBun(router, {
  ...setup.host,
  // The app's own hostnames and WebSockets, as they were before.
  fallback: async (request, server) => {
    const { pathname } = new URL(request.url)
    if (pathname === "/socket" && server.upgrade(request, { data: { greeting: "hello from the app" } } as never))
      return undefined
    if (pathname === "/stop") await host.close({ deadlineMs: 0 })
    if (pathname === "/throws") throw new Error("the app failed")
    return new Response(`the app itself: ${process.memoryUsage.rss()}`)
  },
  websocket: {
    open: (socket: BunSocket) => void socket.send((socket.data as { greeting: string }).greeting),
    message: (socket: BunSocket, message: string) => void socket.send(message),
  },
})
const server = Bun.serve({ ...host, port: 0, hostname: "127.0.0.1" })
const bare = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: async (request: Request) => (await router.fetch(request)) ?? new Response("not ours", { status: 404 }),
})
console.log(JSON.stringify({ port: server.port, bare: bare.port }))

interface BunSocket {
  readonly data: unknown
  readonly send: (message: string) => number
}
// Bun's own types are another global scope than this repository's.
declare const Bun: { readonly serve: (options: object) => { readonly port: number } }
