import type { Duplex } from "node:stream"
import { randomKey } from "../../websocket/frame-writer.ts"
import { MAX_DATAGRAM, TunnelEnd } from "../../tunnel/tunnel-end.ts"
import { TunnelBroken } from "./tunnel-errors.ts"
import { TunnelWire } from "./tunnel-wire.ts"

/** What is done with what a UDP tunnel brings. */
export interface DatagramEvents {
  readonly onDatagram: (bytes: Uint8Array) => void
  /** Called once; without an error if `close` was called. */
  readonly onClose: (error: TunnelBroken | undefined) => void
}

/** The client's end of a UDP tunnel, after its handshake. */
export class DatagramTunnel {
  readonly #wire: TunnelWire
  readonly #end: TunnelEnd
  #full = false
  #pieces: Uint8Array[] = []
  #closing = false

  constructor(socket: Duplex, early: Uint8Array, pingMs: number, { onDatagram, onClose }: DatagramEvents) {
    this.#end = new TunnelEnd("udp", true, randomKey, {
      onData: (bytes, last) => {
        const pieces = this.#pieces
        if (!last) {
          pieces.push(bytes)
          return
        }
        this.#pieces = []
        onDatagram(pieces.length === 0 ? bytes : Buffer.concat([...pieces, bytes]))
      },
      onEnd: () => undefined,
      onClose: ({ code, reason }) => {
        this.#wire.finish()
        onClose(this.#closing ? undefined : new TunnelBroken(code, reason))
      },
      write: (pieces) => this.#wire.write(pieces),
    })
    this.#wire = new TunnelWire(socket, this.#end, pingMs)
    this.#wire.start(early)
    this.#wire.resume()
  }

  /** Sends a datagram of at most 65 507 bytes. False if it was dropped, because the tunnel is full or over, or it is too long. */
  send(bytes: Uint8Array): boolean {
    if (this.#full || this.#end.closed || bytes.length > MAX_DATAGRAM) return false
    if (!this.#end.send(bytes)) {
      this.#full = true
      this.#wire.whenDrained(() => {
        this.#full = false
      })
    }
    return true
  }

  close(): void {
    this.#closing = true
    this.#end.close(1000)
  }
}
