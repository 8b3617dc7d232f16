import type { UpstreamUser } from "../connection/connection-handler.ts"
import type { UpstreamConnection } from "../connection/upstream-connection.ts"
import type { FarSide, FramedTunnel } from "./framed-tunnel.ts"
import { MAX_BINARY } from "../../tunnel/tunnel-end.ts"
import { flushed, reset } from "../io/write.ts"
import { keepTcpAlive } from "./keep-tcp-alive.ts"

/** The connection that a TCP tunnel leads to. Each side goes at the pace of the other, and each may end before the other. */
export class TcpSide implements FarSide, UpstreamUser {
  readonly #tunnel: FramedTunnel
  readonly #upstream: UpstreamConnection

  constructor(tunnel: FramedTunnel, upstream: UpstreamConnection) {
    this.#tunnel = tunnel
    this.#upstream = upstream
    upstream.user = this
    tunnel.client.context.pools.uncount(upstream)
    keepTcpAlive(upstream.socket)
  }

  onOpen(): void {
    this.onUpstreamData()
    if (this.#upstream.socket.readableEnded) this.#tunnel.end()
  }

  onData(bytes: Uint8Array): void {
    const { socket } = this.#upstream
    if (!flushed(socket, socket.write(bytes))) this.#tunnel.client.pause()
  }

  onEnd(): void {
    this.#upstream.socket.end()
  }

  onClientDrain(): void {
    this.#upstream.socket.resume()
  }

  onClose(orderly: boolean): void {
    const upstream = this.#upstream
    upstream.user = undefined
    if (orderly) {
      // What was written to the app is still on its way, then our FIN.
      const { deadlines, limits } = this.#tunnel.client.context
      upstream.deadlineAt = deadlines.in(limits.tunnelLingerMs)
      return
    }
    reset(upstream.socket)
    upstream.destroy()
  }

  onUpstreamData(): void {
    const bytes = this.#upstream.reader.rest()
    let more = true
    for (let at = 0; at < bytes.length; at += MAX_BINARY) more = this.#tunnel.send(bytes.subarray(at, at + MAX_BINARY))
    if (!more) this.#upstream.socket.pause()
  }

  onUpstreamEnd(): void {
    this.onUpstreamData()
    this.#tunnel.end()
  }

  onUpstreamDrain(): void {
    this.#tunnel.client.resume()
  }

  onUpstreamClose(_connected: boolean, cause: unknown): void {
    if (cause === undefined) this.#tunnel.end()
    else this.#tunnel.reset()
  }

  onUpstreamOpen(): void {}

  onInternalError(cause: unknown): void {
    this.#tunnel.client.onInternalError(cause)
  }
}
