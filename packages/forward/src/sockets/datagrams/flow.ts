import type { Socket } from "node:dgram"
import { nextRequestId } from "../../request-id.ts"
import type { DatagramLimits, DatagramTarget, FlowDecision, FlowEvent, IncomingFlow } from "../contract/datagrams.ts"
import type { HasDeadline } from "../io/deadlines.ts"
import type { DeadlineScanner } from "../io/deadlines.ts"
import { Lifetime } from "../io/lifetime.ts"

/** Datagrams that the kernel has not taken yet of one flow; beyond, more are dropped. */
const MAX_SENDING = 64

type End = FlowEvent["end"]

/** Who keeps the flows. */
interface FlowOwner {
  readonly limits: DatagramLimits
  readonly deadlines: DeadlineScanner
  /** The client has answered its app. */
  confirm(flow: Flow): void
  remove(flow: Flow): void
  guard(run: () => void): void
  report(event: FlowEvent): void
}

/** One flow from its first datagram to its end. */
export class Flow extends Lifetime implements IncomingFlow, HasDeadline {
  readonly id = nextRequestId()
  readonly hostname: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
  deadlineAt = 0
  /** True once something came from the client after its app had replied. Whether it was the client's, only the app can tell. */
  confirmed = false
  readonly #socket: Socket
  readonly #owner: FlowOwner
  readonly #startedAt = performance.now()
  #waiting: Uint8Array[] | undefined = []
  #target: DatagramTarget | undefined
  #refusal: { readonly code?: string; readonly reason?: string } | undefined
  #sending = 0
  #datagramsIn = 0
  #datagramsOut = 0
  #bytesIn = 0
  #bytesOut = 0
  #dropped = 0

  constructor(
    owner: FlowOwner,
    socket: Socket,
    hostname: string,
    from: { readonly address: string; readonly port: number },
  ) {
    super()
    this.isAsking = true
    this.#owner = owner
    this.#socket = socket
    this.hostname = hostname
    this.remoteAddress = from.address
    this.remotePort = from.port
    this.localPort = socket.address().port
  }

  withdrawal(): () => void {
    return () => this.end("withdrawn")
  }

  onDatagram(bytes: Buffer): void {
    if (this.#refusal !== undefined) {
      this.#dropped++
      return
    }
    this.#datagramsIn++
    this.#bytesIn += bytes.length
    if (this.#datagramsOut > 0 && !this.confirmed) {
      this.confirmed = true
      this.#owner.confirm(this)
    }
    this.#renew()
    if (this.#waiting === undefined) this.#send(bytes)
    else if (this.#waiting.length < this.#owner.limits.maxWaiting) this.#waiting.push(bytes)
    else this.#dropped++
  }

  #send(bytes: Uint8Array): void {
    if (this.#target?.send(bytes) !== true) this.#dropped++
  }

  settle(decision: FlowDecision): void {
    const waiting = this.#waiting
    if (this.isOver || waiting === undefined) {
      if ("relay" in decision) decision.relay({ onDatagram: () => undefined, onClose: () => undefined }).close()
      return
    }
    this.#waiting = undefined
    this.isAsking = false
    if ("refuse" in decision) {
      const { refuse: reason, code } = decision
      this.#refusal = { reason, ...(code === undefined ? {} : { code }) }
      this.#dropped += waiting.length
      this.deadlineAt = this.#owner.deadlines.in(this.#owner.limits.refusedMs)
      return
    }
    this.#target = decision.relay({
      onDatagram: (bytes) => this.#onReply(bytes),
      onClose: () => this.end("closed"),
    })
    for (const bytes of waiting) this.#send(bytes)
  }

  #onReply(bytes: Uint8Array): void {
    if (this.isOver) return
    const { maxAmplification } = this.#owner.limits
    const isTooMuch = !this.confirmed && this.#bytesOut + bytes.length > this.#bytesIn * maxAmplification
    if (isTooMuch || this.#sending >= MAX_SENDING) {
      this.#dropped++
      return
    }
    this.#datagramsOut++
    this.#bytesOut += bytes.length
    this.#renew()
    this.#sending++
    try {
      this.#socket.send(bytes, this.remotePort, this.remoteAddress, () => this.#sending--)
    } catch {
      // The socket was closed.
      this.#sending--
      this.#dropped++
    }
  }

  #renew(): void {
    const { deadlines, limits } = this.#owner
    this.deadlineAt = deadlines.in(limits.idleTimeoutMs)
  }

  onDeadline(): void {
    this.end(this.#refusal === undefined ? "idle" : "refused")
  }

  end(end: End): void {
    if (this.isOver) return
    this.#owner.remove(this)
    this.endLife((listener) => this.#owner.guard(listener))
    this.#owner.guard(() => this.#target?.close())
    this.#owner.report({
      type: "flow",
      id: this.id,
      hostname: this.hostname,
      remoteAddress: this.remoteAddress,
      localPort: this.localPort,
      datagramsIn: this.#datagramsIn,
      datagramsOut: this.#datagramsOut,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      dropped: this.#dropped,
      durationMs: performance.now() - this.#startedAt,
      end: this.#refusal === undefined ? end : "refused",
      ...this.#refusal,
    })
  }
}
