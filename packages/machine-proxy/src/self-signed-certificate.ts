import type { KeyObject } from "node:crypto"
import { createPublicKey, sign } from "node:crypto"

/** Kinds of keys that a certificate can be made for: the algorithm that signs it, in DER, and the hash that it uses. */
const algorithms: Readonly<Record<string, { readonly der: string; readonly hash: string | null } | undefined>> = {
  // ecdsa-with-SHA256 (RFC 5758 §3.2), sha256WithRSAEncryption (RFC 4055 §5), Ed25519 (RFC 8410 §3).
  ec: { der: "300a06082a8648ce3d040302", hash: "sha256" },
  rsa: { der: "300d06092a864886f70d01010b0500", hash: "sha256" },
  ed25519: { der: "300506032b6570", hash: null },
}

/**
 * The certificate that TLS carries a public key in (RFC 5280 §4.1), signed by the key itself; `undefined` for a kind of key that
 * TLS does not sign with. Nobody reads anything but the key in it, so the rest is constant: no name, no date, no extension.
 */
export const selfSignedCertificate = (key: KeyObject): string | undefined => {
  const algorithm = algorithms[key.asymmetricKeyType ?? ""]
  if (algorithm === undefined) return undefined
  const signed = Buffer.from(algorithm.der, "hex")
  const name = sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from("project-ingress machine")))))
  const contents = sequence(
    // Version 3, which some libraries insist on, and the serial number 1.
    Buffer.from("a003020102020101", "hex"),
    signed,
    name,
    // From 1970 to what RFC 5280 §4.1.2.5 has for "no end": the machine's clock may be wrong.
    sequence(der(0x17, Buffer.from("700101000000Z")), der(0x18, Buffer.from("99991231235959Z"))),
    name,
    createPublicKey(key).export({ type: "spki", format: "der" }),
  )
  const signature = Buffer.concat([Buffer.of(0), sign(algorithm.hash, contents, key)])
  const certificate = sequence(contents, signed, der(0x03, signature))
  const lines = certificate.toString("base64").replaceAll(/.{64}(?!$)/g, "$&\n")
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}

const COMMON_NAME = Buffer.from("0603550403", "hex")

/** One element: tag, length, contents (X.690 §8.1). */
const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const contents = Buffer.concat(parts)
  const { length } = contents
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...size), contents])
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts)
