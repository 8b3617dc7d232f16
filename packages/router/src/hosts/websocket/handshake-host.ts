import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { EngineEvent, Limits } from "@project-ingress/forward/sockets"
import { forwardErrors } from "@project-ingress/forward"
import type { AskedRequest } from "../../error-response.ts"
import { routerErrors } from "../../error-rows.ts"
import { ProxyFailed } from "../../errors.ts"
import type { VisitorRequest } from "../../program/sender.ts"
import type { Router } from "../../router-options.ts"
import type { Bounds } from "../bounds-options.ts"
import { fetchHandler, responseFrom, visitorRequest } from "../fetch.ts"
import { isResponse } from "../request-response.ts"
import { routerEngine } from "../router-engine.ts"
import { shakeHands } from "./shake-hands.ts"
import type { HandshakeResult } from "./shake-hands.ts"

/** What {@link serveBun} and {@link serveDeno} take, beside a fallback. */
export interface WebSocketOptions {
  /** The largest message of a WebSocket, both ways, in bytes. 16 777 216. */
  readonly maxMessageBytes?: number
  /** How many WebSockets one client, one project and one machine may have at a time: as of `serveNode`. Nothing else is counted. */
  readonly bounds?: Bounds
  /** Bounds of the engine that carries WebSockets to machines: as of `serveNode`. */
  readonly limits?: Partial<Limits>
  /** The engine's events: one for each WebSocket when it is over, and errors beside them. */
  readonly onEvent?: (event: EngineEvent) => void
}

/** How a host stops. */
export interface Stopping {
  /**
   * Stops taking WebSockets: a new one gets 503. At `deadlineMs` (default 10 000) those that are open are closed with 1001. Resolves when
   * none is open. Requests go on: they are for the runtime's server to stop, after this.
   */
  readonly close: (options?: { readonly deadlineMs?: number }) => Promise<void>
}

/** A request as its runtime's server knows it. */
export interface Arrival {
  readonly remoteAddress: string | undefined
  readonly localPort: number
}

/** The router under a runtime's own HTTP server. */
export interface HandshakeServer extends Stopping {
  /** The response to a request; `undefined` if its hostname is not the router's. */
  readonly respond: (request: Request, arrival: Arrival) => Promise<Response | undefined>
  readonly shakeHands: (request: Request, arrival: Arrival) => Promise<HandshakeResult>
  readonly notFound: (request: Request) => Response
  /** The response to a request whose fallback failed. */
  readonly failed: (request: Request, cause: unknown) => Response
}

export const webSocketChecks = {
  maxMessageBytes: accept.integer(125),
  bounds: accept.object,
  limits: accept.object,
  onEvent: accept.function,
}

/** Bun's own bound. */
const MAX_MESSAGE_BYTES = 16_777_216

/** @throws {TypeError} for a bound or a limit that is unknown or invalid */
export const handshakeServer = (owner: string, router: Router, options: WebSocketOptions): HandshakeServer => {
  const { maxMessageBytes = MAX_MESSAGE_BYTES, ...engineOptions } = options
  const { engine, program, own, report } = routerEngine(router, engineOptions, {
    owner,
    fallback: (request) => {
      unmatched.add(request.socket)
      return own("RouteNotFound", request)
    },
  })
  /** Handshakes for hostnames that are not the router's: their responses are for nobody. */
  const unmatched = new WeakSet<object>()
  const handshakes = { program, engine, maxMessageBytes, isUnmatched: (message: object) => unmatched.has(message) }
  const fetchers = new WeakMap<Request, string | undefined>()
  const known = { ...program, clientAddress: program.clientAddress ?? ((request: Request) => fetchers.get(request)) }
  const fetch = fetchHandler(known)
  const visitorOf = (request: Request, arrival: Arrival): VisitorRequest & AskedRequest => {
    fetchers.set(request, arrival.remoteAddress)
    return visitorRequest(request, known)
  }
  return {
    respond: (request, { remoteAddress }) => {
      fetchers.set(request, remoteAddress)
      return fetch(request)
    },
    shakeHands: async (request, arrival) => {
      try {
        return await shakeHands(handshakes, visitorOf(request, arrival), arrival.localPort)
      } catch (cause) {
        const asked = { method: request.method, host: "", requestId: "" }
        const { replaced, response } = program.failed(new ProxyFailed({ cause }), asked, () => request)
        return { _tag: "Refused", response: replaced ?? responseFrom(response, request) }
      }
    },
    notFound: (request) =>
      responseFrom(
        program.errors.forRow("RouteNotFound", routerErrors.RouteNotFound, visitorRequest(request, known)),
        request,
      ),
    failed: (request, cause) => {
      report("ProxyFailed", cause)
      const asked = visitorRequest(request, known)
      return responseFrom(program.errors.forRow("ProxyFailed", forwardErrors.ProxyFailed, asked), request)
    },
    close: async (closing = {}) => {
      checkOptions("close", closing, { deadlineMs: accept.number(0) })
      await engine.drain({ deadlineMs: closing.deadlineMs ?? 10_000 })
    },
  }
}

/** Whether a request is a WebSocket handshake: without a body, which none has (RFC 6455 §4.1). */
export const isHandshake = ({ method, headers }: Request): boolean =>
  method === "GET" &&
  headers.get("upgrade")?.toLowerCase() === "websocket" &&
  !headers.has("transfer-encoding") &&
  (headers.get("content-length") ?? "0") === "0"

/** What a fallback gave, which must be a response. */
export const checkedResponse = (response: unknown): Response => {
  if (!isResponse(response)) throw new TypeError("fallback must give a Response")
  return response
}
