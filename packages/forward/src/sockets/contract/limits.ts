/** Limits of the engine. Times in ms, where 0 disables the time-out; sizes in bytes. */
export interface Limits {
  /** From the first byte of a request, or the opening of the connection, to the end of its head. 15 000: slow heads are an attack. */
  readonly headersTimeoutMs: number
  /** Without any byte of a request's body. 60 000: an upload may last, but it must progress. */
  readonly bodyIdleTimeoutMs: number
  /**
   * The slowest body of a request, in bytes a second: on average over the time in which it was waited for, after a grace. A body
   * whose response has begun is exempt. 0: none, because a router's bodies come as slowly as its clients send them, and it
   * knows which ports may be slow; `serveNode` has 240, as Kestrel.
   */
  readonly minBodyRate: number
  /** How long a body may be slower than that at its beginning. 5 000. */
  readonly minBodyRateGraceMs: number
  /** Between two requests of a connection. 75 000: longer than our router keeps its side, so that a request never meets a connection that is being closed. */
  readonly keepAliveTimeoutMs: number
  /** Until a TCP (and TLS) connection upstream. 1 000 on loopback, where a closed port is to be an instant 502. */
  readonly connectTimeoutMs: number
  /** Until the head of a response. 0: development servers compile for minutes, and the router owns the 504. */
  readonly upstreamHeadersTimeoutMs: number
  /** Without any byte of a response's body, unless it is `text/event-stream` or gRPC; also of a client that reads nothing. 300 000. */
  readonly upstreamIdleTimeoutMs: number
  /** A free connection upstream. 4 000: apps close theirs after 5 s (node:http), and we must be first. */
  readonly poolIdleTimeoutMs: number
  /** Of a WebSocket without any byte of either side. 0: applications have heartbeats of their own, TCP keep-alive finds dead peers. */
  readonly tunnelIdleTimeoutMs: number
  /** Of a UDP tunnel that ends here, without a datagram of either side. 120 000, the least that RFC 4787 §4.3 allows a NAT. */
  readonly datagramIdleTimeoutMs: number
  /** After how long without a byte a tunnel that ends here sends a ping. 30 000: load balancers close after 60 s and more. */
  readonly tunnelPingMs: number
  /** From the end of one side of a WebSocket to the end of the other. 30 000. */
  readonly tunnelLingerMs: number
  /** From the last byte of a connection's last response to the client's end, while what it still sends is thrown away. 2 000. */
  readonly lingerMs: number
  /** Of a request's head, start line included. 65 536: above what any hop before us lets through. */
  readonly maxRequestHead: number
  /** The same of a response's. 65 536. */
  readonly maxResponseHead: number
  /** Fields in a head. 1 000, as node:http. */
  readonly maxFields: number
  /** Bytes of a request target. 32 768. */
  readonly maxTarget: number
  /** Chunk extensions and trailers of one body, in all. 16 384 (CVE-2023-39326). */
  readonly maxChunkOverhead: number
  /** Interim responses before a final one. 16. */
  readonly maxInterim: number
  /**
   * Open connections from clients, at most 15/32 of the process's descriptors (`ulimit -n`). Above it, idle ones are closed, and if
   * there are none, a new one gets a 503 and is closed. 10 000.
   */
  readonly maxConnections: number
  /**
   * Connections upstream, free ones and WebSockets included, at most 15/32 of the process's descriptors. Above it, free ones are
   * closed, and if there are none, a request gets a 503. 10 000.
   */
  readonly maxUpstreamConnections: number
  /** Connections to one pool, WebSockets not counted; above it 503. 1 024: long polls and event streams hold one each. */
  readonly maxConnectionsPerPool: number
  /** Requests on one connection upstream before it is closed. 1 000. */
  readonly maxRequestsPerConnection: number
  /** Requests in flight on one connection of HTTP/2, WebSockets included; above it a stream is refused (RFC 9113 §5.1.2). 100. */
  readonly maxStreams: number
  /**
   * Streams of one connection of HTTP/2 that its client resets, or that break a rule, before their response is complete: so many in
   * 30 s, and one for each that is complete. Above it the connection ends (CVE-2023-44487, CVE-2025-8671). 200.
   */
  readonly maxStreamResets: number
  /** Frames of one connection of HTTP/2 that ask for nothing, as PING, SETTINGS and PRIORITY, counted likewise. 1 000. */
  readonly maxControlFrames: number
  /**
   * For the client of a connection of HTTP/2 to take a complete response, while more than 256 KiB of such wait there: they are in no bound
   * any more. 10 000.
   */
  readonly unsentTimeoutMs: number
  /** Pools with open connections; above it the free connections of one pool are closed. 256: more ports than a machine has servers. */
  readonly maxPools: number
}

/** The limits that hold where an engine is not given others. The reasons are at each field of `Limits`. */
export const defaultLimits: Limits = {
  headersTimeoutMs: 15_000,
  bodyIdleTimeoutMs: 60_000,
  minBodyRate: 0,
  minBodyRateGraceMs: 5_000,
  keepAliveTimeoutMs: 75_000,
  connectTimeoutMs: 1_000,
  upstreamHeadersTimeoutMs: 0,
  upstreamIdleTimeoutMs: 300_000,
  poolIdleTimeoutMs: 4_000,
  tunnelIdleTimeoutMs: 0,
  datagramIdleTimeoutMs: 120_000,
  tunnelPingMs: 30_000,
  tunnelLingerMs: 30_000,
  lingerMs: 2_000,
  maxRequestHead: 65_536,
  maxResponseHead: 65_536,
  maxFields: 1_000,
  maxTarget: 32_768,
  maxChunkOverhead: 16_384,
  maxInterim: 16,
  maxConnections: 10_000,
  maxUpstreamConnections: 10_000,
  maxConnectionsPerPool: 1_024,
  maxRequestsPerConnection: 1_000,
  maxStreams: 100,
  maxStreamResets: 200,
  maxControlFrames: 1_000,
  unsentTimeoutMs: 10_000,
  maxPools: 256,
}
