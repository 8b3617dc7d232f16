/** A router on sockets, for Node, Bun and Deno: HTTP/1.1 and WebSockets, without node:http between. */
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { forwardErrors } from "@project-ingress/forward"
import type { ForwardErrorTag, GeneratedResponse } from "@project-ingress/forward"
import { accept, checkOptions, nextRequestId } from "@project-ingress/forward/internal"
import { createEngine } from "@project-ingress/forward/sockets"
import type { Engine, EngineEvent, IncomingRequest, Limits } from "@project-ingress/forward/sockets"
import type { AskedRequest } from "../error-response.ts"
import { routerErrors } from "../error-rows.ts"
import type { Router } from "../router-options.ts"
import { programOf } from "../router-program.ts"
import { requestFrom, responseOf } from "./request-response.ts"
import { serveExchange } from "./sockets.ts"

/** What {@link serveNode} takes beside a router. */
export interface NodeOptions {
  /**
   * Serves hostnames that are not the router's. It cannot accept a WebSocket. If it throws, the response is a 500. Default:
   * 404.
   */
  readonly fallback?: (request: Request) => Response | Promise<Response>
  /** Bounds of the engine. The defaults differ from the engine's own where machines are not on loopback. */
  readonly limits?: Partial<Limits>
  /** The engine's events: one for each request when it is over, with bytes, and errors beside them. */
  readonly onEvent?: (event: EngineEvent) => void
}

/** A router that takes connections: `net.createServer(host.connection)`, or a TLS server's `secureConnection`. */
export interface NodeHost extends Engine {
  /**
   * Opens a listener and follows what providers report of their machines until it is closed. Resolves when it accepts
   * connections; `port` 0, the default, takes a free one, and without `hostname` it listens on every address. Rejects if it
   * cannot listen, and with a `TypeError` for an option that is unknown or invalid.
   */
  readonly listen: (options?: { readonly port?: number; readonly hostname?: string }) => Promise<Listening>
}

/** An open listener. */
export interface Listening {
  readonly port: number
  /**
   * Accepts no more connections, lets in-flight requests finish and ends the rest at the deadline. Default 10 000 ms. It
   * drains the whole host, with every listener that it has.
   */
  readonly close: (options?: { readonly deadlineMs?: number }) => Promise<void>
}

/** Machines are a network away, and many. */
const limits = {
  connectTimeoutMs: 10_000,
  poolIdleTimeoutMs: 60_000,
  maxPools: 10_000,
} satisfies Partial<Limits>

/**
 * Mounts a router on sockets. Opens nothing until `listen`.
 *
 * @throws {TypeError} naming the option that is wrong or unknown, and what is accepted
 */
export const serveNode = (router: Router, options: NodeOptions = {}): NodeHost => {
  checkOptions("serveNode", options, { fallback: accept.function, limits: accept.object, onEvent: accept.function })
  const program = programOf(router)
  const { headerNames, errors } = program
  const failure = (tag: ForwardErrorTag, request: IncomingRequest | undefined): GeneratedResponse =>
    errors.forRow(tag, forwardErrors[tag], askedRequest(request))

  const fallback = async (request: IncomingRequest): Promise<GeneratedResponse> => {
    if (options.fallback === undefined)
      return errors.forRow("RouteNotFound", routerErrors.RouteNotFound, askedRequest(request))
    const made = requestFrom(request)
    if (made === undefined) return failure("MethodRefused", request)
    try {
      return responseOf(await options.fallback(made))
    } catch (cause) {
      options.onEvent?.({ type: "error", tag: "ProxyFailed", cause })
      return failure("ProxyFailed", request)
    }
  }

  const engine = createEngine({
    onRequest: (request) => serveExchange(program, request, { failure, fallback }),
    failure,
    headerNames,
    limits: { ...limits, ...options.limits },
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
  })

  return {
    ...engine,
    listen: async (given = {}) => {
      checkOptions("listen", given, { port: accept.integer(0, 65_535), hostname: accept.string })
      const { port = 0, hostname } = given
      return new Promise((resolve, reject) => {
        const watching = new AbortController()
        const server = createServer({ noDelay: true }, engine.connection)
        server.once("error", reject)
        server.listen({ port, ...(hostname === undefined ? {} : { host: hostname }) }, () => {
          server.off("error", reject)
          // What goes wrong with accepting later (EMFILE) must not end the process.
          server.on("error", (cause) => options.onEvent?.({ type: "error", tag: "Overloaded", cause }))
          void program.watch(watching.signal)
          resolve({
            port: (server.address() as AddressInfo).port,
            close: async (closing = {}) => {
              checkOptions("close", closing, { deadlineMs: accept.number(0) })
              const { deadlineMs = 10_000 } = closing
              watching.abort()
              server.close()
              await engine.drain({ deadlineMs })
            },
          })
        })
      })
    },
  }
}

/** Of what could not be understood as a request nothing is known. */
const askedRequest = (request: IncomingRequest | undefined): AskedRequest =>
  request === undefined
    ? { method: "GET", host: "", requestId: nextRequestId() }
    : { method: request.head.method, host: request.head.host, headers: request.head.headers, requestId: request.id }
