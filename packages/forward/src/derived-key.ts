import { base64url } from "jose"
import { framed } from "./framed.ts"
import type { SigningKey } from "./ticket-keys.ts"

/**
 * 32 bytes that only a holder of the secret half of a key can compute (HKDF-SHA-256, RFC 5869). `purpose` names what they are for, and
 * `of` whose they are: whoever has the bytes of one learns nothing about another's, nor about the key.
 */
export const derivedBytes = async (
  key: SigningKey,
  purpose: string,
  ...of: string[]
): Promise<Uint8Array<ArrayBuffer>> => {
  const input = new Uint8Array(base64url.decode(key.kty === "oct" ? key.k : key.d))
  const material = await crypto.subtle.importKey("raw", input, "HKDF", false, ["deriveBits"])
  const info = framed(purpose, key.kid, ...of)
  const algorithm = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info }
  return new Uint8Array(await crypto.subtle.deriveBits(algorithm, material, 256))
}

/** Bytes as a key for HMAC-SHA-256. */
export const hmacKey = (secret: Uint8Array<ArrayBuffer>): Promise<CryptoKey> =>
  crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"])
