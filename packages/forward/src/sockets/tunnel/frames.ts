/**
 * Follows one direction of a WebSocket just far enough to know where a frame ends (RFC 6455 §5.2), which is the only place
 * where a frame of our own may be put. Holds no byte of a payload.
 *
 * No `FrameReader`: that one refuses, and here nothing may be refused. Client and app may have agreed on extensions, whose frames have
 * reserved bits, and every byte of every WebSocket comes by here.
 */
export class Frames {
  /** Bytes that are still to come of the current frame's payload. */
  #payload = 0
  /** Bytes of its header so far: the second one and those of its length. */
  #header = 0
  #second = 0
  #length = 0

  /** True when the next byte begins a frame. */
  get between(): boolean {
    return this.#payload === 0 && this.#header === 0
  }

  push(bytes: Uint8Array): void {
    let i = 0
    while (i < bytes.length) {
      if (this.#payload > 0) {
        const skipped = Math.min(this.#payload, bytes.length - i)
        this.#payload -= skipped
        i += skipped
        continue
      }
      const byte = bytes[i++]!
      const at = this.#header++
      if (at === 1) {
        this.#second = byte
        this.#length = (byte & 0x7f) < 126 ? byte & 0x7f : 0
      }
      const extended = (this.#second & 0x7f) === 126 ? 2 : (this.#second & 0x7f) === 127 ? 8 : 0
      if (at > 1 && at < 2 + extended) this.#length = this.#length * 256 + byte
      const size = at === 0 ? 2 : 2 + extended + (this.#second >= 128 ? 4 : 0)
      if (this.#header < size) continue
      this.#payload = this.#length
      this.#header = 0
      this.#second = 0
    }
  }
}
