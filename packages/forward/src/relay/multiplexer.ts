import { decodeFrame, encodeFrame, MAX_STREAM_ID } from "./frames.ts"
import type { Frame } from "./frames.ts"
import { RelayStream } from "./relay-stream.ts"
import type { StreamHandler } from "./relay-stream.ts"

/** How many streams one connection carries at once. */
export const MAX_STREAMS = 256

/** What {@link Multiplexer} takes. */
export interface MultiplexerOptions {
  /** Sends one binary message. */
  readonly send: (message: Uint8Array<ArrayBuffer>) => void
  /** The machine's side: takes a stream that the relay opened. `socket`: the token of a WebSocket that is to be dialled. */
  readonly onOpen?: (stream: RelayStream, socket: Uint8Array | undefined) => StreamHandler
  /** The relay's side: the machine takes no more streams. */
  readonly onDrain?: () => void
  /** After the last open stream is over. */
  readonly onIdle?: () => void
  /** The id of the first stream that is opened here. Default 1. */
  readonly nextId?: number
}

/**
 * Streams over one connection, without I/O. Each stream has a window of its own in each direction, and what the windows have in
 * common is bounded: {@link MAX_STREAMS} times the smallest, and a budget for growth. So a stream whose reader stands still
 * holds no other one up.
 */
export class Multiplexer {
  /** The id of the next stream that is opened here. */
  nextId: number
  readonly #options: MultiplexerOptions
  readonly #streams = new Map<number, RelayStream>()
  /** What windows may still grow by, in bytes. */
  #growth = GROWTH_BUDGET
  /** The highest id that was opened so far. */
  #highest: number
  #closed = false

  constructor(options: MultiplexerOptions) {
    this.#options = options
    this.nextId = options.nextId ?? 1
    this.#highest = this.nextId - 1
  }

  /** Open streams. */
  get size(): number {
    return this.#streams.size
  }

  /** Opens a stream. The caller looks at `size` and `exhausted` first. */
  open(handlerOf: (stream: RelayStream) => StreamHandler, socket?: Uint8Array): RelayStream {
    const id = this.nextId++
    this.#highest = id
    this.send({ type: "open", id, socket })
    return this.#add(id, handlerOf)
  }

  /** Whether there is no id left for another stream. */
  get exhausted(): boolean {
    return this.nextId > MAX_STREAM_ID
  }

  /**
   * Takes a message of the peer. Gives what is wrong with one that has no meaning here; the connection must be closed then, because
   * nothing after it can be understood.
   */
  receive(message: Uint8Array): string | undefined {
    if (this.#closed) return undefined
    const frame = decodeFrame(message)
    if (frame === undefined) return "a message is no frame"
    if (frame.type === "drain") {
      if (this.#options.onDrain === undefined) return "only a machine drains"
      this.#options.onDrain()
      return undefined
    }
    if (frame.type === "open") return this.#opened(frame)
    if (frame.id > this.#highest) return "a frame is of a stream that was never opened"
    // One that is over here may not be over there yet.
    return this.#streams.get(frame.id)?.receive(frame)
  }

  #opened({ id, socket }: Extract<Frame, { readonly type: "open" }>): string | undefined {
    const { onOpen } = this.#options
    if (onOpen === undefined) return "only the relay opens streams"
    if (id <= this.#highest) return "the id of a stream is not higher than the one before it"
    this.#highest = id
    if (this.#streams.size >= MAX_STREAMS) {
      this.send({ type: "reset", id, reason: "refused" })
      return undefined
    }
    // A copy: the message's memory is the caller's.
    this.#add(id, (stream) => onOpen(stream, socket?.slice()))
    return undefined
  }

  #add(id: number, handlerOf: (stream: RelayStream) => StreamHandler): RelayStream {
    const stream = new RelayStream(id, this)
    this.#streams.set(id, stream)
    stream.handler = handlerOf(stream)
    return stream
  }

  /** The connection is lost: every stream of it is, too. Sends nothing any more. */
  close(): void {
    this.#closed = true
    for (const stream of this.#streams.values()) stream.lose()
  }

  /** For streams. */
  send(frame: Frame): void {
    if (!this.#closed) this.#options.send(encodeFrame(frame))
  }

  /** For streams: asks for a larger window. */
  grow(bytes: number): boolean {
    if (bytes > this.#growth) return false
    this.#growth -= bytes
    return true
  }

  /** For streams: this one is over, and had grown by so much. */
  remove(stream: RelayStream, grown: number): void {
    if (!this.#streams.delete(stream.id)) return
    this.#growth += grown
    if (this.#streams.size === 0 && !this.#closed) this.#options.onIdle?.()
  }
}

/** By how much the windows of a connection may grow in sum, in bytes. */
const GROWTH_BUDGET = 16_777_216
