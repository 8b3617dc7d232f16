import type { VisitorRequest } from "../program/sender.ts"

/** Who asked for what, as seen from here: the peer only, because every earlier hop's claim is unproven (RFC 7239 §8.1). */
export const clientFields = (request: VisitorRequest): string[] => {
  const { host, scheme } = request
  const address = peerAddress(request.clientAddress)
  const out = ["X-Forwarded-Host", host, "X-Forwarded-Proto", scheme]
  if (address !== undefined) out.push("X-Forwarded-For", address)
  // RFC 7239 §4 and §6: whatever is no token, such as `:` and `[`, is quoted.
  const node = address === undefined ? "" : `for=${address.includes(":") ? `"[${address}]"` : address};`
  out.push("Forwarded", `${node}host=${host.includes(":") ? `"${host}"` : host};proto=${scheme}`)
  return out
}

/** An IP address without zone; a socket on `::` shows IPv4 peers as `::ffff:192.0.2.1`. Anything else is no address. */
const peerAddress = (address: string | undefined): string | undefined => {
  if (address === undefined) return undefined
  const plain = address.replace(/%.*$/s, "").replace(/^::ffff:(?=\d+\.)/i, "")
  return /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:.]{2,45})$/i.test(plain) ? plain : undefined
}
