import { base64url } from "jose"

/** The private key of an EdDSA pair, as a JSON Web Key (RFC 8037). The router signs tickets with it. */
export interface EdDsaSigningKey {
  readonly kty: "OKP"
  readonly crv: "Ed25519"
  readonly alg: "EdDSA"
  /** The key id, which each ticket names, so that several keys can be in use while keys rotate. Not empty. */
  readonly kid: string
  /** The public key: 32 bytes as base64url. */
  readonly x: string
  /** The private key: 32 bytes as base64url. */
  readonly d: string
}

/** The public key of an EdDSA pair. Machines verify tickets with it, and cannot sign any. */
export interface EdDsaVerificationKey extends Omit<EdDsaSigningKey, "d"> {
  readonly d?: never
}

/** One HS256 secret for router and machines, as a JSON Web Key. Whoever can verify with it can also sign with it. */
export interface SharedSecretKey {
  readonly kty: "oct"
  readonly alg: "HS256"
  readonly kid: string
  /** At least 32 bytes as base64url (RFC 7518 §3.2). */
  readonly k: string
}

/** A key that signs tickets: the private key of an EdDSA pair, or a shared secret. A public key is not a `SigningKey`. */
export type SigningKey = EdDsaSigningKey | SharedSecretKey

/**
 * A key that verifies tickets: the public key of an EdDSA pair, or a shared secret. A private key is not a `VerificationKey`: a
 * machine runs other people's code, so it should not be able to sign.
 */
export type VerificationKey = EdDsaVerificationKey | SharedSecretKey

/**
 * Generates an EdDSA pair: `signing` is for the router, `verification` for the machines.
 *
 * Rejects with a `TypeError` if `kid` is not a non-empty string, and with an error of WebCrypto where Ed25519 is not supported.
 */
export const generateTicketKeys = async (
  kid: string,
): Promise<{ readonly signing: EdDsaSigningKey; readonly verification: EdDsaVerificationKey }> => {
  if (typeof kid !== "string" || kid === "") throw new TypeError("kid must be a non-empty string")
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"])
  const { x, d } = (await crypto.subtle.exportKey("jwk", pair.privateKey)) as { x: string; d: string }
  const verification: EdDsaVerificationKey = { kty: "OKP", crv: "Ed25519", x, kid, alg: "EdDSA" }
  return { signing: { ...verification, d }, verification }
}

/** Why a value is not a {@link SigningKey}, without its content; `undefined` if it is one. */
export const validateSigningKey = (value: unknown): string | undefined => {
  const problem = validateKey(value)
  if (problem !== undefined) return problem
  const key = value as Readonly<Record<string, unknown>>
  if (key["kty"] === "oct") return undefined
  if (!("d" in key)) return `an EdDSA key that signs must be the private half, with "d"`
  return byteLength(key["d"]) === 32 ? undefined : `d of an EdDSA key must be 32 bytes in base64url`
}

/** Why a value is not a {@link VerificationKey}, without its content; `undefined` if it is one. */
export const validateVerificationKey = (value: unknown): string | undefined => {
  const problem = validateKey(value)
  if (problem !== undefined) return problem
  return "d" in (value as object) ? `an EdDSA key must be the public half, without "d"` : undefined
}

/**
 * Imports a key into WebCrypto, once per object. Rejects with a `TypeError` if the key is invalid, or if its public and private
 * key do not belong together.
 */
export const importSigningKey = (key: SigningKey): Promise<CryptoKey> => importOnce(key, validateSigningKey)

/** Imports a key into WebCrypto, once per object. Rejects with a `TypeError` if the key is invalid. */
export const importVerificationKey = (key: VerificationKey): Promise<CryptoKey> =>
  importOnce(key, validateVerificationKey)

const imported = new WeakMap<SigningKey | VerificationKey, Promise<CryptoKey>>()

const importOnce = async (
  key: SigningKey | VerificationKey,
  validate: (key: unknown) => string | undefined,
): Promise<CryptoKey> => {
  const problem = validate(key)
  if (problem !== undefined) throw new TypeError(problem)
  let known = imported.get(key)
  if (known === undefined) {
    known = importKey(key)
    imported.set(key, known)
  }
  return known
}

const importKey = async (key: SigningKey | VerificationKey): Promise<CryptoKey> => {
  if (key.kty === "oct") {
    const hmac = { name: "HMAC", hash: "SHA-256" }
    return crypto.subtle.importKey("raw", new Uint8Array(base64url.decode(key.k)), hmac, false, ["sign", "verify"])
  }
  const { kty, crv, x, d } = key
  const jwk = { kty, crv, x, ...(d === undefined ? {} : { d }) }
  try {
    return await crypto.subtle.importKey("jwk", jwk, "Ed25519", false, [d === undefined ? "verify" : "sign"])
  } catch (cause) {
    // The lengths were checked above, so this is the only reason left; WebCrypto reports "invalid" and no more.
    throw new TypeError("x and d of an EdDSA key must belong together", { cause })
  }
}

/** The checks that both kinds of key share. */
const validateKey = (value: unknown): string | undefined => {
  if (typeof value !== "object" || value === null) return "a key must be a JSON Web Key object"
  const key = value as Readonly<Record<string, unknown>>
  if (typeof key["kid"] !== "string" || key["kid"] === "") return `a key must have a "kid"`
  if (key["alg"] === "EdDSA") {
    return key["kty"] === "OKP" && key["crv"] === "Ed25519" && byteLength(key["x"]) === 32
      ? undefined
      : `an EdDSA key must have kty "OKP", crv "Ed25519" and x of 32 bytes in base64url`
  }
  if (key["alg"] === "HS256") {
    return key["kty"] === "oct" && byteLength(key["k"]) >= 32
      ? undefined
      : `an HS256 key must have kty "oct" and k of at least 32 bytes in base64url`
  }
  return `a key must have alg "EdDSA" or "HS256"`
}

/** How many bytes a base64url text without padding holds; -1 for any other value. */
const byteLength = (value: unknown): number =>
  typeof value === "string" && /^[\w-]*$/.test(value) && value.length % 4 !== 1
    ? Math.floor((value.length * 3) / 4)
    : -1
