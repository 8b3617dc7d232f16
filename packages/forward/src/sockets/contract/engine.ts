import type { Server, Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { Server as TlsServer } from "node:tls"
import type { GeneratedResponse } from "../../generated-response.ts"
import type { ForwardErrorTag } from "../../error-rows.ts"
import type { HeaderList } from "../../header-list.ts"
import type { HopHeaderNames } from "../../header-names.ts"
import type { Decision, ForwardDirective } from "./decision.ts"
import type { EngineEvent } from "./events.ts"
import type { Limits } from "./limits.ts"
import type { MessageConnection, RequestMessage, RequestMessageHead, ResponseSink } from "./message.ts"
import type { IncomingRequest } from "./request.ts"

/** What `createEngine` takes. */
export interface EngineOptions {
  /** Called once per request; decides what becomes of it. What it throws or rejects with becomes a 500 and an error event. */
  readonly onRequest: (request: IncomingRequest) => Decision | Promise<Decision>
  /**
   * The response for a failure; `request` is absent when there was none to understand, `directive` when it was not sent on. `unread`
   * has the fields of a head that could not be read that say in what form a response is wanted, as `Accept`. If it
   * throws, or if its response or one of `onRequest` is invalid, that is an error event, and the client gets the response for
   * `ProxyFailed`, or a bare 500.
   */
  readonly failure: (
    tag: ForwardErrorTag,
    request: IncomingRequest | undefined,
    directive: ForwardDirective | undefined,
    unread: HeaderList,
  ) => GeneratedResponse
  readonly limits?: Partial<Limits>
  /** The hop's header names; trailers with them are dropped. Default `x-iterate-proxy-*`. */
  readonly headerNames?: HopHeaderNames
  /**
   * The PROXY protocol, versions 1 and 2. With it every connection must come from one of `trustedCidrs` and begin with its header
   * within `headersTimeoutMs`, which then says who the client is; any other connection is closed without a response, and
   * reported. It is never guessed whether a header is there: a client could send one. Default: connections have no such header.
   */
  readonly proxyProtocol?: { readonly trustedCidrs: readonly string[] }
  /** Decides by a client's address whether another connection of it is served. Default: each is. */
  readonly admission?: ConnectionAdmission
  /** Called once per request when it is over, and for errors beside. What it throws is ignored. */
  readonly onEvent?: (event: EngineEvent) => void
}

/** How an engine stops. */
export interface DrainOptions {
  /** Until what is left is ended, in ms from the call. */
  readonly deadlineMs: number
  /** How long kept connections and listeners stay open, in ms; at most `deadlineMs`. Default 0. */
  readonly graceMs?: number
  /** Closed after the grace, when nobody waits to be accepted. */
  readonly listeners?: readonly Server[]
}

/**
 * Bounds the connections of one client. Asked once a connection's client is known, before anything else is read of it; what it
 * throws is an error event, and the connection is served.
 */
export interface ConnectionAdmission {
  /** False: it is one too many, and gets the response for `ClientLimited`. */
  readonly admit: (remoteAddress: string) => boolean
  /** An admitted connection has closed. */
  readonly release: (remoteAddress: string) => void
}

/** HTTP/1.1 on connections that somebody else accepts, and HTTP/2 on those of TLS that agreed on it (ALPN `h2`). */
export interface Engine {
  /**
   * Takes one accepted connection: `net.createServer(engine.connection)`, or a TLS server's `secureConnection`. Not the latter
   * with the PROXY protocol, whose header comes before TLS: see `secureConnection`.
   */
  readonly connection: (socket: Duplex) => void
  /**
   * Takes accepted TCP connections whose TLS a server speaks that does not listen itself. The PROXY header, if there is to be
   * one, is read before the handshake: `net.createServer(engine.secureConnection(tls.createServer({ cert, key })))`.
   */
  readonly secureConnection: (server: TlsServer) => (socket: Socket) => void
  /**
   * Takes a request that another parser has read, as node:http2 or node:http, from a connection that the caller admits itself. From
   * here on it is a request like any other, with the same rules, limits and events; as many may be in flight as there may be
   * connections. A request is also taken while the engine drains, until the deadline.
   */
  readonly message: (connection: MessageConnection, head: RequestMessageHead, sink: ResponseSink) => RequestMessage
  /**
   * Stops, in steps. From now on `draining` is true and each response says `Connection: close`. For `graceMs` everything else is
   * as before, so that load balancers can find out, and the next request on a kept connection meets no end. Then `listeners` are
   * closed, and idle connections; in-flight requests finish, and at the deadline the rest is ended: WebSockets with 1001. Resolves
   * when no connection is open. Without `listeners` the caller has closed them before.
   *
   * @throws {TypeError} (a rejection) for an option that is unknown, missing or invalid
   */
  readonly drain: (options: DrainOptions) => Promise<void>
  /** Whether it stops: what a health check reports. */
  readonly draining: () => boolean
  /** Open connections from clients, WebSockets included. */
  readonly connections: () => number
  /** The limits in force: those given, the defaults of the others, and what the process's descriptors allow of them. */
  readonly limits: Limits
}
