import { once } from "node:events"
import { generateTicketKeys } from "@project-ingress/forward"
import { failureCode } from "@project-ingress/forward/internal"
import { defineGrammar } from "@project-ingress/hostname"
import { upstream } from "@project-ingress/providers/upstream"
import { serveNode } from "../../hosts/node.ts"
import type { Listening, NodeHost } from "../../hosts/node.ts"
import { createRouter } from "../../router.ts"
import { edgeProxySql, polledSql } from "../../stores/polled-sql.ts"
import type { PolledSqlStore } from "../../stores/polled-sql.ts"
import { resultRows } from "../../stores/result-rows.ts"
import { askServer } from "./ask-server.ts"
import type { EdgeConfig } from "./edge-config.ts"
import type { EdgeLog } from "./edge-log.ts"
import { exactDomains, healthChecks } from "./edge-policies.ts"
import { edgeRows } from "./edge-rows.ts"
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

/**
 * How many routes may go at once, whatever part of them that is: people remove a handful of domains, and one that was removed must
 * not go on being served. More than that and 15 % at once is held for an accident, until SIGHUP.
 */
const MAY_LOSE = 10

/** How long a query may take, in ms. */
const QUERY_MS = 10_000

/** Rejects if it cannot listen. */
export const serveEdge = async (config: EdgeConfig, database: EdgeDatabase, log: EdgeLog): Promise<Edge> => {
  const { mode, region, intervalMs, allowCidrs, redirectsSql } = config
  // No domain of the grammar leads anywhere here; `invalid` is nobody's (RFC 6761 §6.4).
  const grammar = defineGrammar({ domains: ["edge.invalid"] })
  const store: PolledSqlStore = polledSql((text) => readRows(database, text, redirectsSql), {
    sql: edgeProxySql,
    map: edgeRows(region),
    grammar,
    intervalMs,
    timeoutMs: QUERY_MS,
    mayLose: MAY_LOSE,
    onEvent: (event) => {
      // Tables that are empty at the start are those of a new platform: then every domain is not found.
      const isEmpty = event.type === "route_source" && event.state === "refused" && event.routes === undefined
      if (isEmpty) void store.load({ force: true })
      else log.onSourceEvent(event)
    },
  })
  const addresses = { allowCidrs }
  // Machines without a machine proxy get no ticket, so that nobody has to know the key.
  const { signing } = await generateTicketKeys("edge")
  const router = createRouter({
    grammar,
    store,
    providers: [upstream(addresses)],
    signingKey: signing,
    policies: mode === "edgeproxy" ? [exactDomains, healthChecks(region, addresses, log)] : [exactDomains],
    ...(mode === "edgeproxy" ? { errorResponses: edgeproxyResponses } : {}),
    onEvent: log.onRouterEvent,
  })
  const cut = cutRequests()
  const host: NodeHost = serveNode(router, {
    ...(config.trustedProxies === undefined ? {} : { trustedProxies: config.trustedProxies }),
    isReady: () => store.stats().layers[0]!.routes !== undefined,
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
  // Whatever comes of it: a database that is down now may be up later.
  void store.load()
  return {
    port: listening.port,
    reload: () => store.load({ force: true }),
    stop: async () => {
      ask?.close()
      const isDrained = await drain(listening, config.drainMs, cut)
      store.dispose()
      await database.close().catch(() => undefined)
      return isDrained
    },
  }
}

/** The rows of both queries, as one result. */
const readRows = async (database: EdgeDatabase, text: string, redirectsSql: string | undefined): Promise<unknown> => {
  const [routes, redirects] = await Promise.all([
    database.query(text),
    redirectsSql === undefined ? [] : database.query(redirectsSql),
  ])
  return [...(resultRows(routes) ?? []), ...(resultRows(redirects) ?? [])]
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
