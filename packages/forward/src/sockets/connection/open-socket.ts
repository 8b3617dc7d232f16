import type { UpstreamAddress } from "../contract/upstream.ts"
import { connect, isIP, Socket } from "node:net"
import { connect as connectTls } from "node:tls"
import { checkedLookup, refusedLiteral } from "./checked-lookup.ts"
import { pinnedTls } from "./peer-key.ts"

/** A high-water mark of 1, so that the stream of a paused connection holds one read and not two. While it flows it has no effect. */
const SOCKET_OPTIONS = { noDelay: true, allowHalfOpen: true, readableHighWaterMark: 1 }

export const isSecure = ({ tls, pin }: UpstreamAddress): boolean => tls !== undefined || pin !== undefined

/**
 * Begins to connect to an address that its rule allows; otherwise the socket fails. A peer's pin is for the caller to compare. For HTTP/2 as
 * Node's own client wants it.
 */
export const openSocket = (origin: UpstreamAddress, protocol: "http/1.1" | "h2" = "http/1.1"): Socket => {
  const { host, port, tls, pin, addresses } = origin
  const refused = addresses === undefined ? undefined : refusedLiteral(host, addresses)
  if (refused !== undefined) return new Socket().destroy(refused)
  const lookup = addresses === undefined || isIP(host) !== 0 ? {} : { lookup: checkedLookup(addresses) }
  const options = { ...(protocol === "h2" ? { noDelay: true } : SOCKET_OPTIONS), host, port, ...lookup }
  if (!isSecure(origin)) return connect(options)
  // RFC 6066 §3: an IP address is no server name.
  const name = isIP(host) === 0 ? { servername: host } : {}
  return connectTls({
    ...name,
    ...tls,
    ...options,
    ...(pin === undefined ? {} : pinnedTls),
    ALPNProtocols: [protocol],
  })
}
