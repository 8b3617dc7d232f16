import { canonicalAddress } from "../../address.ts"
import { ipv6Groups } from "../../ip-address.ts"

/** Who connected to what, as a header of the PROXY protocol says it. */
export interface ProxiedConnection {
  /** The client's address; `undefined` or no IP address: unknown. */
  readonly sourceAddress: string | undefined
  readonly sourcePort: number
  /** What the client connected to. */
  readonly destinationAddress: string | undefined
  readonly destinationPort: number
}

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1")
/** Version 2, command PROXY. */
const PROXY = 0x21
const [UNSPECIFIED, TCP4, TCP6] = [0x00, 0x11, 0x21]

/**
 * A header of the PROXY protocol (haproxy.org, proxy-protocol.txt), version 1 (text) or 2 (binary), to be sent before a connection's first
 * byte. Where an address is unknown the header says so: `UNKNOWN`, or the family AF_UNSPEC. An IPv4 and an IPv6 address together are
 * written as IPv6.
 */
export const writeProxyHeader = (version: 1 | 2, connection: ProxiedConnection): Buffer => {
  const source = canonicalAddress(connection.sourceAddress ?? "")
  const destination = canonicalAddress(connection.destinationAddress ?? "")
  const known = source !== undefined && destination !== undefined
  const isSix = known && (source.includes(":") || destination.includes(":"))
  const { sourcePort, destinationPort } = connection
  if (version === 1) {
    if (!known) return Buffer.from("PROXY UNKNOWN\r\n", "latin1")
    const addresses = isSix ? [asSix(source), asSix(destination)] : [source, destination]
    const words = ["PROXY", isSix ? "TCP6" : "TCP4", ...addresses, sourcePort, destinationPort]
    return Buffer.from(`${words.join(" ")}\r\n`, "latin1")
  }
  const addresses = known ? Buffer.concat([source, destination].map(isSix ? sixBytes : fourBytes)) : Buffer.alloc(0)
  const ports = Buffer.alloc(known ? 4 : 0)
  if (known) {
    ports.writeUInt16BE(sourcePort, 0)
    ports.writeUInt16BE(destinationPort, 2)
  }
  const fixed = Buffer.from([PROXY, known ? (isSix ? TCP6 : TCP4) : UNSPECIFIED, 0, addresses.length + ports.length])
  return Buffer.concat([SIGNATURE, fixed, addresses, ports])
}

const asSix = (address: string): string => (address.includes(":") ? address : `::ffff:${address}`)

const fourBytes = (address: string): Buffer => Buffer.from(address.split(".").map(Number))

const sixBytes = (address: string): Buffer => {
  if (!address.includes(":")) return Buffer.concat([Buffer.alloc(10), Buffer.from([255, 255]), fourBytes(address)])
  const bytes = Buffer.alloc(16)
  for (const [at, group] of ipv6Groups(address).entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), at * 2)
  return bytes
}
