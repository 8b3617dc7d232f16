import { createSocket } from "node:dgram"
import type { Socket } from "node:dgram"
import { isIPv6 } from "node:net"
import { openDatagramTunnel } from "@project-ingress/forward/sockets"
import type { DatagramTunnel, TunnelOptions } from "@project-ingress/forward/sockets"
import type { ForwardEvents } from "./forward-tcp.ts"

/** Local senders at a time; the datagrams of one more are dropped. */
const MAX_SENDERS = 256
/** Datagrams of one sender that wait for its tunnel; more are dropped. */
const MAX_WAITING = 16
/** Without a datagram of either side for so long, in ms, a sender has left (RFC 4787 §4.3). */
const IDLE_MS = 120_000

interface Sender {
  tunnel: DatagramTunnel | undefined
  readonly waiting: Uint8Array[]
  readonly idle: ReturnType<typeof setTimeout>
  readonly left: AbortController
  readonly endWait: () => void
}

/** A socket that opens a tunnel for each local address that sends, by which the responses come back. `close` ends them all. */
export const udpForwarder = (address: string, tunnel: TunnelOptions, { onEnd, beginWait }: ForwardEvents): Socket => {
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4")
  const senders = new Map<string, Sender>()

  const begin = (key: string, port: number, host: string): Sender => {
    const left = new AbortController()
    const endWait = beginWait()
    const end = (error: unknown): void => {
      endWait()
      if (senders.get(key) !== sender) return
      clearTimeout(sender.idle)
      senders.delete(key)
      left.abort()
      sender.tunnel?.close()
      onEnd(error)
    }
    const sender: Sender = {
      tunnel: undefined,
      waiting: [],
      idle: setTimeout(() => end(undefined), IDLE_MS),
      left,
      endWait,
    }
    openDatagramTunnel(
      { ...tunnel, signal: left.signal },
      {
        onDatagram: (bytes) => {
          sender.idle.refresh()
          // Only ever to whoever has sent: nothing can be sent to others by this socket.
          if (senders.get(key) === sender) socket.send(bytes, port, host)
        },
        onClose: end,
      },
    ).then((opened) => {
      endWait()
      if (senders.get(key) !== sender) {
        opened.close()
        return
      }
      sender.tunnel = opened
      for (const bytes of sender.waiting.splice(0)) opened.send(bytes)
    }, end)
    return sender
  }

  socket.on("message", (bytes, { port, address: host }) => {
    const key = `${host} ${port}`
    let sender = senders.get(key)
    if (sender === undefined) {
      if (senders.size >= MAX_SENDERS) return
      senders.set(key, (sender = begin(key, port, host)))
    }
    sender.idle.refresh()
    if (sender.tunnel !== undefined) sender.tunnel.send(bytes)
    else if (sender.waiting.length < MAX_WAITING) sender.waiting.push(bytes)
  })
  socket.on("close", () => {
    for (const { idle, endWait, left, tunnel: opened } of senders.values()) {
      clearTimeout(idle)
      endWait()
      left.abort()
      opened?.close()
    }
    senders.clear()
  })
  return socket
}
