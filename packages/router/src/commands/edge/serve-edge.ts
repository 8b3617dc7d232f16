import { once } from "node:events"
import { generateTicketKeys } from "@project-ingress/forward"
import { failureCode } from "@project-ingress/forward/internal"
import { defineGrammar } from "@project-ingress/hostname"
import { upstream } from "@project-ingress/providers/upstream"
import { serveNode } from "../../hosts/node.ts"
import type { Listening, NodeHost } from "../../hosts/node.ts"
import { regions } from "../../regions.ts"
import { createRouter } from "../../router.ts"
import { askServer } from "./ask-server.ts"
import type { EdgeConfig } from "./edge-config.ts"
import type { EdgeLog } from "./edge-log.ts"
import { exactDomains, healthChecks } from "./edge-policies.ts"
import { edgeStore } from "./edge-store.ts"
import { edgeproxyResponses } from "./edgeproxy-responses.ts"
import type { EdgeDatabase } from "./open-database.ts"

/** A running edge. */
export interface Edge {
  readonly port: number
  /** Reads the routes now, and takes whatever the tables hold. */
  readonly reload: () => Promise<unknown>
  /** Stops; false if requests were cut off at the end of the drain. */
  readonly stop: () => Promise<boolean>
}

/** Rejects if it cannot listen. */
export const serveEdge = async (config: EdgeConfig, database: EdgeDatabase, log: EdgeLog): Promise<Edge> => {
  const { mode, region, source, allowCidrs, hops } = config
  // Without domains of the platform none of the grammar leads anywhere; `invalid` is nobody's (RFC 6761 §6.4).
  const grammar = defineGrammar({ domains: config.domains ?? ["edge.invalid"] })
  const routes = edgeStore(config, database, grammar, log)
  const { store } = routes
  const addresses = { allowCidrs }
  // Machines without a machine proxy get no ticket, so that nobody has to know the key.
  const { signing } = hops === undefined ? await generateTicketKeys("edge") : { signing: hops.signingKey }
  // Names below a domain are ports and services of a registry's projects; a table of domains has none.
  const exact = source === "sql" ? [exactDomains] : []
  const router = createRouter({
    grammar,
    store,
    providers: [upstream(addresses)],
    signingKey: signing,
    policies: mode === "edgeproxy" ? [...exact, healthChecks(region, addresses, log)] : exact,
    ...(hops === undefined ? {} : { regions: regions({ self: region, balancers: hops.balancers }) }),
    ...(mode === "edgeproxy" ? { errorResponses: edgeproxyResponses } : {}),
    onEvent: log.onRouterEvent,
  })
  const cut = cutRequests()
  const host: NodeHost = serveNode(router, {
    ...(config.trustedProxies === undefined ? {} : { trustedProxies: config.trustedProxies }),
    isReady: routes.isLoaded,
    onEvent: (event) => {
      cut.see(event)
      log.onEngineEvent(event)
    },
  })
  const ask = config.ask === undefined ? undefined : askServer(store, log)
  if (ask !== undefined) {
    const { port, hostname } = config.ask!
    ask.listen({ port, ...(hostname === undefined ? {} : { host: hostname }) })
    await once(ask, "listening")
  }
  const listening = await host.listen(config.listen)
  routes.begin()
  return {
    port: listening.port,
    reload: routes.reload,
    stop: async () => {
      ask?.close()
      const isDrained = await drain(listening, config.drainMs, cut)
      await routes.dispose().catch(() => undefined)
      await database.close().catch(() => undefined)
      return isDrained
    },
  }
}

/** Requests that ended early after the drain was over: nobody but us has ended them. */
const cutRequests = () => {
  let isOver = false
  let count = 0
  return {
    over: () => void (isOver = true),
    see: (event: { readonly type: string; readonly complete?: boolean; readonly upgrade?: boolean }) => {
      // A WebSocket ends with a close frame (1001), as at every stop.
      if (isOver && event.type === "request" && event.complete === false && event.upgrade !== true) count += 1
    },
    count: () => count,
  }
}

/** As Go's `Server.Shutdown`: no new connections at once, and requests in flight have their time. */
const drain = async (listening: Listening, drainMs: number, cut: ReturnType<typeof cutRequests>): Promise<boolean> => {
  const timer = setTimeout(cut.over, Math.max(0, drainMs - 50))
  await listening.close({ deadlineMs: drainMs, graceMs: 0 })
  clearTimeout(timer)
  return cut.count() === 0
}

/** Why the start failed, without a driver's words: the error's code, and the address where there is one. */
export const startProblem = (error: unknown): string => {
  const { address, port } = (error ?? {}) as { readonly address?: unknown; readonly port?: unknown }
  const code = failureCode(error) ?? "an error without a code"
  if (code === "ERR_MODULE_NOT_FOUND") return "the package pg is not installed: npm install pg"
  if (typeof port !== "number") return `cannot start: ${code}`
  return `cannot listen on ${typeof address === "string" ? address : "all addresses"} port ${port}: ${code}`
}
