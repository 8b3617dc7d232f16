/** A router for TCP, for Node, Bun and Deno: by the name in a TLS ClientHello, or by the port of a listener. Nothing is terminated. */
import { createServer } from "node:net"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { accept, checkOptions, cidrMatcher } from "@project-ingress/forward/internal"
import { createTcpEngine, dialTcp, writeProxyHeader } from "@project-ingress/forward/sockets"
import type {
  ConnectionDecision,
  IncomingConnection,
  TcpDrainOptions,
  TcpEvent,
  TcpLimits,
} from "@project-ingress/forward/sockets"
import { balancer } from "../balancer.ts"
import { clientAddressOf } from "../program/sender.ts"
import type { Router } from "../router-options.ts"
import { programOf } from "../router-program.ts"
import type { RequestOutcome } from "../router-program.ts"
import { hostBounds } from "./bounds.ts"
import { checkBounds } from "./bounds-options.ts"
import type { Bounds } from "./bounds-options.ts"
import { hostListeners } from "./host-listeners.ts"
import { openAccess } from "./open-access.ts"
import { targetHostname } from "./target-hostname.ts"
import { reportError } from "./report-error.ts"
import { alertOf } from "./tunnel/tls-alert.ts"
import { trustProblem } from "./trust-problem.ts"
import { tunnelRefusal } from "./tunnel/tunnel-refusal.ts"
import { tunnelRequest, tunnelSender } from "./tunnel/tunnel-sender.ts"
import type { Dialing, TunnelResponse } from "./tunnel/tunnel-sender.ts"

export type { Bounds, ClientBounds, RequestBounds } from "./bounds-options.ts"

/** What {@link serveTcp} takes beside a router. */
export interface TcpOptions {
  /**
   * Gets a connection that begins with TLS and whose name is no port's with `protocol: "tcp"`, or that has no name, as if nothing had been
   * read of it: so that one listener on port 443 serves both. `serveNode(router).secureConnection(server)` takes it. Default: it is refused.
   */
  readonly otherwise?: (socket: Socket) => void
  /**
   * The balancers in front of this host, as ranges of their addresses, for `proxyProtocol` and for `bounds`. A range must hold balancers only, and
   * no client. Default: none.
   */
  readonly trustedProxies?: readonly string[]
  /**
   * With `true`, every connection must come from a trusted proxy and begin with a header of the PROXY protocol, version 1 or 2, which says
   * who the client is; any other connection is closed, and reported. Default: false.
   */
  readonly proxyProtocol?: boolean
  /**
   * How much of the host one client, one project and one machine may have at a time; a connection counts as a WebSocket. Beyond, a
   * connection is refused, with an event of the router. As of `serveNode`, whose counts are its own.
   */
  readonly bounds?: Bounds
  readonly limits?: Partial<TcpLimits>
  /** The engine's events: one for each connection when it is over, with bytes, and errors beside them. */
  readonly onEvent?: (event: TcpEvent) => void
}

/**
 * A router that takes TCP connections: by `listen`, or from servers of the caller's, as
 * `net.createServer({ allowHalfOpen: true }, host.byServerName)`.
 */
export interface TcpHost {
  /** Takes one accepted connection, which must begin with TLS: it goes where the name in its ClientHello leads. */
  readonly byServerName: (socket: Socket) => void
  /** Takes accepted connections that all go where a hostname leads, whatever they say. */
  readonly to: (hostname: string) => (socket: Socket) => void
  /**
   * Opens a listener, and follows what providers report of their machines until it is closed. `port` 0, the default, takes a free one, and
   * without `hostname` it listens on every address. With `to`, connections go where that hostname leads: for what is no TLS, or begins
   * with something else, as Postgres and MySQL do. Without it, they go where the name in their ClientHello leads. Rejects if it cannot
   * listen, and with a `TypeError` for an option that is unknown or invalid.
   */
  readonly listen: (options?: {
    readonly port?: number
    readonly hostname?: string
    readonly to?: string
  }) => Promise<TcpListening>
  /** Stops the host: see `close` of a listener. Without `listeners` the caller has closed them before. */
  readonly drain: (options: TcpDrainOptions) => Promise<void>
  /** Whether it stops. */
  readonly draining: () => boolean
  /** Open connections from clients. */
  readonly connections: () => number
  /** The limits in force. */
  readonly limits: TcpLimits
}

/** An open listener of a {@link TcpHost}. */
export interface TcpListening {
  readonly port: number
  /**
   * Stops the whole host, with every listener that it has: nobody is accepted any more, and connections may go on until `deadlineMs` (default
   * 10 000), at which they are reset. 0 resets them at once.
   */
  readonly close: (options?: { readonly deadlineMs?: number }) => Promise<void>
}

type TcpResponse = TunnelResponse<() => Duplex>

/** What `bounds` are parts of beside `maxConnections`: connections by TCP are in no pool. */
const NO_POOL = Infinity

/**
 * Mounts a router on TCP. Opens nothing until `listen`.
 *
 * A connection is decided as the handshake of a WebSocket for its hostname is: records, rules, policies by address, waking, balancing,
 * bounds and events are those of HTTP. Nobody can sign in, so that a private port is refused. TLS stays between client and app.
 *
 * @throws {TypeError} naming the option that is wrong or unknown, and what is accepted
 */
