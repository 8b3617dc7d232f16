import type { FrameEvent } from "../websocket/frame-reader.ts"
import type { MaskingKey } from "../websocket/frame-writer.ts"
import type { Tunnel } from "./tunnel-protocol.ts"
import { FrameReader } from "../websocket/frame-reader.ts"
import { closePayload, frame, opcodes } from "../websocket/frame-writer.ts"

/** The most bytes of a datagram: what an IPv4 packet of UDP can have (65 535 without the two headers, 20 and 8). */
export const MAX_DATAGRAM = 65_507

/** The largest binary message that this project writes, in bytes: as much as one read of a socket gives. */
export const MAX_BINARY = 65_536

/** How a tunnel ended, as its close code says (RFC 6455 §7.4.1), `1006` where there was none. */
export interface TunnelClosed {
  readonly code: number
  readonly reason: string
  /** True if this end failed it, because of what came. */
  readonly local: boolean
}

/** What one end of a tunnel does with what comes. */
export interface TunnelEvents {
  /** Bytes of the connection, or of a datagram; `last` ends that. */
  readonly onData: (bytes: Uint8Array, last: boolean) => void
  /** The other side has sent its FIN. */
  readonly onEnd: () => void
  /** Nothing more comes, and nothing more may be sent. Called once. */
  readonly onClose: (closed: TunnelClosed) => void
  /** Writes to the wire. False when it does not take more at once. */
  readonly write: (pieces: readonly Uint8Array[]) => boolean
}

const NO_BYTES = new Uint8Array(0)
const END = Uint8Array.of(0x65, 0x6e, 0x64)

/**
 * One end of a tunnel: between the bytes of its WebSocket and what they carry. Both ends are one class, because they differ in the
 * masks alone. Holds no data: what comes is given on at once, so that whoever pauses the wire pauses everything.
 */
export class TunnelEnd {
  readonly #reader: FrameReader
  readonly #key: MaskingKey
  readonly #events: TunnelEvents
  /** True once this side has sent its FIN, and once the other one has. */
  #ended = false
  #otherEnded = false
  #closed = false
  /** The wire did not take the last pong at once: of several pings only the last one is answered (RFC 6455 §5.5.3). */
  #wireFull = false
  #pong: Uint8Array | undefined

  /** `key`: this side's masking keys; the other side masks if this one does not. */
  constructor(kind: Tunnel, masks: boolean, key: MaskingKey, events: TunnelEvents) {
    this.#reader = new FrameReader({
      masked: !masks,
      ...(kind === "tcp" ? { text: "end" as const } : { maxMessage: MAX_DATAGRAM }),
    })
    this.#key = key
    this.#events = events
  }

  get closed(): boolean {
    return this.#closed
  }

  /** True when both sides have sent their FIN. */
  get bothEnded(): boolean {
    return this.#ended && this.#otherEnded
  }

  /** Bytes from the wire. */
  push(bytes: Uint8Array): void {
    if (this.#closed) return
    this.#reader.push(bytes)
    for (let event = this.#reader.read(); event !== undefined; event = this.#reader.read()) {
      this.#onFrame(event)
      if (this.#closed) return
    }
  }

  #onFrame(event: FrameEvent): void {
    if (event.type === "data") {
      if (this.#otherEnded) this.#fail(1002, "bytes after the end")
      else this.#events.onData(event.bytes, event.last)
    } else if (event.type === "end") {
      if (this.#otherEnded) this.#fail(1002, "a second end")
      else {
        this.#otherEnded = true
        this.#events.onEnd()
        this.#closeIfBothEnded()
      }
    } else if (event.type === "ping") this.#onPing(event.bytes)
    else if (event.type === "close") {
      // RFC 6455 §5.5.1: the same code back.
      this.#write(opcodes.close, closePayload(event.code))
      this.#finish({ code: event.code, reason: event.reason, local: false })
    } else if (event.type === "error") this.#fail(event.code, event.reason)
  }

  #onPing(bytes: Uint8Array): void {
    if (this.#wireFull) this.#pong = bytes
    else this.#wireFull = !this.#write(opcodes.pong, bytes)
  }

  /** The wire takes more. */
  drained(): void {
    this.#wireFull = false
    const pong = this.#pong
    this.#pong = undefined
    if (pong !== undefined && !this.#closed) this.#onPing(pong)
  }

  /** Sends bytes of the connection, or a datagram. False when the wire does not take more at once. */
  send(bytes: Uint8Array): boolean {
    if (this.#closed || this.#ended) return true
    return this.#write(opcodes.binary, bytes)
  }

  /** This side's FIN. */
  end(): void {
    if (this.#closed || this.#ended) return
    this.#ended = true
    this.#write(opcodes.text, END)
    this.#closeIfBothEnded()
  }

  ping(): void {
    if (!this.#closed) this.#write(opcodes.ping, NO_BYTES)
  }

  /** Ends the tunnel, as by a reset (1011), an engine that stops (1001), or access that was withdrawn (1008). */
  close(code: number, reason = ""): void {
    if (this.#closed) return
    this.#write(opcodes.close, closePayload(code))
    this.#finish({ code, reason, local: true })
  }

  /** The wire has closed. */
  lost(): void {
    this.#finish({ code: 1006, reason: "", local: false })
  }

  #closeIfBothEnded(): void {
    if (this.bothEnded) this.close(1000)
  }

  #fail(code: number, reason: string): void {
    this.close(code, reason)
  }

  #finish(closed: TunnelClosed): void {
    if (this.#closed) return
    this.#closed = true
    this.#events.onClose(closed)
  }

  #write(opcode: number, payload: Uint8Array): boolean {
    return this.#events.write(frame(opcode, payload, this.#key()))
  }
}
