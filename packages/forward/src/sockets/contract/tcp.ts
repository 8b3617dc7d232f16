import type { Server, Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { ClientHello } from "./client-hello.ts"
import type { TlsAlert } from "../tcp/tls-alert.ts"
import type { ConnectionAdmission } from "./engine.ts"
import type { ErrorEvent } from "./events.ts"

/** Limits of a TCP engine. Times in ms, where 0 disables the time-out; sizes in bytes. */
export interface TcpLimits {
  /** From the opening of a connection to the end of its ClientHello, or of its PROXY header. 10 000: a client sends it at once. */
  readonly helloTimeoutMs: number
  /** Of a ClientHello with its record headers. 16 384, which is also the most. */
  readonly maxHello: number
  /** Until a connection to the app. 10 000. */
  readonly connectTimeoutMs: number
  /** Without any byte of either side. 3 600 000: pools of database clients keep connections that say nothing; keep-alive finds dead peers. */
  readonly idleTimeoutMs: number
  /** The same after one side has ended. 300 000: the other one may have something to finish. */
  readonly halfClosedTimeoutMs: number
  /** From the refusal of a connection to its end, while what it still sends is thrown away. 2 000. */
  readonly lingerMs: number
  /**
   * Open connections from clients, at most 15/32 of the process's descriptors (`ulimit -n`). Above it, those that have said nothing yet
   * are closed, the oldest first; and if there are none, the new one is. 10 000.
   */
  readonly maxConnections: number
}

/** The limits that hold where a TCP engine is not given others. The reasons are at each field of {@link TcpLimits}. */
export const defaultTcpLimits: TcpLimits = {
  helloTimeoutMs: 10_000,
  maxHello: 16_384,
  connectTimeoutMs: 10_000,
  idleTimeoutMs: 3_600_000,
  halfClosedTimeoutMs: 300_000,
  lingerMs: 2_000,
  maxConnections: 10_000,
}

/** A connection as it arrived, before it is known where it goes. Nothing was read of it but the ClientHello. */
export interface IncomingConnection {
  /** Names the connection in events, unique among all processes. */
  readonly id: string
  /** Whom it is for: the name of its ClientHello, or what the listener stands for. */
  readonly hostname: string
  /** Absent where the listener reads none. */
  readonly hello: ClientHello | undefined
  /** As of `IncomingRequest`: the peer's address, or the client's by the PROXY protocol. Empty when nobody says it. */
  readonly remoteAddress: string
  /** The client's port; 0 when nobody says it, and for a client that a PROXY header names. */
  readonly remotePort: number
  /** The IP address of whoever connected, as a balancer; empty when the socket has none. */
  readonly peerAddress: string
  /** The address that the peer connected to; empty when the socket has none. */
  readonly localAddress: string
  /** The port that the peer connected to; 0 when the socket has none. */
  readonly localPort: number
  /** Aborted when the client leaves before it is connected to anything. Made when first read. */
  readonly signal: AbortSignal
  /** Calls `listener` when `signal` is aborted, or now if it is, without making one. */
  onAbort(listener: () => void): void
  /** Resolves when the connection is over, however it ended. */
  over(): Promise<void>
  /** Calls `listener` when `over` resolves, or now if it is. */
  onOver(listener: () => void): void
  /** Gives the function that breaks the connection off, because the visitor's access was withdrawn. */
  withdrawal(): () => void
}

/**
 * What becomes of a connection:
 *
 * - `relay`: its bytes go to this stream and back, untouched, after `before`;
 * - `refuse`: it ends. A TLS client is sent the alert, any other one is reset. `code` and `reason` are for the event;
 * - `passOn`: it is somebody else's from now on, who gets the socket as if nothing had been read of it.
 */
export type ConnectionDecision =
  | { readonly relay: Duplex; readonly before?: Uint8Array }
  | { readonly refuse: TlsAlert; readonly reason: string; readonly code?: string }
  | { readonly passOn: (socket: Socket) => void }

/** What `createTcpEngine` takes. */
export interface TcpEngineOptions {
  /** Called once per connection; decides what becomes of it. What it throws or rejects with is an error event, and the connection ends. */
  readonly onConnection: (connection: IncomingConnection) => ConnectionDecision | Promise<ConnectionDecision>
  readonly limits?: Partial<TcpLimits>
  /** As of `createEngine`: with it every connection must begin with a PROXY header. */
  readonly proxyProtocol?: { readonly trustedCidrs: readonly string[] }
  /** Decides by a client's address whether another connection of it is served. Default: each is. */
  readonly admission?: ConnectionAdmission
  /** Called once per connection when it is over, and for errors beside. What it throws is ignored. */
  readonly onEvent?: (event: TcpEvent) => void
}

/** One line of an access log, made when a connection is over. Holds no byte of it. */
export interface ConnectionEvent {
  readonly type: "connection"
  readonly id: string
  /** Whom it was for; empty if that was never known. */
  readonly hostname: string
  /** What the client offered by ALPN. */
  readonly alpn: readonly string[]
  readonly remoteAddress: string
  readonly localPort: number
  /** Bytes from the client to the app, its ClientHello included. */
  readonly bytesIn: number
  /** The same to the client. */
  readonly bytesOut: number
  readonly durationMs: number
  /**
   * How it ended. `closed`: both sides ended it. `reset`: one of them broke it off. `refused`: before it was connected, see `alert`. `left`:
   * the client went before it was connected. `timeout`: nothing came for too long. `drained`: the engine was stopped. `withdrawn`: the
   * visitor's access was.
   */
  readonly end: "closed" | "reset" | "refused" | "left" | "timeout" | "drained" | "withdrawn"
  /** The alert that a refused client was sent. */
  readonly alert?: TlsAlert
  /** The stable code, where the router refused it. */
  readonly code?: string
  /** Why it was refused, as a sentence for logs. */
  readonly reason?: string
}

/** What `onEvent` of a TCP engine is called with. */
export type TcpEvent = ConnectionEvent | ErrorEvent

/** How a TCP engine stops. */
export interface TcpDrainOptions {
  /** Until what is left is ended, in ms from the call. */
  readonly deadlineMs: number
  /** Closed at once, when nobody waits to be accepted. */
  readonly listeners?: readonly Server[]
}

/** TCP on connections that somebody else accepts, passed through untouched. */
export interface TcpEngine {
  /**
   * Takes one accepted connection, which must begin with a ClientHello that names whom it is for: `net.createServer({ allowHalfOpen: true },
   * engine.byServerName)`. Without that option, Bun and Deno end a connection when its client has ended its own side.
   */
  readonly byServerName: (socket: Socket) => void
  /** Takes accepted connections that are all for one hostname, whatever they say. */
  readonly to: (hostname: string) => (socket: Socket) => void
  /**
   * Stops: closes `listeners` and refuses new connections; one that has come already has a second to say whom it is for. Then waits until
   * all are over, and resets what is left at the deadline, so that nobody takes a part for the whole. Resolves when no connection is open.
   *
   * @throws {TypeError} (a rejection) for an option that is unknown, missing or invalid
   */
  readonly drain: (options: TcpDrainOptions) => Promise<void>
  /** Whether it stops. */
  readonly draining: () => boolean
  /** Open connections from clients. */
  readonly connections: () => number
  /** The limits in force. */
  readonly limits: TcpLimits
}
