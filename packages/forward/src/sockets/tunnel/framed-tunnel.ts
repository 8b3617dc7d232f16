import type { ClientConnection } from "../connection/client-connection.ts"
import type { ConnectionHandler } from "../connection/connection-handler.ts"
import type { Tunnel } from "../../tunnel/tunnel-protocol.ts"
import type { ByteCount } from "./websocket-tunnel.ts"
import { noKey } from "../../websocket/frame-writer.ts"
import { TunnelEnd } from "../../tunnel/tunnel-end.ts"
import type { TunnelClosed } from "../../tunnel/tunnel-end.ts"
import { flushed } from "../io/write.ts"
import { keepTcpAlive } from "./keep-tcp-alive.ts"

/** What a tunnel leads to: a connection or a socket of this host. */
export interface FarSide {
  /** The client's handshake has its response: what came early may go to it. */
  onOpen(): void
  /** Bytes from the client; of a datagram `last` are the last ones. */
  onData(bytes: Uint8Array, last: boolean): void
  /** The client's FIN. */
  onEnd(): void
  /** The tunnel is over. `orderly`: both sides had ended. */
  onClose(orderly: boolean): void
  /** The client takes more. */
  onClientDrain(): void
}

/** A WebSocket whose frames are read here, because they carry bytes that are not HTTP: the end of a tunnel in a machine. */
export class FramedTunnel implements ConnectionHandler {
  readonly wantsBody = false
  readonly blocked = false
  readonly client: ClientConnection
  readonly #end: TunnelEnd
  readonly #far: FarSide
  readonly #record: ByteCount
  readonly #onOver: () => void
  readonly #idleMs: number
  readonly #pingMs: number
  /** When a byte of the payload last came or went: pings are not counted. */
  #dataAt = performance.now()

  /** `farSide` gets the tunnel; `onOver` is called once. */
  constructor(
    kind: Tunnel,
    client: ClientConnection,
    farSide: (tunnel: FramedTunnel) => FarSide,
    record: ByteCount,
    onOver: () => void,
  ) {
    const { tunnelIdleTimeoutMs, datagramIdleTimeoutMs, tunnelPingMs } = client.context.limits
    this.client = client
    this.#record = record
    this.#onOver = onOver
    this.#idleMs = kind === "udp" ? datagramIdleTimeoutMs : tunnelIdleTimeoutMs
    this.#pingMs = tunnelPingMs
    this.#end = new TunnelEnd(kind, false, noKey, {
      onData: (bytes, last) => {
        this.#dataAt = performance.now()
        this.#far.onData(bytes, last)
      },
      onEnd: () => this.#far.onEnd(),
      onClose: (closed) => this.#onClosed(closed),
      write: (pieces) => this.#write(pieces),
    })
    this.#far = farSide(this)
  }

  /** Takes the client's connection; bytes that came early go first. */
  open(): void {
    const { client } = this
    client.setHandler(this)
    keepTcpAlive(client.socket)
    client.resume()
    this.#renewDeadline()
    this.#far.onOpen()
    const early = client.readRest()
    if (early.length > 0) this.onBytes(early)
    if (client.ended) this.onClientEnd()
  }

  onBytes(bytes: Uint8Array): boolean {
    if (this.#end.closed) return true
    this.#record.bytesIn += bytes.length
    this.#end.push(bytes)
    this.#renewDeadline()
    return true
  }

  /** Sends bytes, or a datagram, to the client. False if the far side must wait for `onClientDrain`. */
  send(bytes: Uint8Array): boolean {
    this.#dataAt = performance.now()
    const more = this.#end.send(bytes)
    this.#renewDeadline()
    return more
  }

  /** The far side's FIN. */
  end(): void {
    this.#end.end()
  }

  /** The far side was reset. */
  reset(): void {
    this.#end.close(1011)
  }

  #write(pieces: readonly Uint8Array[]): boolean {
    const { socket } = this.client
    let more = true
    socket.cork()
    for (const piece of pieces) {
      this.#record.bytesOut += piece.length
      more = socket.write(piece)
    }
    socket.uncork()
    return flushed(socket, more)
  }

  #onClosed({ code }: TunnelClosed): void {
    const { client } = this
    this.#far.onClose(code === 1000 && this.#end.bothEnded)
    // The end of our side comes after what was written, however slowly the client reads, but for one that nobody wants any more.
    client.end()
    if (code !== 1000) client.deadlineAt = client.context.deadlines.in(client.context.limits.lingerMs)
    this.#onOver()
  }

  onClientDrain(): void {
    this.#end.drained()
    if (!this.#end.closed) this.#far.onClientDrain()
  }

  onClientEnd(): void {
    // RFC 6455 §7.1.5: without a close frame it is a failure.
    this.#end.lost()
  }

  onClientClose(): void {
    this.#end.lost()
  }

  onGoingAway(): void {
    this.#end.close(1001)
  }

  /** Its one failure is that access was withdrawn. */
  fail(): void {
    this.#end.close(1008)
  }

  onDeadline(): void {
    const { client } = this
    if (this.#end.closed) client.socket.destroy()
    else if (this.#idleMs > 0 && performance.now() - this.#dataAt >= this.#idleMs) this.#end.close(1011, "idle")
    else {
      // To a client that does not read, pings would only pile up.
      if (client.socket.writableLength === 0) this.#end.ping()
      this.#renewDeadline()
    }
  }

  onBody(): void {}

  #renewDeadline(): void {
    if (this.#end.closed) return
    const { deadlines } = this.client.context
    const idleAt = this.#idleMs === 0 ? Infinity : this.#dataAt + this.#idleMs
    const pingAt = this.#pingMs === 0 ? Infinity : deadlines.in(this.#pingMs)
    const at = Math.min(idleAt, pingAt)
    this.client.deadlineAt = at === Infinity ? 0 : at
  }
}
