import { createSocket } from "node:dgram"
import type { Socket } from "node:dgram"
import { lookup } from "node:dns"
import type { LookupAddress } from "node:dns"
import { isIP } from "node:net"
import type { AddressRule } from "../address.ts"
import { checkedLookup, refusedLiteral } from "../sockets/connection/checked-lookup.ts"
import type { ChannelEvents, DatagramChannel, OpenChannel } from "./contract.ts"

/** Where the datagrams of a flow go. */
export interface UdpAddress {
  /** A hostname or IP address. */
  readonly host: string
  readonly port: number
  /**
   * Which addresses may be sent to, where a record or a visitor chose the host: a name is resolved once, every address that it has is
   * checked, and one of those is sent to. Default: any.
   */
  readonly addresses?: AddressRule
}

/** What waits in the socket of one flow at most, in bytes; more is dropped, as UDP does. */
const MAX_QUEUED = 262_144

/** A flow's datagrams to an app by a socket of the flow's own, so that only the app's answers come back by it. */
export const udpChannel =
  ({ host, port, addresses }: UdpAddress): OpenChannel =>
  (events) => {
    const channel = new UdpChannel(port, events)
    const literal = isIP(host)
    const refused = addresses === undefined || literal === 0 ? undefined : refusedLiteral(host, addresses)
    if (refused !== undefined) channel.fail(refused)
    else if (literal !== 0) channel.connect(host, literal)
    else {
      const resolve = addresses === undefined ? lookup : checkedLookup(addresses)
      resolve(host, { all: true }, (error: Error | null, found: string | LookupAddress[]) => {
        const [first] = Array.isArray(found) ? found : []
        if (first === undefined) channel.fail(error ?? new Error(`${JSON.stringify(host)} has no address`))
        else channel.connect(first.address, first.family)
      })
    }
    return channel
  }

class UdpChannel implements DatagramChannel {
  readonly #port: number
  readonly #events: ChannelEvents
  #socket: Socket | undefined
  #connected = false
  #closed = false
  /** What is to be sent before the name is resolved. The flow has bounded how many there are. */
  #waiting: Uint8Array[] = []

  constructor(port: number, events: ChannelEvents) {
    this.#port = port
    this.#events = events
  }

  connect(address: string, family: number): void {
    if (this.#closed) return
    const socket = createSocket(family === 6 ? "udp6" : "udp4")
    this.#socket = socket
    socket.on("message", (bytes) => this.#events.onDatagram(bytes))
    // ICMP says that nobody listens there; what a connected socket hears is of its own peer.
    socket.on("error", (cause) => this.fail(cause))
    socket.connect(this.#port, address, () => {
      if (this.#closed) return
      this.#connected = true
      for (const bytes of this.#waiting.splice(0)) this.send(bytes)
    })
  }

  readonly send = (bytes: Uint8Array): void => {
    if (this.#closed) return
    if (!this.#connected) {
      if (this.#waiting.length < 16) this.#waiting.push(bytes)
    } else if (this.#socket!.getSendQueueSize() <= MAX_QUEUED) {
      this.#socket!.send(bytes, (error) => {
        if (error) this.fail(error)
      })
    }
  }

  readonly close = (): void => {
    if (this.#closed) return
    this.#closed = true
    this.#waiting = []
    this.#socket?.close()
  }

  /** Later, because the flow may not have this channel yet. */
  fail(cause: unknown): void {
    if (this.#closed) return
    this.close()
    queueMicrotask(() => this.#events.onClose(cause))
  }
}
