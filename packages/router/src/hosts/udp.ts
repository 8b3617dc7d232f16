/** A router for UDP, for Node, Bun and Deno: by the port of a listener. */
import { createSocket } from "node:dgram"
import type { Socket } from "node:dgram"
import { isIPv6 } from "node:net"
import { accept, checkOptions } from "@project-ingress/forward/internal"
import { createDatagramEngine, dialUdp } from "@project-ingress/forward/sockets"
import type {
  DatagramEvent,
  DatagramLimits,
  DatagramReplies,
  DatagramTarget,
  FlowDecision,
  IncomingFlow,
} from "@project-ingress/forward/sockets"
import { balancer } from "../balancer.ts"
import { clientAddressOf } from "../program/sender.ts"
import type { Router } from "../router-options.ts"
import { programOf } from "../router-program.ts"
import type { RequestOutcome } from "../router-program.ts"
import { hostBounds } from "./bounds.ts"
import { checkBounds } from "./bounds-options.ts"
import type { Bounds } from "./bounds-options.ts"
import { openAccess } from "./open-access.ts"
import { targetHostname } from "./target-hostname.ts"
import { tunnelRefusal } from "./tunnel/tunnel-refusal.ts"
import { tunnelRequest, tunnelSender } from "./tunnel/tunnel-sender.ts"
import type { Dialing, TunnelResponse } from "./tunnel/tunnel-sender.ts"

export type { Bounds, ClientBounds, RequestBounds } from "./bounds-options.ts"

/** What {@link serveUdp} takes beside a router. */
export interface UdpOptions {
  /**
   * How much of the host one client, one project and one machine may have at a time; a flow counts as a WebSocket. Beyond, a flow is refused, with
   * an event of the router. As of `serveNode`, whose counts are its own.
   */
  readonly bounds?: Bounds
  readonly limits?: Partial<DatagramLimits>
  /** The engine's events: one for each flow when it is over, with bytes, and errors beside them. */
  readonly onEvent?: (event: DatagramEvent) => void
}

/** A router that takes datagrams: by `listen`, or from sockets of the caller's. */
export interface UdpHost {
  /** Takes a bound socket, whose datagrams all go where a hostname leads. */
  readonly serve: (socket: Socket, hostname: string) => void
  /**
   * Binds a socket whose datagrams go where the hostname `to` leads. `port` 0, the default, takes a free one; without `hostname` it takes
   * datagrams for every address. Rejects if it cannot bind, and with a `TypeError` for an option that is unknown, missing or invalid.
   */
  readonly listen: (options: {
    readonly port?: number
    readonly hostname?: string
    readonly to: string
  }) => Promise<UdpListening>
  /** Ends every flow, and takes no new one. */
  readonly close: () => void
  /** Open flows. */
  readonly flows: () => number
  /** The limits in force. */
  readonly limits: DatagramLimits
}

/** An open socket of a {@link UdpHost}. */
export interface UdpListening {
  readonly port: number
  /** Closes the socket and ends its flows. */
  readonly close: () => Promise<void>
}

type Open = (replies: DatagramReplies) => DatagramTarget

/** Until a tunnel, in ms. */
const CONNECT_TIMEOUT_MS = 10_000

/**
 * Mounts a router on UDP. Opens nothing until `listen`.
 *
 * A flow, which is what one address and port of a client sends to one socket, is decided once, as the handshake of a WebSocket for its hostname is.
 * The port that it leads to must have `protocol: "udp"`.
 *
 * @throws {TypeError} naming the option that is wrong or unknown, and what is accepted
 */
export const serveUdp = (router: Router, options: UdpOptions = {}): UdpHost => {
  checkOptions("serveUdp", options, { bounds: accept.object, limits: accept.object, onEvent: accept.function })
  checkBounds("serveUdp", options.bounds ?? {})
  const program = programOf(router)
  program.balancing.balancer ??= balancer(program)
  const access = openAccess(program)

  const dialing: Dialing<Open> = {
    timeoutMs: CONNECT_TIMEOUT_MS,
    direct: dialUdp,
    tunnelled: (tunnel) => tunnel.openDatagrams,
  }

  const decide = (flow: IncomingFlow): FlowDecision | Promise<FlowDecision> => {
    const clientAddress = clientAddressOf(flow.remoteAddress)
    const held = bounds.enter({ clientAddress }, true)
    if (held === undefined) return { refuse: "its client has as many as it may have", code: "CLIENT_LIMITED" }
    flow.onOver(() => held.release())
    const visit = tunnelRequest(flow, { clientAddress, scheme: "http", tunnel: "udp" })
    return program.run<TunnelResponse<Open>, FlowDecision>(
      visit,
      tunnelSender({ program, access }, dialing, flow, visit, held),
      () => new Request(`http://${flow.hostname}/`),
      decisionOf,
    )
  }

  const { serve, close, flows, limits } = createDatagramEngine({
    onFlow: decide,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
  })
  const bounds = hostBounds(options.bounds ?? {}, {
    limits: { maxConnections: limits.maxFlows, maxConnectionsPerPool: Infinity },
    // Nobody passes datagrams on in the name of others.
    isProxy: () => false,
    report: program.report,
  })

  return {
    serve,
    close,
    flows,
    limits,
    listen: async (given) => {
      const checks = { port: accept.integer(0, 65_535), hostname: accept.string, to: targetHostname }
      checkOptions("listen", given, checks, { required: ["to"] })
      const { port = 0, hostname, to } = given
      const watching = new AbortController()
      const socket = await bound(port, hostname)
      serve(socket, to)
      void program.watch(watching.signal)
      return {
        port: socket.address().port,
        close: () =>
          new Promise((resolve) => {
            watching.abort()
            socket.close(() => resolve())
          }),
      }
    },
  }
}

/** By IPv6 and IPv4 both, where no address says which. */
const bound = (port: number, hostname: string | undefined): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = createSocket(hostname === undefined || isIPv6(hostname) ? "udp6" : "udp4")
    socket.once("error", (cause) => {
      socket.close()
      reject(cause)
    })
    socket.bind({ port, ...(hostname === undefined ? {} : { address: hostname }) }, () => {
      socket.removeAllListeners("error")
      resolve(socket)
    })
  })

/** What becomes of a flow by what a tunnel's handshake would have come to. */
const decisionOf = (outcome: RequestOutcome<TunnelResponse<Open>>): FlowDecision => {
  if (outcome._tag === "Machine" && outcome.status === 101) return { relay: outcome.response.open }
  if (outcome._tag === "Machine") outcome.response.discard()
  const { code, reason } = tunnelRefusal(outcome)
  return { refuse: reason, ...(code === undefined ? {} : { code }) }
}
