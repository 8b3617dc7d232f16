/** A router on sockets, for Node, Bun and Deno: HTTP/1.1, HTTP/2 over TLS and WebSockets, without node:http between. */
import { createServer } from "node:net"
import { Server as TlsServer } from "node:tls"
import { accept, checkOptions, defaultGraceMs, healthResponse } from "@project-ingress/forward/internal"
import type { Engine, IncomingRequest } from "@project-ingress/forward/sockets"
import type { Router } from "../router-options.ts"
import { fallbackOf } from "./fallback.ts"
import type { FallbackOptions } from "./fallback.ts"
import { hostListeners } from "./host-listeners.ts"
import { engineOptionChecks, routerEngine } from "./router-engine.ts"
import type { RouterEngineOptions } from "./router-engine.ts"

export type { FallbackClient, FallbackOptions } from "./fallback.ts"
export type { RouterEngineOptions } from "./router-engine.ts"
export { mount } from "./mount/mount.ts"
export { nodeMiddleware } from "./mount/node-middleware.ts"
export type { NodeMiddleware } from "./mount/node-middleware.ts"
export type { Mounted, MountOptions } from "./mount/mount.ts"
export type { Bounds, ClientBounds, RequestBounds } from "./bounds-options.ts"
export type { ForwardedHeader } from "./client-identity.ts"

/** What {@link serveNode} takes beside a router. */
export interface NodeOptions extends RouterEngineOptions, FallbackOptions {
  /**
   * With `true`, every connection must come from a trusted proxy and begin with a header of the PROXY protocol, version 1 or 2,
   * which says who the client is; any other connection is closed without a response, and reported. `forwardedHeaders` are then
   * read only if that client is itself a trusted proxy. Default: false.
   */
  readonly proxyProtocol?: boolean
  /**
   * Whether the host is to be given requests, for {@link healthCheckPath}: false gives 503 there. Requests are served all the same.
   * For a store that loads its routes first. Default: until the host stops.
   */
  readonly isReady?: () => boolean
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

/**
 * Mounts a router on sockets. Opens nothing until `listen`.
 *
 * @throws {TypeError} naming the option that is wrong or unknown, and what is accepted
 */
export const serveNode = (router: Router, options: NodeOptions = {}): NodeHost => {
  checkOptions("serveNode", options, {
    fallback: accept.function,
    fallbackUpgrade: accept.function,
    ...engineOptionChecks,
    proxyProtocol: accept.boolean,
    isReady: accept.function,
  })
  const { proxyProtocol = false, trustedProxies } = options
  const host = routerEngine(router, options, {
    owner: "serveNode",
    fallback: (request, identity) => fallback(request, identity),
    first: (request) =>
      request.head.target === healthCheckPath && isHealthCheck(request)
        ? healthResponse(engine.draining() ? "draining" : options.isReady?.() === false ? "starting" : "ok")
        : undefined,
    proxyProtocol: proxyProtocol ? { trustedCidrs: trustedProxies ?? [] } : undefined,
  })
  const { engine, program, report } = host
  const fallback = fallbackOf(options, host)
  const listeners = hostListeners(program, report)

  return {
    ...engine,
    listen: async (given = {}) => {
      checkOptions("listen", given, { port: accept.integer(0, 65_535), hostname: accept.string, tls: isTlsServer })
      const { tls } = given
      const server = createServer(
        { noDelay: true },
        tls === undefined ? engine.connection : engine.secureConnection(tls),
      )
      const { port, close } = await listeners.open(server, given)
      return {
        port,
        close: async (closing = {}) => {
          checkOptions("close", closing, { deadlineMs: accept.number(0), graceMs: accept.number(0) })
          const { deadlineMs = 10_000, graceMs = defaultGraceMs(deadlineMs) } = closing
          await close((all) => engine.drain({ deadlineMs, graceMs, listeners: all }))
        },
      }
    },
  }
}

/** Not by what a proxy says of the request: a check is the proxy's own. */
const isHealthCheck = ({ head: { method, host } }: IncomingRequest): boolean =>
  method === "GET" && /^(?:(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?|\[[\da-f:.]+\](?::\d+)?)?$/i.test(host)

/** A server of node:https is one of node:tls, too, but takes the requests for itself. */
const isTlsServer = (value: unknown) =>
  value instanceof TlsServer && !("requestTimeout" in value) ? undefined : "a server of node:tls"
