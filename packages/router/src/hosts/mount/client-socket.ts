import type { Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import type { MessageConnection } from "@project-ingress/forward/sockets"

/** A connection of a node:http server, as the engine sees it: one object for all of its requests. */
export class ClientSocket implements MessageConnection {
  readonly remoteAddress: string
  readonly peerAddress: string
  readonly localPort: number
  readonly encrypted: boolean
  readonly #onClose = new Set<() => void>()

  private constructor(socket: Socket) {
    const { remoteAddress = "", localPort = 0, encrypted = false } = socket as Partial<TLSSocket>
    this.remoteAddress = this.peerAddress = remoteAddress
    this.localPort = localPort
    this.encrypted = encrypted
    // One listener for however many requests: node:http tells a response of its close only once it is the first in the line.
    socket.once("close", () => {
      for (const listener of this.#onClose) listener()
    })
  }

  static readonly #known = new WeakMap<Socket, ClientSocket>()

  static of(socket: Socket): ClientSocket {
    let known = ClientSocket.#known.get(socket)
    if (known === undefined) {
      known = new ClientSocket(socket)
      ClientSocket.#known.set(socket, known)
    }
    return known
  }

  /** Calls `listener` when the connection closes; gives the function that takes that back. */
  whenClosed(listener: () => void): () => void {
    this.#onClose.add(listener)
    return () => void this.#onClose.delete(listener)
  }
}
