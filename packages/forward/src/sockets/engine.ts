import type { Duplex } from "node:stream"
import type { NewExchange } from "./connection/client-connection.ts"
import type { EngineContext } from "./connection/engine-context.ts"
import type { Engine, EngineOptions } from "./contract/engine.ts"
import type { Limits } from "./contract/limits.ts"
import type { ProxiedClient } from "./proxy-protocol/proxy-header.ts"
import { cidrMatcher } from "../address.ts"
import { defaultHeaderNames, validHeaderNames } from "../header-names.ts"
import { accept, checkOptions } from "../options.ts"
import { ClientConnection } from "./connection/client-connection.ts"
import { tlsHandshakes } from "./connection/tls-handshakes.ts"
import { UpstreamPools } from "./connection/upstream-pool.ts"
import { defaultLimits } from "./contract/limits.ts"
import { Exchange } from "./exchange/exchange.ts"
import { DeadlineScanner } from "./io/deadlines.ts"
import { drainOf } from "./drain.ts"
import { proxiedConnections } from "./proxy-protocol/proxied-connections.ts"

/** How often deadlines are looked at, in ms: while the event loop is free they fire at most this late. */
const SCAN_INTERVAL_MS = 50

const limitChecks = Object.fromEntries(Object.keys(defaultLimits).map((name) => [name, accept.number()]))

/**
 * Makes an engine: it takes accepted connections, asks `onRequest` about each request, and moves the bytes. Opens nothing.
 *
 * @throws {TypeError} for an option or a limit that is unknown, missing or invalid
 */
export const createEngine = (options: EngineOptions): Engine => {
  checkOptions(
    "createEngine",
    options,
    {
      onRequest: accept.function,
      failure: accept.function,
      limits: accept.object,
      headerNames: validHeaderNames,
      proxyProtocol: accept.object,
      onEvent: accept.function,
    },
    { required: ["onRequest", "failure"] },
  )
  if (options.proxyProtocol !== undefined) {
    const fields = { trustedCidrs: accept.array(accept.string) }
    checkOptions("createEngine", options.proxyProtocol, fields, { required: ["trustedCidrs"], at: "proxyProtocol" })
  }
  checkOptions("createEngine", options.limits ?? {}, limitChecks, { at: "limits" })
  const limits = { ...defaultLimits, ...withoutUndefined(options.limits ?? {}) }
  const deadlines = new DeadlineScanner(SCAN_INTERVAL_MS)
  const pools = new UpstreamPools(limits, deadlines)
  const open: EngineContext["open"] = new Set()
  const context: EngineContext = {
    options,
    limits,
    deadlines,
    pools,
    open,
    headerNames: options.headerNames ?? defaultHeaderNames,
    draining: false,
    closing: false,
    lastRequestMs: 0,
    onEmpty: [],
  }

  const take = (socket: Duplex, client?: ProxiedClient): void => {
    const connection = new ClientConnection(socket, context, newExchange, client)
    open.add(connection)
    if (context.closing) connection.drain()
  }
  const readHeader =
    options.proxyProtocol &&
    proxiedConnections(context, cidrMatcher("proxyProtocol.trustedCidrs", options.proxyProtocol.trustedCidrs))

  /** Calls `next` with the socket of a connection that is served, after its PROXY header. */
  const begin = <S extends Duplex>(socket: S, next: (socket: S, client?: ProxiedClient) => void): void => {
    if (open.size >= limits.maxConnections || context.closing) {
      socket.on("error", () => undefined)
      socket.destroy()
    } else if (readHeader === undefined) next(socket)
    else readHeader(socket, (client) => next(socket, client))
  }

  return {
    connection: (socket) => begin(socket, take),
    secureConnection: (server) => {
      const shakeHands = tlsHandshakes(context, server, take)
      return (socket) => begin(socket, shakeHands)
    },
    drain: drainOf(context),
    draining: () => context.draining,
    connections: () => open.size,
  }
}

const newExchange: NewExchange = (connection, head) => new Exchange(connection, head)

const withoutUndefined = (limits: Partial<Limits>): Partial<Limits> =>
  Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined))
