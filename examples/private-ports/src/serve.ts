import { once } from "node:events"
import { createServer } from "node:http"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import { generateTicketKeys } from "@project-ingress/forward"
import { upstream } from "@project-ingress/providers/upstream"
import { createRouter } from "@project-ingress/router"
import { serveNode } from "@project-ingress/router/node"
import { makePlatform } from "./platform.ts"
import type { Platform } from "./platform.ts"

/** Starts the platform and an app, which all ports of all projects lead to. `port` 0: any free one. */
export const serve = async (wanted: number): Promise<Platform & AsyncDisposable> => {
  const app = createServer(({ headers, url }, response) => {
    response.setHeader("content-type", "text/html")
    response.end(`<title>app</title><h1>${url}</h1><p>${headers.cookie ?? headers.authorization ?? "nothing secret"}`)
  })
  const appPort = await listen(app, 0)
  const port = wanted === 0 ? await freePort() : wanted
  const { signing } = await generateTicketKeys("example")
  const platform = await makePlatform({
    signingKey: signing,
    origin: `http://localhost:${port}`,
    machine: { type: "upstream", externalId: "app", metadata: { origin: `http://127.0.0.1:${appPort}` } },
  })
  const router = createRouter({ ...platform.router, providers: [upstream({ allowCidrs: ["127.0.0.0/8"] })] })
  const host = serveNode(router, { fallback: platform.controlPlane })
  const listening = await host.listen({ hostname: "127.0.0.1", port })
  return {
    ...platform,
    [Symbol.asyncDispose]: async () => {
      await listening.close({ deadlineMs: 0 })
      await router.dispose()
      app.closeAllConnections()
      app.close()
    },
  }
}

const listen = async (server: Server, port: number): Promise<number> => {
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

/** Links and redirects name the port, so it is known before anybody listens there. */
const freePort = async (): Promise<number> => {
  const server = createServer()
  const port = await listen(server, 0)
  server.close()
  await once(server, "close")
  return port
}
