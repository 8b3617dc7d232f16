/**
 * Bytes that were received and not read yet. A push into an empty buffer copies nothing. Otherwise the bytes are collected in one
 * that doubles when it is full, so that a message in many small parts takes linear time.
 */
export class ReadBuffer {
  /** The unread bytes are those from `start` on. */
  bytes: Buffer = EMPTY
  start = 0
  /** True after the peer has closed its side. */
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

  /** Removes and returns all unread bytes. */
  take(): Uint8Array {
    const rest = this.bytes.subarray(this.start)
    this.clear()
    return rest
  }

  /** Releases the memory, so that an idle connection holds none. */
  clear(): void {
    this.bytes = EMPTY
    this.#owned = EMPTY
    this.start = 0
  }
}

const EMPTY: Buffer = Buffer.alloc(0)
