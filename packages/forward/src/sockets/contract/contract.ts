import type { Duplex } from "node:stream"
import type { ConnectionOptions } from "node:tls"
import type { GeneratedResponse } from "../../error-response.ts"
import type { ForwardErrorTag } from "../../error-rows.ts"
import type { HeaderList } from "../../header-list.ts"
import type { ResponseHop } from "../../response-headers.ts"
import type { HopHeaderNames } from "../../header-names.ts"
import type { RequestHead, ResponseHead } from "../../http1/head.ts"

/** A request as it arrived, never touched. */
export interface IncomingRequest {
  readonly head: RequestHead
  /** The peer's IP address; empty when the socket has none. */
  readonly remoteAddress: string
  /** The port the peer connected to; 0 when the socket has none. */
  readonly localPort: number
  /** True when the peer came by TLS. */
  readonly encrypted: boolean
  /**
   * The body as a stream, or `null` without one: for an answer made here. Whoever takes it must not answer with a
   * `Forward`.
   */
  body(): ReadableStream<Uint8Array> | null
  /** Aborted when the client leaves before its answer is complete. Made when first asked for. */
  readonly signal: AbortSignal
  /** Resolves when the exchange, or the WebSocket that came of it, is over, however it ended. */
  over(): Promise<void>
}

/** Where a request goes, as data. */
export interface UpstreamAddress {
  /**
   * Names the pool of connections that may be reused: the machine's incarnation and the port. Two machines must never
   * share one, even at the same address, because addresses are recycled (CVE-2026-6734).
   */
  readonly pool: string
  /** A hostname or IP address, or `loopback`: the literals 127.0.0.1 and ::1, raced, without any look-up. */
  readonly host: string
  readonly port: number
  /** Present for TLS: options for node:tls; the server's name defaults to `host`. */
  readonly tls?: ConnectionOptions
}

/** What to do with a request: send it on. */
export interface ForwardDirective {
  readonly origin: UpstreamAddress
  /** All fields of the outgoing head but framing: what `requestHeaders` gave. */
  readonly headers: HeaderList
  /** The request target; default: as received. */
  readonly target?: string
  /** For the final answer and for 1xx. A function when it depends on the answer, as on whether it is stamped. */
  readonly response: ResponseHop | ((head: ResponseHead) => ResponseHop)
  /** Milliseconds to wait for the answer's head; 0 is for ever. Overrides the engine's limit. */
  readonly headersTimeoutMs?: number
  /**
   * Called with the head of the final answer, or of a 101, before any of it reaches the client. `undefined` lets it pass; anything else takes
   * its place, and the answer at hand is thrown away. Another `Forward` is possible only while `request.replayable`.
   */
  readonly onResponse?: (
    head: ResponseHead,
    request: ExchangeState,
  ) => Decision | undefined | Promise<Decision | undefined>
  /** Called when no answer came. `undefined` gives the engine's own answer for it. */
  readonly onFailure?: (
    failure: UpstreamError,
    request: ExchangeState,
  ) => Decision | undefined | Promise<Decision | undefined>
}

/** What a hook may know about the exchange so far. */
export interface ExchangeState {
  /** True when none of the request's body has been handed on, so that the request can be sent once more, elsewhere. */
  readonly replayable: boolean
}

/** Why no answer came. */
export interface UpstreamError {
  readonly tag: Extract<
    ForwardErrorTag,
    "PortClosed" | "UpstreamTimeout" | "UpstreamFailed" | "UpstreamMalformed" | "ProviderUnavailable"
  >
  /** `no` when the request certainly never reached an app. */
  readonly sent: "no" | "maybe"
  readonly cause: unknown
}

/** What a host decides about a request. */
export type Decision = ForwardDirective | GeneratedResponse

/** Tells the two apart. */
export const isForwardDirective = (outcome: Decision): outcome is ForwardDirective => "origin" in outcome

