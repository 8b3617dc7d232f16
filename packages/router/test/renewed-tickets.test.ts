import { once } from "node:events"
import { createServer, request as httpRequest } from "node:http"
import type { IncomingMessage, Server } from "node:http"
import { createServer as createTcpServer } from "node:net"
import type { AddressInfo } from "node:net"
import { machineKey } from "@project-ingress/forward"
import type { VerificationKey } from "@project-ingress/forward"
import { local } from "@project-ingress/providers/local"
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest"
import { createMachineProxy } from "../../machine-proxy/src/machine-proxy.ts"
import { serveNode } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import type { RouterEvent } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { hostnames, keys } from "./fakes.ts"

let app: Server
let appPort: number
let machinePort: number
/** The machine's keys: with another array it verifies every ticket again. */
let machineKeys: readonly VerificationKey[]
/** How often the app was asked. */
let served = 0
const closing: (() => unknown)[] = []

beforeAll(async () => {
  app = createServer((request, response) => {
    served++
    request.pipe(response)
  }).listen(0, "127.0.0.1")
  await once(app, "listening")
  appPort = (app.address() as AddressInfo).port
  machineKeys = [await machineKey(keys.signing, "mach_1")]
  const proxy = createMachineProxy({ machine: "mach_1", keys: () => machineKeys })
  const server = createTcpServer(proxy.connection).listen(0, "127.0.0.1")
  await once(server, "listening")
  machinePort = (server.address() as AddressInfo).port
  closing.push(() => server.close() && proxy.drain({ deadlineMs: 0 }))
})
afterEach(() => {
  vi.useRealTimers()
})
afterAll(async () => {
  for (const close of closing) await close()
  app.closeAllConnections()
  app.close()
})

const routerWith = (events: RouterEvent[]) =>
  createRouter({
    grammar: hostnames,
    store: memoryStore({
      "p:misha": { machine: { id: "mach_1", type: "local", externalId: "1", metadata: { port: machinePort } } },
    }),
    providers: [local()],
    signingKey: keys.signing,
    onEvent: (event) => events.push(event),
  })

/** One request through either host of the router. */
const hosts = [
  [
    "router.fetch",
    (events: RouterEvent[]) => {
      const router = routerWith(events)
      return async (method: string) => {
        const url = `http://${appPort}__misha.iterate.app/`
        const body = method === "POST" ? "hello" : null
        const response = await router.fetch(new Request(url, { method, body }))
        return [response!.status, await response!.text()]
      }
    },
  ],
  [
    "serveNode",
    async (events: RouterEvent[]) => {
      const { port, close } = await serveNode(routerWith(events)).listen({ hostname: "127.0.0.1" })
      closing.push(() => close({ deadlineMs: 0 }))
      return async (method: string) => {
        const headers = { host: `${appPort}__misha.iterate.app` }
        const sent = httpRequest({ host: "127.0.0.1", port, method, headers, agent: false })
        sent.end(method === "POST" ? "hello" : undefined)
        const [response] = (await once(sent, "response")) as [IncomingMessage]
        let text = ""
        for await (const piece of response) text += String(piece)
        return [response.statusCode, text]
      }
    },
  ],
] as const

describe.each(hosts)("through %s, a router whose clock was an hour ahead at its first request", (_, start) => {
  const begun = async () => {
    const events: RouterEvent[] = []
    const ask = await start(events)
    const now = Date.now()
    vi.useFakeTimers({ now: now + 3_600_000, toFake: ["Date"] })
    // The machine's clock is this process's, too.
    expect(await ask("GET")).toEqual([200, ""])
    vi.setSystemTime(now)
    machineKeys = [...machineKeys]
    served = 0
    return { ask, proofs: () => events.filter(({ type }) => type === "proof") }
  }

  it("signs another ticket when its clock is right, for the same request, and an event says so", async () => {
    const { ask, proofs } = await begun()
    expect(await ask("GET")).toEqual([200, ""])
    expect(served).toBe(1)
    expect(proofs()).toMatchObject([{ outcome: "ticket_renewed", machine: "mach_1", port: appPort }])
    expect(await ask("POST")).toEqual([200, "hello"])
    expect(proofs()).toHaveLength(1)
  })

  it("sends no body twice, and the next request has the other ticket", async () => {
    const { ask, proofs } = await begun()
    expect((await ask("POST"))[0]).toBe(401)
    expect([served, proofs().length]).toEqual([0, 1])
    expect(await ask("POST")).toEqual([200, "hello"])
    expect([served, proofs().length]).toEqual([1, 1])
  })
})
