/** A router behind TLS on this computer, as browsers see it: an app with pages, two hostnames of others, and everything that was said about requests. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { IncomingMessage, Server } from "node:http"
import type { AddressInfo } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { WebSocketServer } from "ws"
import { selfSigned } from "../../../../test/apps/certificate.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { createRouter } from "../../src/router.ts"
import type { Policy, PolicyInput, PortSettings, RouterEvent } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { keys } from "../fakes.ts"
import { project } from "./world.ts"

/** Pages of these are the test's own: they frame what their query names. */
export const embedder = "www.embedder.test"
export const evil = "www.evil.test"

export const grammar = defineGrammar({ domains: ["ingress.test"], separator: "." })

/** Starts it in front of project misha, whose every port is the same app. */
export const browserWorld = async (policies: readonly PolicyInput[], settings: PortSettings) => {
  const { app, requests } = await startApp()
  const names = ["*.ingress.test", "*.misha.ingress.test", "*.embedder.test", "*.evil.test"]
  const tls = await selfSigned(names)
  const store = memoryStore()
  const configure = (changed: PortSettings): void => {
    const { key, ...identity } = project
    const at = { id: "mach_1", type: "local", externalId: "dev", metadata: { port: portOf(app) } }
    store.attach(key, { machine: at, ...identity, ...changed })
  }
  configure(settings)
  /** All that the platform could have logged. */
  const events: RouterEvent[] = []
  const said: unknown[] = []
  const tap: Policy = {
    name: "tap",
    onRequest: ({ method, path, header }) => void said.push([method, path, header("referer"), header("cookie")]),
  }
  const router = createRouter({
    grammar,
    store,
    providers: [local()],
    signingKey: keys.signing,
    unprovenMachines: true,
    policies: [tap, ...policies],
    onEvent: (event) => void events.push(event),
    onError: (error) => void said.push(error),
  })
  const host = serveNode(router, { fallback: pageOfOthers, onEvent: (event) => void said.push(event) })
  const server = createTlsServer({ key: tls.key, cert: tls.cert, noDelay: true }, host.connection)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return {
    port,
    cert: tls.cert,
    events,
    said,
    requests,
    store,
    configure,
    /** Arguments of Chromium: it resolves these names to the server and trusts its certificate, and no other. */
    browserArguments: [
      `--host-resolver-rules=${["ingress", "embedder", "evil"].map((name) => `MAP *.${name}.test:443 127.0.0.1:${port}`).join(",")}`,
      `--ignore-certificate-errors-spki-list=${tls.spki}`,
    ],
    [Symbol.asyncDispose]: async () => {
      server.close()
      await host.drain({ deadlineMs: 0 })
      app.closeAllConnections()
      app.close()
      await router.dispose()
    },
  }
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port

/** An app whose page has the path for a title, and whose sockets say hello. */
const startApp = async () => {
  const requests: IncomingMessage[] = []
  const app = createServer((request, response) => {
    requests.push(request)
    response.setHeader("x-iterate-proxy-stamp", "unproven")
    response.setHeader("content-type", "text/html")
    response.end(`<title>app ${request.url}</title><h1>app</h1>`)
  })
  const sockets = new WebSocketServer({ server: app })
  sockets.on("headers", (lines) => lines.push("x-iterate-proxy-stamp: unproven"))
  sockets.on("connection", (socket) => socket.send("hello"))
  app.listen(0, "127.0.0.1")
  await once(app, "listening")
  return { app, requests }
}

const pageOfOthers = (request: Request): Response => {
  const frame = new URL(request.url).searchParams.get("frame")
  const body = frame === null ? "<h1>others</h1>" : `<iframe src="${frame.replaceAll('"', "&quot;")}"></iframe>`
  return new Response(`<!doctype html><title>others</title>${body}`, { headers: { "content-type": "text/html" } })
}
