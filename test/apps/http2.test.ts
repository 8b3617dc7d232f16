/** HTTP/2 in a browser: what six connections of HTTP/1.1 could not carry. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { serveNode } from "@project-ingress/router/node"
import type { NodeHost } from "@project-ingress/router/node"
import type { Browser } from "playwright-core"
import { afterAll, beforeAll, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import { need, startBrowser } from "../../examples/quickstart/test/browser.ts"
import { machine, signing } from "../../packages/machine-proxy/test/harness.ts"
import { startMachine } from "../../packages/router/test/hosts/hosts.ts"
import type { RunningHost } from "../../packages/router/test/hosts/hosts.ts"
import { routerFor } from "../../packages/router/test/hosts/router.ts"
import { selfSigned } from "./certificate.ts"

const TABS = 20

/** Sends one event to each stream, and leaves all of them open. */
const app = createServer((request, response) => {
  if (request.url === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream" }).write("data: hello\n\n")
    return
  }
  response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>a tab</title>")
})
const sockets = new WebSocketServer({ server: app })
sockets.on("connection", (socket) => socket.on("message", (data, binary) => socket.send(data, { binary })))

let proxy: RunningHost
let host: NodeHost
let close: () => Promise<void>
let browser: Browser | undefined
let missing: string | undefined
let origin: string

beforeAll(async () => {
  app.listen(0, "127.0.0.1")
  await once(app, "listening")
  proxy = await startMachine()
  host = serveNode(routerFor({ machine, port: proxy.port, signingKey: signing }))
  const { cert, key, spki } = await selfSigned(["*.iterate.app"])
  const tls = createTlsServer({ cert, key, ALPNProtocols: ["h2", "http/1.1"] })
  const listening = await host.listen({ hostname: "127.0.0.1", tls })
  close = () => listening.close({ deadlineMs: 0 })
  origin = `https://${(app.address() as AddressInfo).port}__misha.iterate.app:${listening.port}`
  ;({ browser, noBrowser: missing } = await startBrowser([
    "--host-resolver-rules=MAP *.iterate.app 127.0.0.1",
    `--ignore-certificate-errors-spki-list=${spki}`,
  ]))
}, 90_000)
afterAll(async () => {
  await browser?.close()
  await close()
  await proxy.close()
  for (const socket of sockets.clients) socket.terminate()
  app.closeAllConnections()
  app.close()
})

it(`${TABS} tabs each have an event stream, and then a WebSocket, over one connection`, async (ctx) => {
  need(ctx, missing)
  const context = await browser!.newContext()
  const tabs = await Promise.all(Array.from({ length: TABS }, () => context.newPage()))
  for (const tab of tabs) await tab.goto(origin)
  const messages = await Promise.all(
    tabs.map((tab) =>
      tab.evaluate(
        () =>
          new Promise<string>((resolve, reject) => {
            const source = new EventSource("/events")
            Object.assign(globalThis, { source })
            source.addEventListener("message", ({ data }: MessageEvent<string>) => resolve(data))
            source.addEventListener("error", () => reject(new Error("the stream failed")))
          }),
      ),
    ),
  )
  expect(messages).toEqual(Array.from({ length: TABS }, () => "hello"))
  const protocols = await tabs[0]!.evaluate(() =>
    performance.getEntriesByType("navigation").map((entry) => (entry as PerformanceNavigationTiming).nextHopProtocol),
  )
  expect(protocols).toEqual(["h2"])
  const echoes = await Promise.all(
    tabs.map((tab) =>
      tab.evaluate(
        () =>
          new Promise<string>((resolve, reject) => {
            const socket = new WebSocket(location.origin.replace("https", "wss"))
            Object.assign(globalThis, { socket })
            socket.addEventListener("open", () => socket.send("hi"))
            socket.addEventListener("message", ({ data }: MessageEvent<string>) => resolve(data))
            socket.addEventListener("error", () => reject(new Error("the WebSocket failed")))
          }),
      ),
    ),
  )
  expect(echoes).toEqual(Array.from({ length: TABS }, () => "hi"))
  expect(sockets.clients.size).toBe(TABS)
  expect(host.connections()).toBe(1)
  await context.close()
})
