import type { Socket } from "node:dgram"
import type { ChannelEvents, DatagramChannel, FlowEvent, FlowOutcome, NewFlow, OpenChannel } from "./contract.ts"
import type { DatagramLimits } from "./limits.ts"

/** How many times what it sent a client may be sent whose address is not proven, as in QUIC (RFC 9000 §8.1). */
const AMPLIFICATION = 3

/** Who sends and what for: what a flow is known by. */
export interface FlowSource {
  /** The socket that the client's datagrams come by, and the app's go out of. */
  readonly socket: Socket
  /** As the socket writes it, which is how it is sent to. */
  readonly address: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
}

/** The datagrams between one client's port and one port of ours. */
export class Flow implements NewFlow, ChannelEvents {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
  /** When the last datagram of either side passed. */
  lastAt: number
  /** Whether the client has sent something since the app's first answer: then its address is not false. */
  confirmed = false
  /** Why its datagrams go nowhere. It is kept for a while all the same, so that they are not decided about one by one. */
  dead: "refused" | "failed" | undefined
  over = false
  readonly #source: FlowSource
  readonly #limits: DatagramLimits
  readonly #onOver: (flow: Flow, outcome: FlowOutcome) => void
  readonly #onConfirmed: () => void
  readonly #now: () => number
  readonly #began: number
  #abort: AbortController | undefined
  #channel: DatagramChannel | undefined
  /** What came before it was decided where it goes. */
  #pending: Uint8Array[] | undefined = []
  /** Bytes sent to the client since its last datagram. */
  #unasked = 0
  #datagramsIn = 0
  #datagramsOut = 0
  #bytesIn = 0
  #bytesOut = 0
  #dropped = 0

  constructor(
    source: FlowSource,
    limits: DatagramLimits,
    now: () => number,
    listeners: { readonly onOver: (flow: Flow, outcome: FlowOutcome) => void; readonly onConfirmed: () => void },
  ) {
    this.#source = source
    this.remoteAddress = source.remoteAddress
    this.remotePort = source.remotePort
    this.localPort = source.localPort
    this.#limits = limits
    this.#now = now
    this.#onOver = listeners.onOver
    this.#onConfirmed = listeners.onConfirmed
    this.#began = this.lastAt = now()
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.over) this.#abort.abort()
    return this.#abort.signal
  }

  /** A datagram of the client's. */
  receive(bytes: Uint8Array): void {
    this.#datagramsIn++
    this.#bytesIn += bytes.length
    // What leads nowhere keeps nothing alive.
    if (this.dead !== undefined) {
      this.#dropped++
      return
    }
    this.lastAt = this.#now()
    this.#unasked = 0
    if (!this.confirmed && this.#datagramsOut > 0) {
      this.confirmed = true
      this.#onConfirmed()
    }
    if (this.#channel !== undefined) this.#channel.send(bytes)
    else if (this.#pending!.length < this.#limits.maxPending) this.#pending!.push(bytes)
    else this.#dropped++
  }

  /** It is decided where its datagrams go; `undefined`: nowhere. Throws what opening the channel throws. */
  begin(open: OpenChannel | undefined): void {
    if (this.over) return
    const waiting = this.#pending ?? []
    this.#pending = undefined
    if (open === undefined) {
      this.dead = "refused"
      this.#dropped += waiting.length
      return
    }
    const channel = open(this)
    this.#channel = channel
    for (const bytes of waiting) channel.send(bytes)
  }

  readonly onDatagram = (bytes: Uint8Array): void => {
    if (this.over) return
    const { socket, address, remotePort } = this.#source
    const { maxUnasked, maxUnconfirmedUnasked } = this.#limits
    const most = this.confirmed ? maxUnasked : Math.max(maxUnconfirmedUnasked, AMPLIFICATION * this.#bytesIn)
    if (this.#unasked + bytes.length > most || socket.getSendQueueSize() > this.#limits.maxQueued) {
      this.#dropped++
      return
    }
    this.lastAt = this.#now()
    this.#unasked += bytes.length
    this.#datagramsOut++
    this.#bytesOut += bytes.length
    // An address that cannot be reached is nobody's error: the datagram is lost, as on the way.
    socket.send(bytes, remotePort, address, () => undefined)
  }

  readonly onClose = (): void => {
    this.#channel?.close()
    this.#channel = undefined
    this.dead ??= "failed"
    this.lastAt = this.#now()
  }

  end(outcome: FlowOutcome): void {
    if (this.over) return
    this.over = true
    this.#pending = undefined
    this.#channel?.close()
    this.#channel = undefined
    this.#abort?.abort()
    this.#onOver(this, this.dead ?? outcome)
  }

  event(outcome: FlowOutcome): FlowEvent {
    return {
      type: "flow",
      remoteAddress: this.remoteAddress,
      remotePort: this.remotePort,
      localPort: this.localPort,
      outcome,
      datagramsIn: this.#datagramsIn,
      datagramsOut: this.#datagramsOut,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      dropped: this.#dropped,
      durationMs: this.#now() - this.#began,
    }
  }
}
