import { Duplex } from "node:stream"
import type { RelayStream, StreamHandler } from "@project-ingress/forward/internal"

/** A stream of a relay as what a proxy takes for a connection: each direction at the pace of its reader. */
export class StreamDuplex extends Duplex implements StreamHandler {
  readonly #stream: RelayStream
  readonly #arrived: Uint8Array[] = []
  #wanted = false
  #ended = false
  #unsent: { readonly bytes: Uint8Array; readonly done: () => void } | undefined

  constructor(stream: RelayStream) {
    super({ allowHalfOpen: true, highWaterMark: 65_536 })
    this.#stream = stream
    // Whoever has it hears of its end by `close`.
    this.on("error", () => {})
  }

  onData(bytes: Uint8Array): void {
    this.#arrived.push(bytes)
    this.#flow()
  }

  onEnd(): void {
    this.#ended = true
    this.#flow()
  }

  onReset(): void {
    this.destroy(new Error("the relay ended the stream"))
  }

  onWritable(): void {
    const unsent = this.#unsent
    if (unsent === undefined) return
    this.#unsent = undefined
    this._write(unsent.bytes, "buffer", unsent.done)
  }

  override _read(): void {
    this.#wanted = true
    this.#flow()
  }

  override _write(bytes: Uint8Array, _: string, done: () => void): void {
    const sent = this.#stream.write(bytes)
    if (sent === bytes.length) done()
    else this.#unsent = { bytes: bytes.subarray(sent), done }
  }

  override _final(done: () => void): void {
    this.#stream.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // Nothing if both directions have ended.
    this.#stream.reset(error === null ? "cancelled" : "failed")
    this.#arrived.length = 0
    this.#unsent = undefined
    done(error)
  }

  #flow(): void {
    while (this.#wanted && this.#arrived.length > 0) {
      const bytes = this.#arrived.shift()!
      this.#wanted = this.push(bytes)
      this.#stream.consumed(bytes.length)
    }
    if (this.#wanted && this.#ended) {
      this.#wanted = false
      this.push(null)
    }
  }
}
