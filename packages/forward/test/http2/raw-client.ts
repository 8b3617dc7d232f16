import type { Socket } from "node:net"

/** Frame types (RFC 9113 §6). */
export const DATA = 0
export const HEADERS = 1
export const PRIORITY = 2
export const RST_STREAM = 3
export const SETTINGS = 4
export const PUSH_PROMISE = 5
export const PING = 6
export const GOAWAY = 7
export const WINDOW_UPDATE = 8
export const CONTINUATION = 9

export const END_STREAM = 1
export const END_HEADERS = 4

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** One frame. */
export const frame = (type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

/** Fields as literals that are not indexed, without Huffman coding (RFC 7541 §6.2.2). */
export const block = (fields: readonly (readonly [string, string])[]): Buffer =>
  Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]))

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value, "latin1")
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes])
  const length = [127]
  let rest = bytes.length - 127
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128)
  return Buffer.concat([Buffer.of(...length, rest), bytes])
}

/** The fields of a GET for `localhost`. */
export const get = (path = "/", more: readonly (readonly [string, string])[] = []): Buffer =>
  block([[":method", "GET"], [":scheme", "https"], [":authority", "localhost"], [":path", path], ...more])

/** The fields of a POST for `localhost`. */
export const post = (more: readonly (readonly [string, string])[] = []): Buffer =>
  block([[":method", "POST"], [":scheme", "https"], [":authority", "localhost"], [":path", "/"], ...more])

/** A client of HTTP/2 that sends whatever frames a test writes, and keeps those that come. For tests only. */
export class RawClient {
  readonly socket: Socket
  readonly frames: Frame[] = []
  closed = false
  #buffer = Buffer.alloc(0)
  #wake: (() => void)[] = []

  constructor(socket: Socket) {
    this.socket = socket
    socket.on("data", (bytes: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, bytes])
      for (;;) {
        const length = this.#buffer.length < 9 ? Infinity : 9 + this.#buffer.readUIntBE(0, 3)
        if (this.#buffer.length < length) break
        const [type, flags] = [this.#buffer[3]!, this.#buffer[4]!]
        const stream = this.#buffer.readUInt32BE(5) & 0x7fffffff
        this.frames.push({ type, flags, stream, payload: this.#buffer.subarray(9, length) })
        this.#buffer = this.#buffer.subarray(length)
      }
      this.#changed()
    })
    socket.on("error", () => undefined)
    socket.on("close", () => {
      this.closed = true
      this.#changed()
    })
  }

  /** The preface, and SETTINGS as pairs of identifier and value. */
  start(settings: readonly (readonly [number, number])[] = []): this {
    const payload = Buffer.concat(
      settings.map(([id, value]) => Buffer.concat([Buffer.of(id >> 8, id & 255), uint32(value)])),
    )
    return this.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, payload)]))
  }

  write(bytes: Uint8Array): this {
    if (!this.socket.destroyed) this.socket.write(bytes)
    return this
  }

  send(type: number, flags: number, stream: number, payload?: Uint8Array): this {
    return this.write(frame(type, flags, stream, payload))
  }

  /** Writes frame after frame, until the connection is over or all are written, and waits for the kernel to take them. */
  async flood(count: number, make: (n: number) => Buffer): Promise<this> {
    for (let n = 0; n < count && !this.closed; n += 100) {
      const some = Array.from({ length: Math.min(100, count - n) }, (_, i) => make(n + i))
      this.write(Buffer.concat(some))
      await new Promise<void>((resolve) => {
        if (this.closed || this.socket.destroyed) resolve()
        else this.socket.write(Buffer.alloc(0), () => resolve())
      })
      await new Promise((resolve) => setImmediate(resolve))
    }
    return this
  }

  /** Resolves as soon as it is true. A test's own time-out ends the wait. */
  async when(condition: (client: this) => boolean): Promise<this> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#wake.push(resolve))
    return this
  }

  /** Resolves when the connection is over. */
  over(): Promise<this> {
    return this.when(({ closed }) => closed)
  }

  /** Resolves with the first frame of a type, on a stream if that is said. */
  async frame(type: number, stream?: number): Promise<Frame> {
    const find = () => this.frames.find((each) => each.type === type && (stream ?? each.stream) === each.stream)
    await this.when(() => find() !== undefined || this.closed)
    const found = find()
    if (found === undefined) throw new Error("the connection is over")
    return found
  }

  /** The error code of the last GOAWAY. */
  get goAwayCode(): number | undefined {
    const last = this.frames.findLast(({ type }) => type === GOAWAY)
    return last?.payload.readUInt32BE(4)
  }

  /** The error code with which a stream was reset. */
  resetCode(stream: number): number | undefined {
    const found = this.frames.find((each) => each.type === RST_STREAM && each.stream === stream)
    return found?.payload.readUInt32BE(0)
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}
