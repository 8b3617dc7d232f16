/** A router on sockets, for Node, Bun and Deno: HTTP/1.1 and WebSockets, without node:http between. */
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { errorResponse, forwardErrors, headerValue, defaultHeaderNames, prefersHtml } from "@project-ingress/forward"
import type { GeneratedResponse } from "@project-ingress/forward"
import { createEngine } from "@project-ingress/forward/sockets"
import type { Engine, EngineEvent, IncomingRequest, Limits, Decision } from "@project-ingress/forward/sockets"
import { pseudonym } from "../program/handle.ts"
import { routerErrors } from "../error-rows.ts"
import { requestFrom, answerFrom } from "./request-response.ts"
import { serveExchange } from "./sockets.ts"
import type { Router } from "../router.ts"

/** What {@link serveNode} takes beside a router. */
export interface NodeOptions {
  /** Serves hostnames that are not the router's. Cannot answer a WebSocket handshake. A throw is a 500. Default: 404. */
  readonly fallback?: (request: Request) => Response | Promise<Response>
  /** Bounds of the engine; ours differ from its own where machines are not on loopback. */
  readonly limits?: Partial<Limits>
  /** The engine's events: one of each exchange when it is over, with octets, and trouble beside one. */
  readonly onEvent?: (event: EngineEvent) => void
}

/** A router that takes connections: `net.createServer(host.connection)`, or a TLS server's `secureConnection`. */
export interface NodeHost extends Engine {
  /**
   * Opens a listener, and follows what providers tell of their machines until it is closed. Resolves when it accepts; `port` 0, the default, takes
   * a free one. Rejects when it cannot.
   */
  readonly listen: (options?: { readonly port?: number; readonly hostname?: string }) => Promise<Listening>
}

/** An open listener. */
export interface Listening {
  readonly port: number
  /**
   * Accepts no more, lets requests at hand finish and ends the rest at the deadline. Default 10 000 ms. It is the whole host
   * that drains, with every listener that it has.
   */
  readonly close: (options?: { readonly deadlineMs?: number }) => Promise<void>
}

/** What a host responds itself: the engine's failures, and a hostname that nobody serves. */
const hostErrors = { RouteNotFound: routerErrors.RouteNotFound, ...forwardErrors }
type HostErrorTag = keyof typeof hostErrors

/** Machines are a network away, and many. */
const limits = {
  connectTimeoutMs: 10_000,
  poolIdleTimeoutMs: 60_000,
  maxPools: 10_000,
} satisfies Partial<Limits>

/** Mounts a router on sockets. Opens nothing until `listen`. */
export const serveNode = (router: Router, options: NodeOptions = {}): NodeHost => {
  const { headerNames: names = defaultHeaderNames } = router.options
  const failure = (tag: HostErrorTag, request: IncomingRequest | undefined): GeneratedResponse => {
    const list = request?.head.headers ?? []
    return errorResponse(hostErrors[tag], {
      headerNames: names,
      pseudonym,
      page: prefersHtml((lowerName) => headerValue(list, lowerName)),
    })
  }
  const foreign = async (request: IncomingRequest): Promise<GeneratedResponse> => {
    if (options.fallback === undefined) return failure("RouteNotFound", request)
    const made = requestFrom(request)
    if (made === undefined) return failure("MethodRefused", request)
    try {
      return answerFrom(await options.fallback(made))
    } catch (cause) {
      options.onEvent?.({ type: "error", tag: "ProxyFailed", cause })
      return failure("ProxyFailed", request)
    }
  }

  const onRequest = (request: IncomingRequest): Decision | Promise<Decision> =>
    serveExchange(router, request, { failure, foreign })

  const engine = createEngine({
    onRequest,
    failure,
    headerNames: names,
    limits: { ...limits, ...options.limits },
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
  })

  return {
    ...engine,
    listen: ({ port = 0, hostname } = {}) =>
      new Promise((resolve, reject) => {
        const closing = new AbortController()
        const server = createServer({ noDelay: true }, engine.connection)
        server.once("error", reject)
        server.listen({ port, ...(hostname === undefined ? {} : { host: hostname }) }, () => {
          server.off("error", reject)
          // What goes wrong with accepting later (EMFILE) must not end the process.
          server.on("error", (cause) => options.onEvent?.({ type: "error", tag: "Overloaded", cause }))
          void router.watch({ signal: closing.signal })
          resolve({
            port: (server.address() as AddressInfo).port,
            close: async ({ deadlineMs = 10_000 } = {}) => {
              closing.abort()
              server.close()
              await engine.drain({ deadlineMs })
            },
          })
        })
      }),
  }
}
