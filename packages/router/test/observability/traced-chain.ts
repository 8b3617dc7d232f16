/** The whole way, with real sockets: client → router → machine proxy → app, both proxies with a tracer or without. */
import { once } from "node:events"
import { createServer, request } from "node:http"
import type { IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { local } from "@project-ingress/providers/local"
import { layer, MachineProxy } from "../../../machine-proxy/src/effect.ts"
import type { LayerOptions } from "../../../machine-proxy/src/effect.ts"
import { serveNode } from "../../src/hosts/node.ts"
import type { Listening, NodeHost } from "../../src/hosts/node.ts"
import { otlpLayer } from "../../src/observability.ts"
import type { Observation } from "../../src/observability.ts"
import { createRouter } from "../../src/router.ts"
import type { RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

/** What the app got. */
export type Received = Readonly<Record<string, string>>

export interface TracedChain extends AsyncDisposable {
  readonly host: NodeHost
  readonly port: number
  /** Asks the app for its headers, by a hostname. */
  readonly get: (headers?: Record<string, string>, hostname?: string) => Promise<{ status: number; received: Received }>
}

export interface TracedChainSetup {
  readonly observed?: Observation | undefined
  readonly options?: Partial<RouterOptions>
  /** Where the machine proxy exports its spans to; absent: it has no tracer. */
  readonly machineCollector?: string
  readonly tracing?: LayerOptions["tracing"]
}

export const startTracedChain = async (setup: TracedChainSetup = {}): Promise<TracedChain> => {
  const { observed, machineCollector, tracing, options } = setup
  const app = createServer((asked, response) => {
    if (asked.url === "/fails") response.statusCode = 500
    response.setHeader("content-type", "application/json").end(JSON.stringify(asked.headers))
  })
  app.listen(0, "127.0.0.1")
  await once(app, "listening")
  const { signing } = await generateTicketKeys("test")

  const scope = Effect.runSync(Scope.make())
  const machineLayer = layer({
    host: "127.0.0.1",
    port: 0,
    log: "off",
    drainMs: 0,
    keys: Redacted.make([await machineKey(signing, "mach_1")]),
    proxy: { machine: "mach_1" },
    ...(tracing === undefined ? {} : { tracing }),
  })
  const tracer = machineCollector === undefined ? undefined : otlpLayer({ url: machineCollector, signals: ["traces"] })
  const machine = await Effect.runPromise(
    Layer.buildWithScope(tracer === undefined ? machineLayer : Layer.provide(machineLayer, tracer), scope),
  )
  const { port: machinePort } = Context.get(machine, MachineProxy).address

  const router = createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({
      "p:misha": { machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port: machinePort } } },
    }),
    providers: [local()],
    signingKey: signing,
    ...(observed === undefined ? {} : { onEvent: observed.onEvent, instrument: observed.instrument }),
    ...options,
  })
  const host = serveNode(router, observed === undefined ? {} : { onEvent: observed.onEvent })
  const listening: Listening = await host.listen({ hostname: "127.0.0.1" })
  const appPort = (app.address() as AddressInfo).port
  return {
    host,
    port: listening.port,
    get: async (headers = {}, hostname = `${appPort}__misha.iterate.app`) => {
      const { "x-path": path = "/", ...rest } = headers
      const asked = request({
        port: listening.port,
        host: "127.0.0.1",
        path,
        headers: { ...rest, host: hostname },
      }).end()
      const [response] = (await once(asked, "response")) as [IncomingMessage]
      let body = ""
      for await (const chunk of response.setEncoding("utf8")) body += chunk
      const json = response.headers["content-type"]?.includes("json") === true
      return { status: response.statusCode!, received: json ? (JSON.parse(body) as Received) : {} }
    },
    [Symbol.asyncDispose]: async () => {
      await listening.close({ deadlineMs: 0 })
      await Effect.runPromise(Scope.close(scope, Exit.void))
      app.closeAllConnections()
      app.close()
    },
  }
}
