import type { ClientConnection } from "../connection/client-connection.ts"
import type { ConnectionHandler, UpstreamUser } from "../connection/connection-handler.ts"
import type { Upstream } from "../connection/upstream.ts"
import { Frames } from "./frames.ts"
import { closePayload, frame, opcodes } from "../../websocket/frame-writer.ts"
import { endAndDestroy, reset, flushed } from "../io/write.ts"
import { keepTcpAlive } from "./keep-tcp-alive.ts"

/** The bytes from and to the client so far. */
export interface ByteCount {
  bytesIn: number
  bytesOut: number
}

/** A WebSocket after its handshake: passes bytes in both directions, each side at the pace of the other. */
export class WebSocketTunnel implements ConnectionHandler, UpstreamUser {
  readonly wantsBody = false
  readonly blocked = false
  readonly #client: ClientConnection
  readonly #upstream: Upstream
  readonly #frames = new Frames()
  readonly #record: ByteCount
  readonly #onOver: () => void
  #closed = false
  /** True once one side has sent its FIN: the other one has the linger time to follow. */
  #halfClosed = false
  /** True once nothing of the client's may reach the app any more. */
  #withdrawn = false

  /** `onOver` is called once. */
  constructor(client: ClientConnection, upstream: Upstream, record: ByteCount, onOver: () => void) {
    this.#client = client
    this.#upstream = upstream
    this.#record = record
    this.#onOver = onOver
  }

  /** Takes both connections; bytes that came early go first. */
  open(): void {
    this.#client.setHandler(this)
    this.#upstream.user = this
    this.#client.context.pools.uncount(this.#upstream)
    keepTcpAlive(this.#upstream.socket)
    keepTcpAlive(this.#client.socket)
    this.#client.resume()
    this.#renewDeadline()
    const early = this.#client.readRest()
    if (early.length > 0) this.onBytes(early)
    this.onUpstreamData()
    if (this.#client.ended) this.onClientEnd()
  }

  onBytes(bytes: Uint8Array): boolean {
    if (this.#withdrawn) return true
    this.#record.bytesIn += bytes.length
    this.#renewDeadline()
    const { socket } = this.#upstream
    if (!flushed(socket, socket.write(bytes))) this.#client.pause()
    return true
  }

  onUpstreamData(): void {
    const bytes = this.#upstream.reader.rest()
    if (bytes.length === 0) return
    this.#record.bytesOut += bytes.length
    this.#frames.push(bytes)
    this.#renewDeadline()
    const { socket } = this.#client
    if (!flushed(socket, socket.write(bytes))) this.#upstream.socket.pause()
  }

  onUpstreamDrain(): void {
    this.#client.resume()
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
    this.#client.socket.end()
    this.#linger()
  }

  onClientClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#upstream.user = undefined
    this.#upstream.destroy()
    this.#onOver()
  }

  onUpstreamClose(_connected: boolean, cause: unknown): void {
    if (this.#closed) return
    this.#closed = true
    this.#onOver()
    // The client sees the same end: a failure as a failure, an orderly end as an orderly one.
    if (cause === undefined) endAndDestroy(this.#client.socket)
    else reset(this.#client.socket)
  }

  onGoingAway(): void {
    this.#close(1001)
  }

  /** Its one failure is that access was withdrawn. */
  fail(): void {
    this.#withdrawn = true
    this.#close(1008)
  }

  #close(code: number): void {
    const { socket } = this.#client
    // Nothing that the app sends may follow our close frame.
    this.#upstream.socket.pause()
    if (this.#frames.between && !socket.writableEnded)
      for (const piece of frame(opcodes.close, closePayload(code), undefined)) socket.write(piece)
    endAndDestroy(socket)
    // A client that does not read must not keep the connection open.
    this.#halfClosed = true
    this.#client.deadlineAt = this.#client.context.deadlines.in(this.#client.context.limits.lingerMs)
  }

  onDeadline(): void {
    this.#client.socket.destroy()
  }

  onBody(): void {}

  onUpstreamOpen(): void {}

  onInternalError(cause: unknown): void {
    this.#client.onInternalError(cause)
  }

  #renewDeadline(): void {
    if (!this.#halfClosed)
      this.#client.deadlineAt = this.#client.context.deadlines.in(this.#client.context.limits.tunnelIdleTimeoutMs)
  }

  #linger(): void {
    this.#halfClosed = true
    this.#client.deadlineAt = this.#client.context.deadlines.in(this.#client.context.limits.tunnelLingerMs)
  }
}
