import { createSocket } from "node:dgram"
import type { Socket } from "node:dgram"
import { isIPv6 } from "node:net"
import type { FarSide, FramedTunnel } from "./framed-tunnel.ts"

/** Datagrams that this host's kernel has not taken yet; above it the client waits. */
const MAX_SENDING = 64

/**
 * The socket that a UDP tunnel leads to. It is connected, so that datagrams of nobody else come in. One that the client does not take at
 * once is dropped, as any network may do.
 */
export class UdpSide implements FarSide {
  readonly #tunnel: FramedTunnel
  readonly #port: number
  readonly #hosts: string[]
  #socket: Socket
  #pieces: Uint8Array[] = []
  /** The datagram that was sent last, until somebody has responded: the app may listen on the other address. */
  #resendable: Uint8Array | undefined
  #sending = 0
  #connected = false
  /** Datagrams that wait for the socket to be connected, which takes no more than a turn. */
  #waiting: Uint8Array[] = []
  #clientFull = false
  #closed = false

  /** `hosts`: IP addresses, of which the next one is tried when nobody listens on the one before. */
  constructor(tunnel: FramedTunnel, hosts: readonly string[], port: number) {
    this.#tunnel = tunnel
    this.#port = port
    this.#hosts = [...hosts]
    this.#socket = this.#open(this.#hosts.shift()!)
  }

  #open(host: string): Socket {
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4")
    this.#connected = false
    socket.on("message", (bytes) => {
      this.#resendable = undefined
      this.#hosts.length = 0
      if (!this.#clientFull) this.#clientFull = !this.#tunnel.send(bytes)
    })
    socket.on("error", (error) => this.#onError(error))
    socket.connect(this.#port, host, () => {
      this.#connected = true
      for (const bytes of this.#waiting.splice(0)) this.#send(bytes)
    })
    return socket
  }

  /** Nobody listens there (an ICMP message said so), or the datagram cannot be sent. */
  #onError(error: NodeJS.ErrnoException): void {
    if (this.#closed) return
    const next = this.#hosts.shift()
    if (next === undefined) {
      // A server that restarts is nobody for a moment; the client sends again, as it must with UDP.
      if (error.code !== "ECONNREFUSED" && !this.#connected) this.#tunnel.reset()
      return
    }
    this.#socket.close()
    // What the old socket had to send is no longer waited for.
    this.#sending = 0
    this.#tunnel.client.resume()
    this.#socket = this.#open(next)
    if (this.#resendable !== undefined) this.#waiting.push(this.#resendable)
  }

  onData(bytes: Uint8Array, last: boolean): void {
    if (!last) {
      this.#pieces.push(bytes)
      return
    }
    const datagram = this.#pieces.length === 0 ? bytes : Buffer.concat([...this.#pieces, bytes])
    this.#pieces = []
    if (this.#connected) this.#send(datagram)
    else if (this.#waiting.length < MAX_SENDING) this.#waiting.push(datagram)
  }

  #send(datagram: Uint8Array): void {
    if (this.#hosts.length > 0) this.#resendable = datagram
    if (++this.#sending === MAX_SENDING) this.#tunnel.client.pause()
    const socket = this.#socket
    socket.send(datagram, (error) => {
      if (this.#closed) return
      if (socket !== this.#socket) return
      if (--this.#sending === 0) this.#tunnel.client.resume()
      if (error) this.#onError(error)
    })
  }

  onOpen(): void {}

  onEnd(): void {}

  onClientDrain(): void {
    this.#clientFull = false
  }

  onClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.close()
    this.#tunnel.client.context.pools.release()
  }
}
