/** Limits of a datagram engine. Times in ms, sizes in bytes. */
export interface DatagramLimits {
  /** How long a flow lives without a datagram of either side. 60 000: above the heartbeats of QUIC, WireGuard and games. */
  readonly idleMs: number
  /** The same while nine tenths of `maxFlows` are taken. 10 000. */
  readonly crowdedIdleMs: number
  /** Flows in all, at most 15/32 of the process's descriptors. A datagram that would begin one more is dropped. 10 000. */
  readonly maxFlows: number
  /**
   * Flows whose client has sent nothing since the app's first answer, because whoever writes a false source address never can. Half of
   * `maxFlows`, so that a flood of them takes nothing from those who are there.
   */
  readonly maxUnconfirmedFlows: number
  /** Flows of one client: an IPv4 address, or an IPv6 /64. One more takes the place of the one that was quiet for longest. 256. */
  readonly maxFlowsPerClient: number
  /** Datagrams of one flow that wait until it is decided where they go; more are dropped. 16. */
  readonly maxPending: number
  /**
   * What a client is sent at most after its last datagram, in bytes; more is dropped until it sends another one. It bounds how much a
   * false source address can direct at somebody else. 1 048 576.
   */
  readonly maxUnasked: number
  /** The same of an unconfirmed client, or three times what it has sent, if that is more. 16 384. */
  readonly maxUnconfirmedUnasked: number
  /** Bytes that wait in one socket to be sent; more are dropped, as UDP does. 1 048 576. */
  readonly maxQueued: number
}

/** The limits that hold where an engine is not given others. The reasons are at each field of `DatagramLimits`. */
export const defaultDatagramLimits: DatagramLimits = {
  idleMs: 60_000,
  crowdedIdleMs: 10_000,
  maxFlows: 10_000,
  maxUnconfirmedFlows: 5_000,
  maxFlowsPerClient: 256,
  maxPending: 16,
  maxUnasked: 1_048_576,
  maxUnconfirmedUnasked: 16_384,
  maxQueued: 1_048_576,
}
