import { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { readAfterFailedWrite } from "../io/failed-writes.ts"
import { endAndDestroy, flushed, reset } from "../io/write.ts"

/** After how long without a byte TCP keep-alive probes a peer, in ms. */
const KEEP_ALIVE_MS = 30_000

/** How long an app that does not take the last bytes of a client that is gone may keep its connection, in ms. */
const FLUSH_MS = 30_000

/** What a relay tells whoever has the deadlines. */
export interface RelayOwner {
  bytesIn: number
  bytesOut: number
  /** Bytes have passed. */
  onActivity(): void
  /** One side has ended. */
  onHalfClosed(): void
  /** The app takes nothing more; what it has said is still being read. Called once. */
  onBroken(): void
}

/**
 * Passes bytes between a client and an app, each side at the pace of the other: at most one read waits for a side that does not take it. A FIN is
 * passed on as a FIN, after everything before it, and the other direction goes on; a reset as a reset.
 */
export class TcpRelay {
  readonly #client: Duplex
  readonly #app: Duplex
  readonly #owner: RelayOwner
  #clientEnded = false
  #appEnded = false
  #broken = false
  #clientClosed = false

  constructor(client: Duplex, app: Duplex, owner: RelayOwner) {
    this.#client = client
    this.#app = app
    this.#owner = owner
  }

  /** `before` is sent to the app first. What either side has said already follows. */
  open(before?: Uint8Array): void {
    const client = this.#client
    const app = this.#app
    const owner = this.#owner
    for (const socket of [client, app]) {
      if (!(socket instanceof Socket)) continue
      socket.setNoDelay(true)
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
    }
    if (app instanceof Socket) readAfterFailedWrite(app, (error) => this.#onWriteFailed(error))
    app.on("error", ignore)
    app.on("close", () => this.#onAppClose())
    client.on("end", () => {
      this.#clientEnded = true
      app.end()
      owner.onHalfClosed()
    })
    app.on("end", () => {
      this.#appEnded = true
      client.end()
      owner.onHalfClosed()
    })
    client.on("drain", () => app.resume())
    app.on("drain", () => client.resume())
    if (before !== undefined) app.write(before)
    client.on("data", (bytes: Buffer) => {
      owner.bytesIn += bytes.length
      owner.onActivity()
      if (!flushed(app, app.write(bytes))) client.pause()
    })
    app.on("data", (bytes: Buffer) => {
      owner.bytesOut += bytes.length
      owner.onActivity()
      if (!flushed(client, client.write(bytes))) app.pause()
    })
    if (app.destroyed) this.#onAppClose()
  }

  /** Breaks both connections off. */
  reset(): void {
    reset(this.#client)
    reset(this.#app)
  }

  /** The client's connection has closed. Gives whether both sides had ended. */
  onClientClose(): boolean {
    this.#clientClosed = true
    const app = this.#app
    if (!this.#clientEnded || !this.#appEnded) {
      reset(app)
      return false
    }
    // The app may still have to take what the client said last.
    if (!app.destroyed) {
      const timer = setTimeout(() => app.destroy(), FLUSH_MS)
      timer.unref()
      app.on("close", () => clearTimeout(timer))
    }
    return true
  }

  #onAppClose(): void {
    if (this.#clientClosed) return
    // What it said has all been passed on, and nothing takes what the client says.
    if (this.#appEnded) endAndDestroy(this.#client)
    else reset(this.#client)
  }

  /** Whether to read on: what the app said before it closed is still to come ("too many clients"), and then its end. */
  #onWriteFailed(error: Error): boolean {
    const isGone = "code" in error && (error.code === "EPIPE" || error.code === "ECONNRESET")
    if (!isGone || this.#clientClosed || this.#app.readableEnded) return false
    if (!this.#broken) {
      this.#broken = true
      this.#owner.onBroken()
    }
    return true
  }
}

const ignore = (): void => {}
