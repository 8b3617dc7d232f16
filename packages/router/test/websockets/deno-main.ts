// Run by Deno, by hosts.ts: the router under Deno.serve, beside an app with WebSockets of its own.
import process from "node:process"
import { createRouter } from "../../src/router.ts"
import { serveDeno } from "../../src/hosts/deno.ts"
import { options, setup } from "./router.ts"

const router = createRouter(options)
const host = serveDeno(router, {
  ...setup.host,
  // The app's own hostnames and WebSockets, as they were before.
  fallback: async (request) => {
    const { pathname } = new URL(request.url)
    if (pathname === "/socket") {
      const { socket, response } = Deno.upgradeWebSocket(request)
      socket.addEventListener("open", () => socket.send("hello from the app"))
      socket.addEventListener("message", ({ data }) => socket.send(data as string))
      return response
    }
    if (pathname === "/stop") await host.close({ deadlineMs: 0 })
    if (pathname === "/throws") throw new Error("the app failed")
    return new Response(`the app itself: ${process.memoryUsage().rss}`)
  },
})
const listening = { port: 0, hostname: "127.0.0.1", onListen: () => undefined }
const server = Deno.serve(listening, host.fetch)
const bare = Deno.serve(
  listening,
  async (request: Request) => (await router.fetch(request)) ?? new Response("not ours", { status: 404 }),
)
console.log(JSON.stringify({ port: server.addr.port, bare: bare.addr.port }))

// Deno's own types are another global scope than this repository's.
declare const Deno: {
  readonly serve: (options: object, handler: unknown) => { readonly addr: { readonly port: number } }
  readonly upgradeWebSocket: (request: Request) => { readonly socket: WebSocket; readonly response: Response }
}
