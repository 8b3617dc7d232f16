import type { Duplex } from "node:stream"
import type { NewExchange } from "./connection/client-connection.ts"
import type { EngineContext } from "./connection/engine-context.ts"
import type { Engine, EngineOptions } from "./contract/engine.ts"
import type { Limits } from "./contract/limits.ts"
import type { ConnectionRefusal } from "./connection/refused-connections.ts"
import type { ProxiedClient } from "./proxy-protocol/proxy-header.ts"
import { cidrMatcher } from "../address.ts"
import { defaultHeaderNames, validHeaderNames } from "../header-names.ts"
import { accept, checkOptions } from "../options.ts"
import { isAdmitted } from "./connection/admission.ts"
import { addressOf, ClientConnection } from "./connection/client-connection.ts"
import { idleConnections } from "./connection/idle-connections.ts"
import { refusedConnections } from "./connection/refused-connections.ts"
import { tlsHandshakes } from "./connection/tls-handshakes.ts"
import { UpstreamPools } from "./connection/upstream-pool.ts"
import { givenLimits } from "./contract/given-limits.ts"
import { defaultLimits } from "./contract/limits.ts"
import { Exchange } from "./exchange/exchange.ts"
import { http2Sessions, speaksHttp2 } from "./http2/http2-sessions.ts"
import { messagesOf } from "./messages/messages.ts"
import { DeadlineScanner } from "./io/deadlines.ts"
import { drainOf } from "./drain.ts"
import { descriptorShare } from "./io/descriptors.ts"
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
      admission: accept.object,
      onEvent: accept.function,
    },
    { required: ["onRequest", "failure"] },
  )
  if (options.admission !== undefined) {
    const fields = { admit: accept.function, release: accept.function }
    checkOptions("createEngine", options.admission, fields, { required: ["admit", "release"], at: "admission" })
  }
  if (options.proxyProtocol !== undefined) {
    const fields = { trustedCidrs: accept.array(accept.string) }
    checkOptions("createEngine", options.proxyProtocol, fields, { required: ["trustedCidrs"], at: "proxyProtocol" })
  }
  checkOptions("createEngine", options.limits ?? {}, limitChecks, { at: "limits" })
  const limits = withinDescriptors(givenLimits(defaultLimits, options.limits))
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
    messages: 0,
    onEmpty: [],
  }

  const connections = () => open.size - context.messages
  const connectionOf = (socket: Duplex, client?: ProxiedClient): ClientConnection =>
    new ClientConnection(socket, context, newExchange, client)
  const message = messagesOf(context, newExchange)
  const takeHttp2 = http2Sessions(context, message)
  const take = (socket: Duplex, client?: ProxiedClient): void => {
    if (speaksHttp2(socket)) {
      takeHttp2(socket, client)
      return
    }
    const connection = connectionOf(socket, client)
    open.add(connection)
    if (context.closing) connection.drain()
  }
  const respond = (socket: Duplex, refusal: ConnectionRefusal): void => {
    if (speaksHttp2(socket)) takeHttp2(socket, undefined, refusal)
    else connectionOf(socket).refuse(refusal)
  }
  const refuse = refusedConnections(context)
  const makeRoom = idleConnections(context)
  const readHeader =
    options.proxyProtocol &&
    proxiedConnections(context, cidrMatcher("proxyProtocol.trustedCidrs", options.proxyProtocol.trustedCidrs))

  /**
   * Calls `next` with the socket of a connection that is served, after its PROXY header, and `last` with that of one too many.
   * `handshake`: what they do begins with one.
   */
  const begin = <S extends Duplex>(
    socket: S,
    next: (socket: S, client?: ProxiedClient) => void,
    last: (socket: S, refusal: ConnectionRefusal) => void,
    handshake: boolean,
  ): void => {
    const enter = (client?: ProxiedClient): void => {
      if (isAdmitted(context, options.admission, socket, client?.address ?? addressOf(socket))) next(socket, client)
      else refuse(socket, "ClientLimited", () => last(socket, "ClientLimited"), handshake)
    }
    if (context.closing) {
      socket.on("error", () => undefined)
      socket.destroy()
    } else if (connections() >= limits.maxConnections && !makeRoom()) {
      refuse(socket, "Overloaded", () => last(socket, "Overloaded"), handshake)
    } else if (readHeader === undefined) enter()
    else readHeader(socket, enter)
  }

  return {
    connection: (socket) => begin(socket, take, respond, false),
    secureConnection: (server) => {
      const shakeHands = tlsHandshakes(context, server)
      return (socket) =>
        begin(
          socket,
          (served, client) => shakeHands(served, (secured) => take(secured, client)),
          (refused, refusal) => shakeHands(refused, (secured) => respond(secured, refusal)),
          true,
        )
    },
    drain: drainOf(context),
    draining: () => context.draining,
    message,
    connections,
    limits,
  }
}

/** Limits that the process's descriptors allow. */
const withinDescriptors = (limits: Limits): Limits => {
  const share = descriptorShare()
  return {
    ...limits,
    maxConnections: Math.min(limits.maxConnections, share),
    maxUpstreamConnections: Math.min(limits.maxUpstreamConnections, share),
  }
}

const newExchange: NewExchange = (connection, head) => new Exchange(connection, head)