export const serveTcp = (router: Router, options: TcpOptions = {}): TcpHost => {
  checkTcpOptions(options)
  const { otherwise, trustedProxies, proxyProtocol = false, onEvent } = options
  const program = programOf(router)
  program.balancing.balancer ??= balancer(program)
  const access = openAccess(program)

  const dialing: Dialing<() => Duplex> = {
    get timeoutMs() {
      return engine.limits.connectTimeoutMs
    },
    direct: async (address, signal) => {
      const opened = await dialTcp(address, { timeoutMs: engine.limits.connectTimeoutMs, signal })
      return "tag" in opened ? opened : { open: () => opened, discard: () => void opened.destroy() }
    },
    tunnelled: (tunnel) => tunnel.open,
  }

  const decide = async (connection: IncomingConnection): Promise<ConnectionDecision> => {
    const isTls = connection.hello !== undefined
    if (connection.hostname === "") {
      if (otherwise !== undefined) return { passOn: otherwise }
      // RFC 8446 §9.2: of a server that requires the name.
      return { refuse: "missing_extension", reason: "the ClientHello has no server_name" }
    }
    const clientAddress = clientAddressOf(connection.remoteAddress)
    const visit = tunnelRequest(connection, { clientAddress, scheme: isTls ? "https" : "http", tunnel: "tcp" })
    if (otherwise !== undefined && isTls) {
      const { settings } = await program.explain(visit)
      if (settings?.protocol !== "tcp") return { passOn: otherwise }
    }
    const held = bounds.enter({ clientAddress }, true)
    if (held === undefined) {
      return { refuse: "access_denied", reason: "its client has as many as it may have", code: "CLIENT_LIMITED" }
    }
    connection.onOver(() => held.release())
    return program.run<TcpResponse, ConnectionDecision>(
      visit,
      tunnelSender({ program, access }, dialing, connection, visit, held),
      () => new Request(`https://${connection.hostname}/`),
      (outcome) => decisionOf(connection, outcome),
    )
  }

  const engine = createTcpEngine({
    onConnection: decide,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(proxyProtocol ? { proxyProtocol: { trustedCidrs: trustedProxies! } } : {}),
    admission: {
      admit: (remoteAddress) => bounds.admit(remoteAddress),
      release: (remoteAddress) => bounds.release(remoteAddress),
    },
    ...(onEvent === undefined ? {} : { onEvent }),
  })
  const bounds = hostBounds(options.bounds ?? {}, {
    limits: { maxConnections: engine.limits.maxConnections, maxConnectionsPerPool: NO_POOL },
    isProxy: trustedProxies && cidrMatcher("serveTcp: trustedProxies", trustedProxies),
    report: program.report,
  })
  const listeners = hostListeners(program, reportError(onEvent))
  const { byServerName, to, drain, draining, connections, limits } = engine

  return {
    byServerName,
    to: (hostname) => {
      checkOptions("to", { hostname }, { hostname: targetHostname }, { required: ["hostname"] })
      return to(hostname)
    },
    drain,
    draining,
    connections,
    limits,
    listen: async (given = {}) => {
      checkOptions("listen", given, { port: accept.integer(0, 65_535), hostname: accept.string, to: targetHostname })
      const onConnection = given.to === undefined ? byServerName : to(given.to)
      const server = createServer({ noDelay: true, allowHalfOpen: true }, onConnection)
      const { port, close } = await listeners.open(server, given)
      return {
        port,
        close: async (closing = {}) => {
          checkOptions("close", closing, { deadlineMs: accept.number(0) })
          await close((all) => drain({ deadlineMs: closing.deadlineMs ?? 10_000, listeners: all }))
        },
      }
    },
  }
}

/** What becomes of a connection by what a tunnel's handshake would have come to. */
const decisionOf = (connection: IncomingConnection, outcome: RequestOutcome<TcpResponse>): ConnectionDecision => {
  if (outcome._tag !== "Machine" || outcome.status !== 101) {
    if (outcome._tag === "Machine") outcome.response.discard()
    const { status, code, reason } = tunnelRefusal(outcome)
    return { refuse: alertOf(status), reason, ...(code === undefined ? {} : { code }) }
  }
  const { response, route } = outcome
  const version = route.settings.proxyProtocol
  const before = version === undefined ? undefined : proxyHeader(version, connection)
  return { relay: response.open(), ...(before === undefined ? {} : { before }) }
}

const proxyHeader = (version: 1 | 2, connection: IncomingConnection): Buffer =>
  writeProxyHeader(version, {
    sourceAddress: connection.remoteAddress,
    sourcePort: connection.remotePort,
    destinationAddress: connection.localAddress,
    destinationPort: connection.localPort,
  })

const checkTcpOptions = (options: TcpOptions): void => {
  checkOptions("serveTcp", options, {
    otherwise: accept.function,
    trustedProxies: accept.array(accept.string),
    proxyProtocol: accept.boolean,
    bounds: accept.object,
    limits: accept.object,
    onEvent: accept.function,
  })
  checkBounds("serveTcp", options.bounds ?? {})
  const { proxyProtocol = false, trustedProxies = [] } = options
  const problem = trustProblem({ trustedProxies }, proxyProtocol)
  if (problem !== undefined) throw new TypeError(`serveTcp: ${problem}`)
}
