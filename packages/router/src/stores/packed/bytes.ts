const encoder = new TextEncoder()

/** Bytes that are written one after the other. */
export class ByteWriter {
  bytes = new Uint8Array(256)
  at = 0

  byte(value: number): void {
    if (this.at === this.bytes.length) this.#grow(1)
    this.bytes[this.at++] = value
  }

  /** An integer from 0 to 2^53 - 1: seven bits a byte, the lowest first, the top bit set on all but the last (LEB128). */
  integer(value: number): void {
    let rest = value
    while (rest > 127) {
      this.byte((rest % 128) + 128)
      rest = Math.floor(rest / 128)
    }
    this.byte(rest)
  }

  float(value: number): void {
    this.append(new Uint8Array(Float64Array.of(value).buffer))
  }

  append(given: Uint8Array): void {
    if (this.at + given.length > this.bytes.length) this.#grow(given.length)
    this.bytes.set(given, this.at)
    this.at += given.length
  }

  /** Text in UTF-8, whose length in bytes the reader knows. */
  utf8(text: string): void {
    const most = text.length * 3
    if (this.at + most > this.bytes.length) this.#grow(most)
    this.at += encoder.encodeInto(text, this.bytes.subarray(this.at)).written
  }

  /** What was written, until the next write. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.at)
  }

  #grow(by: number): void {
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.at + by))
    grown.set(this.written())
    this.bytes = grown
  }
}

/** Bytes that cannot be what a packer wrote. */
export class Unreadable extends Error {
  override readonly name = "Unreadable"
}

/** Reads what a {@link ByteWriter} wrote. Never reads past the end: throws {@link Unreadable}. */
export class ByteReader {
  readonly bytes: Uint8Array
  at = 0
  readonly #view: DataView
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  byte(): number {
    const value = this.bytes[this.at++]
    if (value === undefined) throw new Unreadable("past the end")
    return value
  }

  integer(): number {
    const first = this.byte()
    if (first < 128) return first
    let value = first - 128
    for (let scale = 128; scale <= 2 ** 49; scale *= 128) {
      const next = this.byte()
      value += (next & 127) * scale
      if (next < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
    }
    throw new Unreadable("an integer that is too large")
  }

  float(): number {
    if (this.at + 8 > this.bytes.length) throw new Unreadable("past the end")
    const value = this.#view.getFloat64(this.at, true)
    this.at += 8
    if (!Number.isFinite(value)) throw new Unreadable("no number of JSON")
    return value
  }

  /** The next bytes, not copied. */
  take(length: number): Uint8Array {
    const from = this.at
    if (length > this.bytes.length - from) throw new Unreadable("past the end")
    this.at += length
    return this.bytes.subarray(from, this.at)
  }
}
