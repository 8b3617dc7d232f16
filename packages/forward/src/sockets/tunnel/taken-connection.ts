import type { Duplex } from "node:stream"
import type { ClientConnection } from "../connection/client-connection.ts"
import type { ConnectionHandler } from "../connection/connection-handler.ts"
import type { TakeOver } from "../contract/decision.ts"
import type { ByteCount } from "./websocket-tunnel.ts"

/** A connection that somebody else has: the engine only knows that it is open, and ends it when nobody may wait any longer. */
export class TakenConnection implements ConnectionHandler {
  readonly wantsBody = false
  readonly blocked = false
  readonly #client: ClientConnection
  readonly #record: ByteCount
  readonly #onOver: () => void
  /** What had passed of the socket before. */
  readonly #before: ByteCount

  /** `onOver` is called once. */
  constructor(client: ClientConnection, record: ByteCount, onOver: () => void) {
    this.#client = client
    this.#record = record
    this.#onOver = onOver
    this.#before = bytesOf(client.socket)
  }

  /** Gives it away, with what came early of it. */
  give(takeOver: TakeOver["takeOver"]): void {
    const { socket } = this.#client
    const head = this.#client.giveAway(this)
    this.#before.bytesIn -= head.length
    const failed = (cause: unknown): void => this.#client.onInternalError(cause)
    // Its end was heard here and is emitted once: whoever took it would wait for the client forever.
    if (this.#client.ended) socket.destroy()
    else Promise.resolve(takeOver(socket, head)).catch(failed)
  }

  onClientClose(): void {
    const { bytesIn, bytesOut } = bytesOf(this.#client.socket)
    this.#record.bytesIn = bytesIn - this.#before.bytesIn
    this.#record.bytesOut = bytesOut - this.#before.bytesOut
    this.#onOver()
  }

  onGoingAway(): void {
    this.#client.socket.destroy()
  }

  fail(): void {
    this.#client.socket.destroy()
  }

  onDeadline(): void {}

  onBody(): void {}

  onBytes(): boolean {
    return true
  }

  onClientDrain(): void {}

  onClientEnd(): void {}
}

/** Sockets of node:net and node:tls count; of other streams nothing is known. */
const bytesOf = (socket: Duplex): ByteCount => {
  const { bytesRead = 0, bytesWritten = 0 } = socket as { readonly bytesRead?: number; readonly bytesWritten?: number }
  return { bytesIn: bytesRead, bytesOut: bytesWritten }
}
