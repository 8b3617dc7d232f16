import { Duplex } from "node:stream"
import { randomKey } from "../../websocket/frame-writer.ts"
import { MAX_BINARY, TunnelEnd } from "../../tunnel/tunnel-end.ts"
import { TunnelWire } from "./tunnel-wire.ts"
import { TunnelBroken } from "./tunnel-errors.ts"

/**
 * The client's end of a TCP tunnel, after its handshake, as a stream: what is written goes to the port, `end` is a FIN, and `destroy` is a
 * reset. Fails with `TunnelBroken` when the tunnel ends before both sides have.
 */
export class TunnelStream extends Duplex {
  readonly #wire: TunnelWire
  readonly #end: TunnelEnd

  /** `early`: what came after the handshake's response. `pingMs`: as of `TunnelOptions`. */
  constructor(socket: Duplex, early: Uint8Array, pingMs: number) {
    super({ allowHalfOpen: true })
    this.#end = new TunnelEnd("tcp", true, randomKey, {
      onData: (bytes) => {
        if (bytes.length > 0 && !this.push(bytes)) this.#wire.pause()
      },
      onEnd: () => void this.push(null),
      onClose: ({ code, reason }) => {
        this.#wire.finish()
        if (code !== 1000 || !this.#end.bothEnded) this.destroy(new TunnelBroken(code, reason))
      },
      write: (pieces) => this.#wire.write(pieces),
    })
    this.#wire = new TunnelWire(socket, this.#end, pingMs)
    this.#wire.start(early)
  }

  override _read(): void {
    this.#wire.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    let at = 0
    const next = (): void => {
      while (at < chunk.length) {
        const piece = chunk.subarray(at, at + MAX_BINARY)
        at += piece.length
        if (this.#end.send(piece)) continue
        this.#wire.whenDrained(next)
        return
      }
      done()
    }
    next()
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#end.end()
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#end.close(1011)
    this.#wire.finish()
    done(error)
  }
}
