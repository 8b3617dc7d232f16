import type { Socket } from "node:dgram"
import type { ErrorEvent } from "../sockets/contract/events.ts"
import type { DatagramLimits } from "./limits.ts"

/** A client's first datagram at a port: all that is known of it. A source address can be false. */
export interface NewFlow {
  /** The client's IP address: IPv6 as of RFC 5952, IPv4 as four decimal numbers. */
  readonly remoteAddress: string
  readonly remotePort: number
  /** The port of the socket that it came to. */
  readonly localPort: number
  /** Aborted when the flow is over. */
  readonly signal: AbortSignal
}

/** What a channel tells the flow that opened it. */
export interface ChannelEvents {
  /** A datagram for the client. */
  readonly onDatagram: (bytes: Uint8Array) => void
  /** It carries nothing any more: the app's port is closed, the machine is gone. */
  readonly onClose: (cause?: unknown) => void
}

/** Carries the datagrams of one flow to its app. */
export interface DatagramChannel {
  /** Sends one datagram, or drops it when too much waits. Never throws. */
  readonly send: (bytes: Uint8Array) => void
  readonly close: () => void
}

/** Opens the channel of one flow. */
export type OpenChannel = (events: ChannelEvents) => DatagramChannel

/** Why a flow ended. */
export type FlowOutcome =
  /** Nobody sent anything for a while. */
  | "idle"
  /** Another flow of the same client has its place. */
  | "replaced"
  /** `onFlow` let it in nowhere. */
  | "refused"
  /** `onFlow` threw, or the channel closed: nobody listens there. */
  | "failed"
  /** The engine stopped. */
  | "stopped"

/** One flow, when it is over. Holds no byte of a datagram. */
export interface FlowEvent {
  readonly type: "flow"
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
  readonly outcome: FlowOutcome
  /** Datagrams from the client and to it, and their bytes. */
  readonly datagramsIn: number
  readonly datagramsOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Datagrams of either side that were dropped because of a limit. */
  readonly dropped: number
  readonly durationMs: number
}

/** Datagrams that began no flow because there were too many; once a second at most. */
export interface FlowsLimitedEvent {
  readonly type: "flows_limited"
  readonly limit: "maxFlows" | "maxUnconfirmedFlows"
  /** How many since the last event of this limit. */
  readonly count: number
}

/** What `onEvent` of a datagram engine is called with. */
export type DatagramEvent = FlowEvent | FlowsLimitedEvent | ErrorEvent

/** What `createDatagramEngine` takes. */
export interface DatagramEngineOptions {
  /**
   * Called once for each flow: opens its way to the app, or gives `undefined`, and then the client hears nothing for
   * `limits.crowdedIdleMs`, because its further datagrams are not decided about one by one; where the channel closed, for a second. What
   * it throws or rejects with is an error event.
   */
  readonly onFlow: (flow: NewFlow) => OpenChannel | undefined | Promise<OpenChannel | undefined>
  readonly limits?: Partial<DatagramLimits>
  /** Called once per flow when it is over, and for errors beside. What it throws is ignored. */
  readonly onEvent?: (event: DatagramEvent) => void
}

/** UDP on sockets that somebody else has bound. */
export interface DatagramEngine {
  /** Takes a bound socket: `engine.socket(createSocket("udp4").bind(5353))`. Binding and closing it stay the caller's. */
  readonly socket: (socket: Socket) => void
  /**
   * Stops: no new flow begins, those that there are go on until they are idle, and at `deadlineMs` the rest is ended. Resolves when there is
   * none.
   *
   * @throws {TypeError} (a rejection) for an option that is unknown, missing or invalid
   */
  readonly drain: (options: { readonly deadlineMs: number }) => Promise<void>
  /** Flows that there are, refused ones included. */
  readonly flows: () => number
  /** The limits in force: those given, the defaults of the others, and what the process's descriptors allow of them. */
  readonly limits: DatagramLimits
}
