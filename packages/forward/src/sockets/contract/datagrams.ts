import type { Socket } from "node:dgram"
import type { ErrorEvent } from "./events.ts"

/** Limits of a datagram engine. Times in ms; sizes in bytes. */
export interface DatagramLimits {
  /** Without any datagram of either side. 120 000, the least that RFC 4787 §4.3 allows a NAT. */
  readonly idleTimeoutMs: number
  /** Flows at a time. Beyond, the oldest one whose client has not answered its app gives way; if there is none, the new one is dropped. 10 000, and at most 15/32 of the process's descriptors. */
  readonly maxFlows: number
  /** The same of one client: its address, of IPv6 the `/64`. Beyond, only its own give way. 256. */
  readonly maxFlowsPerClient: number
  /** Flows that wait for their decision at a time, of one hostname half of them; beyond, datagrams of new ones are dropped. 1 000. */
  readonly maxDeciding: number
  /** Datagrams of one flow that wait for its decision; beyond, they are dropped. 16. */
  readonly maxWaiting: number
  /**
   * How many times the bytes that a client has sent its app may send it, until something comes from there after a reply: whoever sends in the name of
   * another one must not have much sent there. 3, as in QUIC (RFC 9000 §8.1). An app that answers one short datagram by a long one, as DNS, needs
   * more. That the client has read the reply only the app can tell.
   */
  readonly maxAmplification: number
  /** For how long datagrams of a flow that was refused are dropped before it is decided once more. 5 000. */
  readonly refusedMs: number
}

/** The limits that hold where a datagram engine is not given others. The reasons are at each field of {@link DatagramLimits}. */
export const defaultDatagramLimits: DatagramLimits = {
  idleTimeoutMs: 120_000,
  maxFlows: 10_000,
  maxFlowsPerClient: 256,
  maxDeciding: 1_000,
  maxWaiting: 16,
  maxAmplification: 3,
  refusedMs: 5_000,
}

/** What a client's address and port send to one socket, until it is idle. */
export interface IncomingFlow {
  /** Names the flow in events, unique among all processes. */
  readonly id: string
  /** What its socket stands for. */
  readonly hostname: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
  /** Aborted when the flow ends before it is decided. Made when first read. */
  readonly signal: AbortSignal
  /** Calls `listener` when `signal` is aborted, or now if it is, without making one. */
  onAbort(listener: () => void): void
  /** Resolves when the flow is over, however it ended. */
  over(): Promise<void>
  /** Calls `listener` when `over` resolves, or now if it is. */
  onOver(listener: () => void): void
  /** Gives the function that ends the flow, because the visitor's access was withdrawn. */
  withdrawal(): () => void
}

/** Where the datagrams of a flow go. */
export interface DatagramTarget {
  /** False if it was dropped. */
  readonly send: (bytes: Uint8Array) => boolean
  readonly close: () => void
}

/** What is done with what a target brings. */
export interface DatagramReplies {
  readonly onDatagram: (bytes: Uint8Array) => void
  /** It is over by itself. */
  readonly onClose: () => void
}

/** What becomes of a flow: its datagrams go to a target, or are dropped. `code` and `reason` are for the event. */
export type FlowDecision =
  | { readonly relay: (replies: DatagramReplies) => DatagramTarget }
  | { readonly refuse: string; readonly code?: string }

/** What `createDatagramEngine` takes. */
export interface DatagramEngineOptions {
  /** Called once per flow; decides what becomes of it. What it throws or rejects with is an error event, and the flow is refused. */
  readonly onFlow: (flow: IncomingFlow) => FlowDecision | Promise<FlowDecision>
  readonly limits?: Partial<DatagramLimits>
  /** Called once per flow when it is over, and for errors beside. What it throws is ignored. */
  readonly onEvent?: (event: DatagramEvent) => void
}

/** One line of an access log, made when a flow is over. Holds no byte of it. */
export interface FlowEvent {
  readonly type: "flow"
  readonly id: string
  readonly hostname: string
  readonly remoteAddress: string
  readonly localPort: number
  readonly datagramsIn: number
  readonly datagramsOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Datagrams of either side that were dropped. */
  readonly dropped: number
  readonly durationMs: number
  /** `idle`: nothing came for too long. `evicted`: another flow needed its place. `closed`: its target ended it. */
  readonly end: "idle" | "refused" | "evicted" | "closed" | "drained" | "withdrawn"
  readonly code?: string
  readonly reason?: string
}

/** What `onEvent` of a datagram engine is called with. */
export type DatagramEvent = FlowEvent | ErrorEvent

/** UDP on sockets that somebody else has bound. */
export interface DatagramEngine {
  /** Takes a bound socket, whose datagrams are all for one hostname. */
  readonly serve: (socket: Socket, hostname: string) => void
  /** Ends every flow, and takes no new one. The sockets stay the caller's. */
  readonly close: () => void
  /** Open flows. */
  readonly flows: () => number
  /** The limits in force. */
  readonly limits: DatagramLimits
}