/** One line of an access log, made when an exchange is over. Holds no header and no body. */
export interface RequestEvent {
  readonly type: "exchange"
  readonly method: string
  readonly host: string
  readonly target: string
  /** The status sent; 499 when the client left before one, 0 when the connection broke off. */
  readonly status: number
  /** The stable code, when a proxy made the answer. */
  readonly code?: string
  readonly upgrade: boolean
  /** Octets of body from and to the client; for a WebSocket all octets after the handshake. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly durationMs: number
  readonly remoteAddress: string
  /** False when the body ended early or the connection was destroyed: the client saw a failure. */
  readonly complete: boolean
}

/** What went wrong without belonging to one exchange, or beside one. Never ends the process. */
export interface ErrorEvent {
  readonly type: "trouble"
  readonly tag: ForwardErrorTag
  readonly cause: unknown
}

export type EngineEvent = RequestEvent | ErrorEvent

export interface EngineOptions {
  /** Decides. What it throws or rejects with becomes a 500 and a trouble event. */
  readonly onRequest: (request: IncomingRequest) => Decision | Promise<Decision>
  /** The answer for a failure; `request` is absent when there was none to understand. */
  readonly failure: (tag: ForwardErrorTag, request: IncomingRequest | undefined) => GeneratedResponse
  readonly limits?: Partial<Limits>
  /** The hop's header names; trailers under them are dropped. */
  readonly headerNames?: HopHeaderNames
  readonly onEvent?: (event: EngineEvent) => void
}

/** Bounds of the engine. Times in ms, where 0 is for ever; sizes in octets. */
export interface Limits {
  /** From the first octet of a request, or the opening of the connection, to the end of its head. 15 000: slow heads are an attack. */
  readonly headersTimeoutMs: number
  /** Without any octet of a request's body. 60 000: an upload may last, but it must progress. */
  readonly bodyIdleTimeoutMs: number
  /** Between two requests of a connection. 75 000: longer than our router keeps its side, which avoids the race of both. */
  readonly keepAliveTimeoutMs: number
  /** Until a TCP (and TLS) connection upstream. 1 000 on loopback, where a closed port is to be an instant 502. */
  readonly connectTimeoutMs: number
  /** Until the head of an answer. 0: development servers compile for minutes, and the router owns the 504. */
  readonly upstreamHeadersTimeoutMs: number
  /** Without any octet of an answer's body, unless it is `text/event-stream`. 300 000. */
  readonly upstreamIdleTimeoutMs: number
  /** A free connection upstream. 4 000: apps close theirs after 5 s (node:http), and we must be first. */
  readonly poolIdleTimeoutMs: number
  /** Of a WebSocket. 0: applications have heartbeats of their own, TCP keep-alive finds dead peers. */
  readonly tunnelIdleTimeoutMs: number
  /** After one side of a WebSocket has ended, or a final answer while the request still comes in. 30 000 and 2 000. */
  readonly tunnelLingerMs: number
  readonly lingerMs: number
  /** Of a head, start line included. 65 536 each: above what any hop before us lets through. */
  readonly maxRequestHead: number
  readonly maxResponseHead: number
  /** Fields in a head. 1 000, as node:http. */
  readonly maxFields: number
  /** Octets of a request target. 32 768. */
  readonly maxTarget: number
  /** Chunk extensions and trailers of one body, in all. 16 384 (CVE-2023-39326). */
  readonly maxChunkOverhead: number
  /** Interim answers before a final one. 16. */
  readonly maxInterim: number
  /** Open connections from clients; above it new ones are closed at once. 10 000. */
  readonly maxConnections: number
  /** Connections to one pool, WebSockets not counted; above it 503. 1 024: long polls and event streams hold one each. */
  readonly maxConnectionsPerPool: number
  /** Requests on one connection upstream before it is closed. 1 000. */
  readonly maxRequestsPerConnection: number
  /** Pools remembered. 256: more ports than a machine has servers. */
  readonly maxPools: number
}

export interface Engine {
  /** Takes one accepted connection: `net.createServer(engine.connection)`, or a TLS server's `secureConnection`. */
  readonly connection: (socket: Duplex) => void
  /**
   * Takes no new requests, lets those at hand finish, and ends what is left (WebSockets among them) at the deadline.
   * Resolves when no connection is open. Closing the listener is the caller's.
   */
  readonly drain: (options: { readonly deadlineMs: number }) => Promise<void>
  /** Open connections from clients, WebSockets included. */
  readonly connections: () => number
}
