/**
 * Octets that came and were not read yet. A push onto an empty buffer copies nothing; otherwise the buffer doubles, so that
 * a message that trickles in costs linear time.
 */
export class ReadBuffer {
  /** Valid from `start` to its length. */
  bytes: Buffer = EMPTY
  start = 0
  /** True after the peer's FIN. */
  ended = false
  #owned: Buffer = EMPTY

  get size(): number {
    return this.bytes.length - this.start
  }

  push(chunk: Uint8Array): void {
    const size = this.bytes.length - this.start
    if (size === 0) {
      this.bytes = chunk instanceof Buffer ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      this.start = 0
      return
    }
    const needed = size + chunk.length
    const offset = this.bytes.byteOffset - this.#owned.byteOffset
    if (this.bytes.buffer === this.#owned.buffer && offset + this.start + needed <= this.#owned.length) {
      this.#owned.set(chunk, offset + this.bytes.length)
      this.bytes = this.#owned.subarray(offset, offset + this.bytes.length + chunk.length)
      return
    }
    const grown = Buffer.allocUnsafeSlow(Math.max(1024, needed * 2))
    grown.set(this.bytes.subarray(this.start), 0)
    grown.set(chunk, size)
    this.#owned = grown
    this.bytes = grown.subarray(0, needed)
    this.start = 0
  }

  /** Everything that is left, and nothing stays. */
  take(): Uint8Array {
    const rest = this.bytes.subarray(this.start)
    this.clear()
    return rest
  }

  /** Forgets the buffers, so that an idle connection holds none. */
  clear(): void {
    this.bytes = EMPTY
    this.#owned = EMPTY
    this.start = 0
  }
}

const EMPTY: Buffer = Buffer.alloc(0)
