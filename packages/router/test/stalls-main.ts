/** A router in a process of its own, with short time-outs: over sockets, and by `fetch` behind node:http. */
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
import { Readable } from "node:stream"
import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "@project-ingress/router"
import type { RouteStore } from "@project-ingress/router"
import { serveNode } from "@project-ingress/router/node"

const { MACHINE_PORT, APP_PORT, STORE_PORT, SIGNING_KEY = "", TIMEOUT_MS } = process.env
const timeoutMs = Number(TIMEOUT_MS)

/** A database that is asked over a connection, as most are. */
const ask = (key: string): Promise<void> =>
  new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port: Number(STORE_PORT), path: `/${key}`, agent: false }, (response) => {
      response.resume().on("end", resolve)
    })
      .on("error", reject)
      .end()
  })

const store: RouteStore = {
  get: async (key) => {
    if (key === "p:slow") await ask(key)
    const machine = { id: "mach_1", type: "local", externalId: "dev", metadata: { port: Number(MACHINE_PORT) } }
    return {
      status: "hit",
      record: { kind: "machine", machine, port: Number(APP_PORT), version: 1, epoch: 1 },
    }
  },
}
const router = createRouter({
  grammar: defineGrammar({ domains: ["iterate.app"] }),
  store,
  providers: [local()],
  signingKey: JSON.parse(SIGNING_KEY) as SigningKey,
  headersTimeoutMs: timeoutMs,
})
const limits = { headersTimeoutMs: timeoutMs, keepAliveTimeoutMs: timeoutMs, bodyIdleTimeoutMs: timeoutMs }
const sockets = await serveNode(router, { limits: { ...limits, connectTimeoutMs: timeoutMs } }).listen({
  hostname: "127.0.0.1",
})

const byFetch = createServer((asked, answer) => {
  void router.fetch(new Request(`http://${asked.headers.host}${asked.url}`)).then((response) => {
    answer.writeHead(response!.status)
    if (response!.body === null) answer.end()
    else Readable.fromWeb(response!.body as Parameters<typeof Readable.fromWeb>[0]).pipe(answer)
  })
}).listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ sockets: sockets.port, fetch: (byFetch.address() as AddressInfo).port }))
})
