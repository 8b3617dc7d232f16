import { MAX_DATA } from "./frames.ts"
import type { Frame, ResetReason } from "./frames.ts"

/** Who uses a stream. Called in the order of the peer's frames. */
export interface StreamHandler {
  /** Bytes of the peer. They count against the window until `consumed` is called for them. */
  readonly onData: (bytes: Uint8Array) => void
  /** The peer sends no more. */
  readonly onEnd: () => void
  /** The stream ended early, by the peer or with the connection: `lost`. Called at most once, and nothing after it. */
  readonly onReset: (reason: ResetReason | "lost") => void
  /** More can be written. */
  readonly onWritable: () => void
}

/** What a stream needs of its connection. */
interface Connection {
  send(frame: Frame): void
  grow(bytes: number): boolean
  remove(stream: RelayStream, grown: number): void
}

/** The window of a stream at its beginning, in each direction, in bytes. */
export const BASE_WINDOW = 65_536
/** The largest that it becomes while its reader takes everything at once. */
export const MAX_WINDOW = 1_048_576

/** Bytes in both directions, each of which ends by itself, at the pace of its reader. */
export class RelayStream {
  readonly id: number
  handler!: StreamHandler
  readonly #connection: Connection
  /** What may still be sent. */
  #credit = BASE_WINDOW
  /** What the peer may still send. */
  #allowed = BASE_WINDOW
  #window = BASE_WINDOW
  /** What has come and is not consumed. */
  #unread = 0
  /** What was consumed and not yet allowed again. */
  #owed = 0
  #sentEnd = false
  #receivedEnd = false
  #over = false

  constructor(id: number, connection: Connection) {
    this.id = id
    this.#connection = connection
  }

  /** Whether nothing can be sent or received any more. */
  get over(): boolean {
    return this.#over
  }

  /** Sends as much as the peer's window allows and gives how much that was; `onWritable` tells when there is more room. */
  write(bytes: Uint8Array): number {
    if (this.#over || this.#sentEnd) return 0
    let at = 0
    while (at < bytes.length && this.#credit > 0) {
      const size = Math.min(bytes.length - at, this.#credit, MAX_DATA)
      this.#credit -= size
      this.#connection.send({ type: "data", id: this.id, bytes: bytes.subarray(at, at + size) })
      at += size
    }
    return at
  }

  /** No more bytes are sent. */
  end(): void {
    if (this.#over || this.#sentEnd) return
    this.#sentEnd = true
    this.#connection.send({ type: "end", id: this.id })
    this.#endIfBoth()
  }

  /** Ends both directions early. */
  reset(reason: ResetReason): void {
    if (this.#over) return
    this.#connection.send({ type: "reset", id: this.id, reason })
    this.#remove()
  }

  /** So many bytes that `onData` brought are taken by their reader. */
  consumed(bytes: number): void {
    this.#unread -= bytes
    this.#owed += bytes
    if (this.#over || this.#receivedEnd || this.#owed < this.#window / 2) return
    let step = this.#owed
    // A larger window helps only a reader that waits for the sender.
    if (this.#unread === 0 && this.#window < MAX_WINDOW && this.#connection.grow(this.#window)) {
      step += this.#window
      this.#window *= 2
    }
    this.#owed = 0
    this.#allowed += step
    this.#connection.send({ type: "window", id: this.id, bytes: step })
  }

  /** For the connection: a frame of the peer. Gives what is wrong with one that must not be. */
  receive(frame: Exclude<Frame, { readonly type: "open" | "drain" }>): string | undefined {
    switch (frame.type) {
      case "data":
        if (this.#receivedEnd) return "data comes after the end of its stream"
        if (frame.bytes.length > this.#allowed) return "data exceeds the window of its stream"
        this.#allowed -= frame.bytes.length
        this.#unread += frame.bytes.length
        this.handler.onData(frame.bytes)
        return undefined
      case "end":
        if (this.#receivedEnd) return "a stream ends twice"
        this.#receivedEnd = true
        this.#endIfBoth()
        this.handler.onEnd()
        return undefined
      case "reset":
        this.#remove()
        this.handler.onReset(frame.reason)
        return undefined
      default:
        // The peer never allows more than its largest window.
        if (this.#credit + frame.bytes > MAX_WINDOW) return "a window is larger than it may be"
        this.#credit += frame.bytes
        this.handler.onWritable()
        return undefined
    }
  }

  /** For the connection: it is lost. */
  lose(): void {
    if (this.#over) return
    this.#remove()
    this.handler.onReset("lost")
  }

  #endIfBoth(): void {
    if (this.#sentEnd && this.#receivedEnd) this.#remove()
  }

  #remove(): void {
    this.#over = true
    this.#connection.remove(this, this.#window - BASE_WINDOW)
  }
}
