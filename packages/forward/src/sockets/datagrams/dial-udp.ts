import { createSocket } from "node:dgram"
import type { Socket } from "node:dgram"
import { lookup } from "node:dns"
import { isIP, isIPv6 } from "node:net"
import type { AddressRule } from "../../address.ts"
import { checkedLookup, refusedLiteral } from "../connection/checked-lookup.ts"
import type { DatagramReplies, DatagramTarget } from "../contract/datagrams.ts"
import type { UpstreamAddress, UpstreamError } from "../contract/upstream.ts"

/** Datagrams that the kernel has not taken yet; beyond, more are dropped. */
const MAX_SENDING = 64

/** A socket for datagrams from and to one address. Exactly one of the two functions must be called. */
export interface DialedDatagrams {
  readonly open: (replies: DatagramReplies) => DatagramTarget
  readonly discard: () => void
}

/**
 * Opens a socket for datagrams to an address that its rule allows: a name is resolved once, every address that it has is checked, and the first is
 * sent to. The socket is connected, so that nobody else's datagrams come in. Never rejects.
 */
export const dialUdp = async ({
  host,
  port,
  addresses,
  tls,
  pin,
}: UpstreamAddress): Promise<DialedDatagrams | UpstreamError> => {
  try {
    if (tls !== undefined || pin !== undefined) {
      throw new Error("datagrams are passed on as they are: the address must have neither tls nor pin")
    }
    const address = await resolved(host, addresses)
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4")
    await connected(socket, port, address)
    return { open: (replies) => target(socket, replies), discard: () => void socket.close() }
  } catch (cause) {
    return { tag: "ProviderUnavailable", sent: "no", cause }
  }
}

const resolved = (host: string, rule: AddressRule | undefined): Promise<string> => {
  const refused = rule && refusedLiteral(host, rule)
  if (refused !== undefined) return Promise.reject(refused)
  if (isIP(host) !== 0) return Promise.resolve(host)
  const look = rule === undefined ? lookup : checkedLookup(rule)
  return new Promise((resolve, reject) => {
    look(host, {}, (error, address) => {
      if (error !== null) reject(error)
      else if (typeof address === "string") resolve(address)
      else reject(new Error("no address"))
    })
  })
}

const connected = (socket: Socket, port: number, address: string): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.once("error", (cause) => {
      socket.close()
      reject(cause)
    })
    socket.connect(port, address, () => {
      socket.removeAllListeners("error")
      // Nobody listens there for a moment, as an ICMP message said: the client sends again, as it must with UDP.
      socket.on("error", () => undefined)
      resolve()
    })
  })

const target = (socket: Socket, { onDatagram, onClose }: DatagramReplies): DatagramTarget => {
  let sending = 0
  let isClosed = false
  socket.on("message", (bytes) => onDatagram(bytes))
  socket.on("close", () => {
    if (!isClosed) onClose()
  })
  return {
    send: (bytes) => {
      if (isClosed || sending >= MAX_SENDING) return false
      sending++
      socket.send(bytes, () => sending--)
      return true
    },
    close: () => {
      if (isClosed) return
      isClosed = true
      socket.close()
    },
  }
}
