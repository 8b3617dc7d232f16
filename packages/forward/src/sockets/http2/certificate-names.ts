import type { X509Certificate } from "node:crypto"
import { isIP } from "node:net"
import type { Duplex } from "node:stream"
import type { TLSSocket } from "node:tls"

/** Names that one connection remembers; a client that asks for more has them looked up again. */
const MAX_NAMES = 256

/**
 * Whether requests for a host belong on a connection: the client asked for it in its handshake, or the certificate that it was shown
 * covers it (RFC 9113 §9.1.1). By the certificate itself, because the server may have chosen among several. Where nothing is known of
 * one, every request does.
 */
export const certificateNames = (socket: Duplex): ((authority: string) => boolean) => {
  const { getX509Certificate, servername } = socket as Partial<TLSSocket> & { readonly servername?: unknown }
  // Without a name a client asked for an address, which has no place in SNI (RFC 6066 §3).
  const asked = typeof servername === "string" && servername !== "" ? servername.toLowerCase() : undefined
  const known = new Map<string, boolean>()
  let certificate: X509Certificate | undefined
  let read = false

  const isCovered = (host: string): boolean => {
    if (!read) {
      read = true
      certificate = getX509Certificate?.call(socket)
    }
    if (certificate === undefined) return true
    if (isIP(host) !== 0) return asked === undefined || certificate.checkIP(host) !== undefined
    return covers(certificate, host)
  }
  return (authority) => {
    const host = hostOf(authority)
    if (host === asked) return true
    let covered = known.get(host)
    if (covered === undefined) {
      if (known.size >= MAX_NAMES) known.clear()
      covered = isCovered(host)
      known.set(host, covered)
    }
    return covered
  }
}

/** OpenSSL has a wildcard stand for letters, digits and hyphens only, so that none would cover `3000__misha.iterate.app`. */
const covers = (certificate: X509Certificate, host: string): boolean =>
  certificate.checkHost(host, { subject: "never" }) !== undefined ||
  (host.includes("_") &&
    certificate.checkHost(host.replaceAll("_", "x"), { subject: "never" })?.startsWith("*.") === true)

/** In lower case, without port, brackets and the dot of a fully qualified name. */
const hostOf = (authority: string): string =>
  authority
    .replace(/:\d*$/, "")
    .replace(/^\[|\]$|\.$/g, "")
    .toLowerCase()
