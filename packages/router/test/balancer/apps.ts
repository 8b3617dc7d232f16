import { once } from "node:events"
import { createServer, request as httpRequest } from "node:http"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { upstream } from "@project-ingress/providers/upstream"
import { onTestFinished, vi } from "vitest"
import { WebSocketServer } from "ws"
import { balancer } from "../../src/balancer.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { createRouter } from "../../src/router.ts"
import type { MachineHealthEvent, Router, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import type { RouteInput } from "../../src/stores/memory.ts"
import { hostnames, keys } from "../fakes.ts"

/** An app of its own at an address: a replica. */
export interface App {
  readonly id: string
  readonly machine: {
    readonly id: string
    readonly type: string
    readonly externalId: string
    readonly metadata: object
  }
  /** The requests that reached it, health checks included. */
  readonly requests: IncomingMessage[]
  answer: (request: IncomingMessage, response: ServerResponse) => void
  /** Its process is gone: nothing listens, and what was connected is cut off. */
  readonly kill: () => Promise<void>
  /** It is there again, at the same address. */
  readonly restart: () => Promise<void>
}

/** Starts an app that says its own id, takes WebSockets, and is stopped after the test. */
export const startApp = async (id: string): Promise<App> => {
  let server: Server | undefined
  const listen = async (port: number): Promise<number> => {
    const started = createServer((request, response) => {
      app.requests.push(request)
      app.answer(request, response)
    })
    const sockets = new WebSocketServer({ server: started })
    sockets.on("connection", (socket) => socket.send(id))
    server = started
    started.listen(port, "127.0.0.1")
    await once(started, "listening")
    return (started.address() as AddressInfo).port
  }
  const kill = async (): Promise<void> => {
    if (server === undefined) return
    const stopped = once(server, "close")
    server.close()
    server.closeAllConnections()
    server = undefined
    await stopped
  }
  const app: App = {
    id,
    machine: { id, type: "upstream", externalId: id, metadata: {} },
    requests: [],
    answer: (_, response) => void response.end(id),
    kill,
    restart: async () => void (await listen(port)),
  }
  const port = await listen(0)
  Object.assign(app.machine.metadata, { origin: `http://127.0.0.1:${port}` })
  onTestFinished(kill)
  return app
}

export const startApps = (...ids: string[]): Promise<App[]> => Promise.all(ids.map(startApp))

/** What came of one request. */
export interface Seen {
  readonly status: number
  readonly body: string
}

export interface Asked {
  readonly method?: string
  readonly body?: string
  readonly client?: string
  readonly host?: string
}

/** A router over apps, by one of its hosts. */
export interface Served {
  readonly router: Router
  readonly events: MachineHealthEvent[]
  readonly ask: (path?: string, asked?: Asked) => Promise<Seen>
  /** The port of the host on sockets. */
  readonly port: number | undefined
}

export const hosts = ["fetch", "serveNode"] as const

/** Its own clock decides when a machine is tried again: `vi.advanceTimersByTime`. */
export const holdClock = (): void => {
  vi.useFakeTimers({ toFake: ["performance"] })
  onTestFinished(() => void vi.useRealTimers())
}

/** `project` is the record of `misha.iterate.app`. */
export const serve = async (
  host: (typeof hosts)[number],
  routes: Readonly<Record<string, RouteInput>>,
  options: Partial<RouterOptions> = {},
): Promise<Served> => {
  const events: MachineHealthEvent[] = []
  const router = createRouter({
    grammar: hostnames,
    store: memoryStore(routes),
    providers: [upstream({ allowCidrs: ["127.0.0.0/8"] })],
    signingKey: keys.signing,
    clientAddress: (request) => request.headers.get("x-test-client"),
    onEvent: (event) => void (event.type === "machine_health" && events.push(event)),
    ...(host === "fetch" ? { balancer } : {}),
    ...options,
  })
  onTestFinished(() => router.dispose())
  if (host === "fetch") {
    const ask: Served["ask"] = async (path = "/", { host = "misha.iterate.app", client = "", ...init } = {}) => {
      const response = await router.fetch(
        new Request(`http://${host}${path}`, { ...init, headers: { "x-test-client": client } }),
      )
      return { status: response!.status, body: await response!.text() }
    }
    return { router, events, ask, port: undefined }
  }
  const listening = await serveNode(router, { trustedProxies: ["127.0.0.1/32"] }).listen({ hostname: "127.0.0.1" })
  onTestFinished(() => listening.close({ deadlineMs: 0 }))
  const { port } = listening
  const ask: Served["ask"] = (
    path = "/",
    { host = "misha.iterate.app", client = "192.0.2.1", method = "GET", body } = {},
  ) =>
    new Promise((resolve, reject) => {
      const headers = { host, "x-forwarded-for": client }
      const request = httpRequest({ port, host: "127.0.0.1", path, method, headers, agent: false }, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (piece: string) => (text += piece))
        response.on("end", () => resolve({ status: response.statusCode!, body: text })).on("error", reject)
      })
      request.on("error", reject).end(body)
    })
  return { router, events, ask, port }
}

/** How often each body came. */
export const counted = (seen: readonly Seen[]): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { body } of seen) counts[body] = (counts[body] ?? 0) + 1
  return counts
}
