import type { Duplex } from "node:stream"
import type { TunnelEnd } from "../../tunnel/tunnel-end.ts"
import { keepTcpAlive } from "./keep-tcp-alive.ts"

/** How long the peer has to close the connection after the tunnel is over, in ms. */
const LINGER_MS = 2_000

/** The connection under the client's end of a tunnel. */
export class TunnelWire {
  readonly #socket: Duplex
  readonly #end: TunnelEnd
  readonly #pinging: ReturnType<typeof setInterval> | undefined
  #moved = true
  #finished = false
  #onDrained: (() => void) | undefined

  constructor(socket: Duplex, end: TunnelEnd, pingMs: number) {
    this.#socket = socket
    this.#end = end
    if (pingMs > 0) this.#pinging = setInterval(() => this.#ping(), pingMs)
    // Of a tunnel that nobody else waits for.
    this.#pinging?.unref()
  }

  start(early: Uint8Array): void {
    const socket = this.#socket
    if ("setNoDelay" in socket && typeof socket.setNoDelay === "function") socket.setNoDelay(true)
    keepTcpAlive(socket)
    socket.on("data", (bytes: Buffer) => {
      this.#moved = true
      this.#end.push(bytes)
    })
    socket.on("drain", () => {
      this.#end.drained()
      const next = this.#onDrained
      this.#onDrained = undefined
      next?.()
    })
    socket.on("error", () => undefined)
    socket.on("end", () => this.#end.lost())
    socket.on("close", () => this.#end.lost())
    if (early.length > 0) this.#end.push(early)
  }

  write(pieces: readonly Uint8Array[]): boolean {
    if (this.#socket.writableEnded || this.#socket.destroyed) return true
    this.#moved = true
    let more = true
    for (const piece of pieces) more = this.#socket.write(piece)
    return more
  }

  whenDrained(next: () => void): void {
    this.#onDrained = next
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    if (this.#socket.isPaused()) this.#socket.resume()
  }

  /** The tunnel is over: what is written is sent, then the connection ends. */
  finish(): void {
    if (this.#finished) return
    this.#finished = true
    clearInterval(this.#pinging)
    const next = this.#onDrained
    this.#onDrained = undefined
    const socket = this.#socket
    socket.resume()
    socket.end()
    const linger = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.once("close", () => clearTimeout(linger))
    socket.once("end", () => socket.destroy())
    next?.()
  }

  #ping(): void {
    // To a peer that does not read, pings would only pile up.
    if (!this.#moved && this.#socket.writableLength === 0) this.#end.ping()
    this.#moved = false
  }
}
