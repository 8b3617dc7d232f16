/** A router on sockets, for Node, Bun and Deno: HTTP/1.1, HTTP/2 over TLS and WebSockets, without node:http between. */
import { createServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { Server as TlsServer } from "node:tls"
import { forwardErrors, headerValue } from "@project-ingress/forward"
import type { ForwardErrorTag, GeneratedResponse, HeaderList } from "@project-ingress/forward"
import {
  accept,
  checkOptions,
  cidrMatcher,
  defaultGraceMs,
  errorEvent,
  healthResponse,
  kindOf,
  nextRequestId,
} from "@project-ingress/forward/internal"
import { createEngine } from "@project-ingress/forward/sockets"
import type { Decision, Engine, EngineEvent, IncomingRequest, Limits } from "@project-ingress/forward/sockets"
import { balancer } from "../balancer.ts"
import type { AskedRequest } from "../error-response.ts"
import { routerErrors } from "../error-rows.ts"
import type { Router } from "../router-options.ts"
import { programOf } from "../router-program.ts"
import { clientAddressOf } from "../program/sender.ts"
import { hostBounds } from "./bounds.ts"
import { checkBounds } from "./bounds-options.ts"
import type { Bounds } from "./bounds-options.ts"
import { forwardedHeaderNames, identityReader } from "./client-identity.ts"
import type { ClientIdentity, ForwardedHeader } from "./client-identity.ts"
import { openAccess } from "./open-access.ts"
import { isResponse, requestFrom, responseOf } from "./request-response.ts"
import { serveExchange } from "./sockets.ts"

export type { Bounds, ClientBounds, RequestBounds } from "./bounds-options.ts"
export type { ForwardedHeader } from "./client-identity.ts"

/** Whose request a fallback gets. Addresses in one notation: IPv6 as of RFC 5952, IPv4 as four decimal numbers. */
export interface FallbackClient {
  /** The client's IP address: the peer's, unless a trusted proxy names another. `undefined` where nobody trusted says it. */
  readonly clientAddress: string | undefined
  /** The IP address of whoever connected: the client, or the nearest proxy. */
  readonly peerAddress: string | undefined
}

/** What {@link serveNode} takes beside a router. */
export interface NodeOptions {
  /**
   * Serves hostnames that are not the router's. It cannot accept a WebSocket. If it throws, the response is a 500. Default:
   * 404.
   *
   * The request is what an app would get: its URL and `Host` are those that were asked for, and the fields in which a client
   * claims its own identity (`X-Forwarded-*`, `Forwarded`, `X-Real-IP`, `x-iterate-*`) are replaced by ours.
   */
  readonly fallback?: (request: Request, client: FallbackClient) => Response | Promise<Response>
  /**
   * The proxies in front of this host, as ranges of their addresses: `["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]`. Of a request
   * that comes from one of them, `forwardedHeaders` say who the client is, read from the right: trusted proxies are skipped, and
   * the first other address is the client. The same fields of anybody else are worthless and are never read. So a range must
   * hold proxies only, and no client. Default: none.
   */
  readonly trustedProxies?: readonly string[]
  /**
   * The fields that **every** trusted proxy overwrites, removes or, for addresses, appends to. One that a proxy passes through as
   * the client sent it must not be read: the client would choose its value. `x-forwarded-host` replaces `Host` where it is decided
   * which hostname is asked for. `x-forwarded-port` is the port of an authority without one. `forwarded` (RFC 7239) says all of it
   * and excludes the others. Default: all `x-forwarded-*` of these, and `forwarded` for a request that has none of them.
   */
  readonly forwardedHeaders?: readonly ForwardedHeader[]
  /**
   * With `true`, every connection must come from a trusted proxy and begin with a header of the PROXY protocol, version 1 or 2,
   * which says who the client is; any other connection is closed without a response, and reported. `forwardedHeaders` are then
   * read only if that client is itself a trusted proxy. Default: false.
   */
  readonly proxyProtocol?: boolean
  /**
   * How much of the host one client, one project and one machine may have at a time. What is beyond is refused for that one alone,
   * with an event of the router: 429 `CLIENT_LIMITED`, 503 `PROJECT_LIMITED`, 503 `MACHINE_LIMITED`. Unless `trustedProxies` is
   * given (`[]`: there is none), bounds per client are off, with an event, while most requests come from one private address.
   */
  readonly bounds?: Bounds
  /**
   * Bounds of the engine. The defaults differ from the engine's own where machines are not on loopback, and in `minBodyRate`: 240
   * bytes a second, unless the port's settings say another one.
   */
  readonly limits?: Partial<Limits>
  /**
   * Whether the host is to be given requests, for {@link healthCheckPath}: false gives 503 there. Requests are served all the same.
   * For a store that loads its routes first. Default: until the host stops.
   */
  readonly isReady?: () => boolean
  /** The engine's events: one for each request when it is over, with bytes, and errors beside them. */
  readonly onEvent?: (event: EngineEvent) => void
}

/** A router that takes connections: by `listen`, or from servers of the caller's, as `net.createServer(host.connection)`. */
export interface NodeHost extends Engine {
  /**
   * Opens a listener and follows what providers report of their machines until it is closed. Resolves when it accepts
   * connections; `port` 0, the default, takes a free one, and without `hostname` it listens on every address. With `tls`, a
   * server that does not listen itself (`createServer({ cert, key })` of node:tls), it is HTTPS, and with `ALPNProtocols: ["h2",
   * "http/1.1"]` of that server also HTTP/2. Rejects if it cannot listen, and with a `TypeError` for an option that is unknown or
   * invalid.
   */
  readonly listen: (options?: {
    readonly port?: number
    readonly hostname?: string
    readonly tls?: TlsServer
  }) => Promise<Listening>
}

/** An open listener. */
export interface Listening {
  readonly port: number
  /**
   * Stops the whole host, with every listener that it has, so that no request fails behind a load balancer. At once
   * {@link healthCheckPath} gives 503, and each response ends its connection. After `graceMs` (default 7 000, at most 70 % of
   * `deadlineMs`: longer than three checks of HAProxy, 2 s apart) listeners and idle connections close, and in-flight requests
   * finish; at `deadlineMs` (default 10 000) the rest is ended, WebSockets with 1001. `deadlineMs: 0` ends everything at once.
   */
  readonly close: (options?: { readonly deadlineMs?: number; readonly graceMs?: number }) => Promise<void>
}

/**
 * The path of the health check: `GET` without a `Host` or with an IP address for one, as load balancers ask. 200, or 503 while the
 * host stops. No route is hidden, because an IP address is never one.
 */
export const healthCheckPath = "/__ingress/health"

/** Machines are a network away, and many. */
const limits = {
  connectTimeoutMs: 10_000,
  poolIdleTimeoutMs: 60_000,
  maxPools: 10_000,
  minBodyRate: 240,
} satisfies Partial<Limits>

/**
 * Mounts a router on sockets. Opens nothing until `listen`.
 *
 * @throws {TypeError} naming the option that is wrong or unknown, and what is accepted
 */
export const serveNode = (router: Router, options: NodeOptions = {}): NodeHost => {
  checkOptions("serveNode", options, {
    fallback: accept.function,
    trustedProxies: accept.array(accept.string),
    forwardedHeaders: accept.array(accept.oneOf(...forwardedHeaderNames)),
    proxyProtocol: accept.boolean,
    bounds: accept.object,
    limits: accept.object,
    isReady: accept.function,
    onEvent: accept.function,
  })
  checkBounds("serveNode", options.bounds ?? {})
  const problem = trustProblem(options)
  if (problem !== undefined) throw new TypeError(`serveNode: ${problem}`)
  const { trustedProxies, forwardedHeaders, proxyProtocol = false } = options
  const program = programOf(router)
  program.balancing.balancer ??= balancer(program)
  const identityOf = identityReader(trustedProxies && { trustedProxies, forwardedHeaders }, program.publicPorts)
  const { headerNames, errors } = program
  const report = (tag: ForwardErrorTag, cause: unknown): void => {
    try {
      options.onEvent?.(errorEvent(tag, cause))
    } catch {
      // A log that fails must not fail the request.
    }
  }
  /** Of what could not be understood as a request nothing is known but how a response is to look. */
  const askedRequest = (request: IncomingRequest | undefined, unread?: HeaderList): AskedRequest => {
    if (request === undefined) return { method: "GET", host: "", headers: unread ?? [], requestId: nextRequestId() }
    const { method, headers } = request.head
    return { method, host: identityOf(request).host, headers, requestId: request.id }
  }
  const failure = (
    tag: ForwardErrorTag,
    request: IncomingRequest | undefined,
    unread?: HeaderList,
  ): GeneratedResponse => errors.forRow(tag, forwardErrors[tag], askedRequest(request, unread))

  const fallback = async (request: IncomingRequest, identity: ClientIdentity): Promise<GeneratedResponse> => {
    if (options.fallback === undefined)
      return errors.forRow("RouteNotFound", routerErrors.RouteNotFound, askedRequest(request))
    const made = requestFrom(request, identity, { headerNames, body: true })
    // The engine lets no method pass that Fetch refuses.
    if (made === undefined)
      return errors.forRow("HostnameMalformed", routerErrors.HostnameMalformed, askedRequest(request))
    const { clientAddress } = identity
    try {
      const response: unknown = await options.fallback(made, {
        clientAddress,
        peerAddress: clientAddressOf(request.peerAddress),
      })
      if (!isResponse(response)) throw new TypeError(`fallback must give a Response, got ${kindOf(response)}`)
      return responseOf(response)
    } catch (cause) {
      report("ProxyFailed", cause)
      return failure("ProxyFailed", request)
    }
  }

  const serve = (request: IncomingRequest, identity: ClientIdentity): Decision | Promise<Decision> => {
    const held = bounds.enter(identity, request.head.upgrade)
    if (held === undefined) return failure("ClientLimited", request)
    request.onOver(() => held.release())
    return serveExchange(program, request, identity, held, access, { failure, fallback })
  }

  const engine = createEngine({
    onRequest: (request) => {
      // Before the bounds: whether this process takes requests is asked of every one that is full, too.
      if (request.head.target === healthCheckPath && isHealthCheck(request))
        return healthResponse(engine.draining() ? "draining" : options.isReady?.() === false ? "starting" : "ok")
      const arrived = program.hops?.arrived({
        method: request.head.method,
        path: request.head.target,
        header: (lowerName) => headerValue(request.head.headers, lowerName),
      })
      return arrived === undefined
        ? serve(request, identityOf(request))
        : arrived.then((hop) => serve(request, hop === undefined ? identityOf(request) : { ...hop, hop }))
    },
    failure: (tag, request, _, unread) => failure(tag, request, unread),
    admission: {
      admit: (remoteAddress) => bounds.admit(remoteAddress),
      release: (remoteAddress) => bounds.release(remoteAddress),
    },
    headerNames,
    limits: { ...limits, ...options.limits },
    ...(proxyProtocol ? { proxyProtocol: { trustedCidrs: trustedProxies! } } : {}),
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
  })

  const bounds = hostBounds(options.bounds ?? {}, {
    limits: engine.limits,
    isProxy: trustedProxies && cidrMatcher("serveNode: trustedProxies", trustedProxies),
    report: program.report,
  })
  const access = openAccess(program)
  const listeners = new Set<Server>()

  return {
    ...engine,
    listen: async (given = {}) => {
      checkOptions("listen", given, { port: accept.integer(0, 65_535), hostname: accept.string, tls: isTlsServer })
      const { port = 0, hostname, tls } = given
      return new Promise((resolve, reject) => {
        const watching = new AbortController()
        const server = createServer(
          { noDelay: true },
          tls === undefined ? engine.connection : engine.secureConnection(tls),
        )
        server.once("error", reject)
        server.listen({ port, ...(hostname === undefined ? {} : { host: hostname }) }, () => {
          server.off("error", reject)
          // What goes wrong with accepting later (EMFILE) must not end the process.
          server.on("error", (cause) => report("Overloaded", cause))
          listeners.add(server)
          server.once("close", () => listeners.delete(server))
          void program.watch(watching.signal)
          resolve({
            port: (server.address() as AddressInfo).port,
            close: async (closing = {}) => {
              checkOptions("close", closing, { deadlineMs: accept.number(0), graceMs: accept.number(0) })
              const { deadlineMs = 10_000, graceMs = defaultGraceMs(deadlineMs) } = closing
              await engine.drain({ deadlineMs, graceMs, listeners: [...listeners] })
              watching.abort()
            },
          })
        })
      })
    },
  }
}

/** Not by what a proxy says of the request: a check is the proxy's own. */
const isHealthCheck = ({ head: { method, host } }: IncomingRequest): boolean =>
  method === "GET" && /^(?:(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?|\[[\da-f:.]+\](?::\d+)?)?$/i.test(host)

/** A server of node:https is one of node:tls, too, but takes the requests for itself. */
const isTlsServer = (value: unknown) =>
  value instanceof TlsServer && !("requestTimeout" in value) ? undefined : "a server of node:tls"

/** What is wrong with options of which each would be right alone. */
const trustProblem = (options: NodeOptions): string | undefined => {
  const { trustedProxies = [], forwardedHeaders, proxyProtocol = false } = options
  if (trustedProxies.length === 0) {
    if (proxyProtocol)
      return "proxyProtocol needs trustedProxies: whoever sends its header chooses the client's address"
    return forwardedHeaders && "forwardedHeaders needs trustedProxies: they are read of nobody else"
  }
  if (forwardedHeaders === undefined) return undefined
  if (forwardedHeaders.includes("forwarded") && forwardedHeaders.length > 1)
    return 'forwardedHeaders must not name "forwarded" beside others: where they disagree, one would have to be guessed'
  return forwardedHeaders.length === 0 && !proxyProtocol
    ? "forwardedHeaders must name a field: without it and proxyProtocol, nothing says who the client is"
    : undefined
}
