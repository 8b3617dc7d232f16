import type { ClientConnection, ConnectionHandler } from "../connection/client-connection.ts"
import type { UpstreamConnection, UpstreamUser } from "../connection/upstream-connection.ts"
import { Frames, GOING_AWAY } from "./frames.ts"
import { endAndDestroy, reset, flushed } from "../io/write.ts"

/** After which silence the kernel asks a peer whether it is still there, in ms. */
const KEEP_ALIVE_MS = 30_000

/** A WebSocket after its handshake: octets, both ways, each side's pace the other's limit. */
export class WebSocketTunnel implements ConnectionHandler, UpstreamUser {
  readonly wantsBody = false
  readonly blocked = false
  readonly #down: ClientConnection
  readonly #upstream: UpstreamConnection
  readonly #frames = new Frames()
  readonly #over: (bytesIn: number, bytesOut: number) => void
  #bytesIn = 0
  #bytesOut = 0
  #closed = false
  /** True once one side has sent its FIN: the other one has the linger time to follow. */
  #halfClosed = false

  /** `over` is called once, with the octets from and to the client. */
  constructor(down: ClientConnection, upstream: UpstreamConnection, over: (bytesIn: number, bytesOut: number) => void) {
    this.#down = down
    this.#upstream = upstream
    this.#over = over
  }

  /** Takes both connections; what came early goes first. */
  open(): void {
    const { socket } = this.#down
    this.#upstream.user = this
    this.#down.shared.pools.uncount(this.#upstream)
    this.#upstream.socket.setKeepAlive(true, KEEP_ALIVE_MS)
    if ("setKeepAlive" in socket && typeof socket.setKeepAlive === "function") socket.setKeepAlive(true, KEEP_ALIVE_MS)
    this.#down.resume()
    this.#due()
    const early = this.#down.takeEarly()
    if (early.length > 0) this.onOctets(early)
    this.onUpstreamData()
    if (this.#down.ended) this.onClientEnd()
  }

  onOctets(bytes: Uint8Array): boolean {
    this.#bytesIn += bytes.length
    this.#due()
    const { socket } = this.#upstream
    if (!flushed(socket, socket.write(bytes))) this.#down.pause()
    return true
  }

  onUpstreamData(): void {
    const bytes = this.#upstream.reader.rest()
    if (bytes.length === 0) return
    this.#bytesOut += bytes.length
    this.#frames.push(bytes)
    this.#due()
    const { socket } = this.#down
    if (!flushed(socket, socket.write(bytes))) this.#upstream.socket.pause()
  }

  onUpstreamDrain(): void {
    this.#down.resume()
  }

  onClientDrain(): void {
    this.#upstream.socket.resume()
  }

  onClientEnd(): void {
    this.#upstream.socket.end()
    this.#linger()
  }

  onUpstreamEnd(): void {
    this.onUpstreamData()
    this.#down.socket.end()
    this.#linger()
  }

  onClientClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#upstream.user = undefined
    this.#upstream.destroy()
    this.#over(this.#bytesIn, this.#bytesOut)
  }

  onUpstreamClose(_upstream: UpstreamConnection, _connected: boolean, cause: unknown): void {
    if (this.#closed) return
    this.#closed = true
    this.#over(this.#bytesIn, this.#bytesOut)
    // What broke must look broken on the other side, what ended in order ends in order.
    if (cause === undefined) endAndDestroy(this.#down.socket)
    else reset(this.#down.socket)
  }

  onGoingAway(): void {
    const { socket } = this.#down
    // What the app says from here on has no place behind our end.
    this.#upstream.socket.pause()
    if (this.#frames.between && !socket.writableEnded) socket.write(GOING_AWAY)
    endAndDestroy(socket)
    // A client that takes nothing of it would keep us.
    this.#halfClosed = true
    this.#down.dueAt = this.#down.shared.wheel.in(this.#down.shared.limits.lingerMs)
  }

  onDeadline(): void {
    this.#down.socket.destroy()
  }

  onBody(): void {}

  onUpstreamOpen(): void {}

  fault(cause: unknown): void {
    this.#down.fault(cause)
  }

  #due(): void {
    if (!this.#halfClosed) this.#down.dueAt = this.#down.shared.wheel.in(this.#down.shared.limits.tunnelIdleTimeoutMs)
  }

  #linger(): void {
    this.#halfClosed = true
    this.#down.dueAt = this.#down.shared.wheel.in(this.#down.shared.limits.tunnelLingerMs)
  }
}
