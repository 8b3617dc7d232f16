import type { TLSSocket } from "node:tls"
import { createHash, createPublicKey, KeyObject } from "node:crypto"
import { PIN_MISMATCH } from "../../public-key-pin.ts"

/**
 * The pin of a public key, for `Endpoint.pin` of a machine and curl's `--pinnedpubkey`: `sha256//` and the base64 of the SHA-256 of
 * its SubjectPublicKeyInfo (RFC 7469 §2.4). Takes a key, or the PEM text of a public key, of its private key or of a certificate.
 *
 * @throws for any other text, and for a private key that is encrypted
 */
export const publicKeyPin = (key: KeyObject | string): string => {
  const publicKey = key instanceof KeyObject && key.type === "public" ? key : createPublicKey(key)
  const info = publicKey.export({ type: "spki", format: "der" })
  return `sha256//${createHash("sha256").update(info).digest("base64")}`
}

/**
 * What a pinned connection is opened with. The key is all that is looked at, so neither chain nor name of the certificate is. And
 * no session is ever resumed: the keys of an earlier handshake would stand for the peer, and not its certificate (RFC 8446 §2.2).
 */
export const pinnedTls = { rejectUnauthorized: false, session: undefined } as const

/** Why the peer of a connection just opened is not the one with the pinned key; `undefined` if it is. Once per connection. */
export const pinMismatch = (socket: TLSSocket, pin: string): Error | undefined => {
  // A second call gives nothing on Node 22 and 24.
  const certificate = socket.getPeerX509Certificate()
  if (certificate !== undefined && publicKeyPin(certificate.publicKey) === pin) return undefined
  return Object.assign(new Error("the peer has another public key than the pinned one"), { code: PIN_MISMATCH })
}
