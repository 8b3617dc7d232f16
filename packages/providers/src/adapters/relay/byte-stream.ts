import type { RelayStream, StreamHandler } from "@project-ingress/forward/internal"

/** Why a stream ended early. `sent`: whether the machine may have seen something of it. */
export class StreamEnded extends Error {
  readonly sent: "no" | "maybe"
  constructor(reason: string, sent: "no" | "maybe") {
    super(`the stream to the machine ended: ${reason}`)
    this.sent = sent
  }
}

/** A stream with promises: read piece by piece, written at the pace of the machine. */
export class ByteStream implements StreamHandler {
  readonly #stream: RelayStream
  readonly #arrived: Uint8Array[] = []
  #ended = false
  #failure: StreamEnded | undefined
  #wakeReader: (() => void) | undefined
  #wakeWriter: (() => void) | undefined

  constructor(stream: RelayStream) {
    this.#stream = stream
  }

  /** The next bytes, or `undefined` at the end. Rejects with {@link StreamEnded}. One call at a time. */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const bytes = this.#arrived.shift()
      if (bytes !== undefined) {
        this.#stream.consumed(bytes.length)
        return bytes
      }
      if (this.#failure !== undefined) throw this.#failure
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => (this.#wakeReader = resolve))
    }
  }

  /** Resolves when the machine's window has taken all of it. Rejects with {@link StreamEnded}. One call at a time. */
  async write(bytes: Uint8Array): Promise<void> {
    let rest = bytes
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      rest = rest.subarray(this.#stream.write(rest))
      if (rest.length === 0) return
      await new Promise<void>((resolve) => (this.#wakeWriter = resolve))
    }
  }

  end(): void {
    this.#stream.end()
  }

  /** Ends it early, whatever became of it. */
  cancel(): void {
    this.#stream.reset("cancelled")
    this.#fail(new StreamEnded("it is not wanted any more", "maybe"))
  }

  onData(bytes: Uint8Array): void {
    this.#arrived.push(bytes)
    this.#wakeReader?.()
  }

  onEnd(): void {
    this.#ended = true
    this.#wakeReader?.()
  }

  onReset(reason: Parameters<StreamHandler["onReset"]>[0]): void {
    // What has come is no whole response.
    this.#arrived.length = 0
    this.#fail(new StreamEnded(reason, reason === "refused" ? "no" : "maybe"))
  }

  onWritable(): void {
    this.#wakeWriter?.()
  }

  #fail(failure: StreamEnded): void {
    this.#failure ??= failure
    this.#wakeReader?.()
    this.#wakeWriter?.()
  }
}
