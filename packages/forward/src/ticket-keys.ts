import { base64url } from "jose"
import { isEd25519Point } from "./ed25519-point.ts"

/** The private half of an EdDSA pair, as a JSON Web Key (RFC 8037): signs tickets. The router's. */
export interface EdDsaSigningKey {
  readonly kty: "OKP"
  readonly crv: "Ed25519"
  readonly alg: "EdDSA"
  /** Names the key in a ticket, so that several can be in use while keys rotate. */
  readonly kid: string
  /** The public half: 32 bytes as base64url. */
  readonly x: string
  /** The private half: 32 bytes as base64url. */
  readonly d: string
}

/** The public half of an EdDSA pair: verifies tickets and cannot sign any. The machines'. */
export interface EdDsaVerificationKey extends Omit<EdDsaSigningKey, "d"> {
  readonly d?: never
  /**
   * One machine's own secret, 32 bytes as base64url, with which it proves that it is that machine: of `machineKey`. Without it a
   * machine verifies tickets and proves nothing, and a router refuses its responses unless it has `unprovenMachines`.
   */
  readonly machineSecret?: string
}

/**
 * One HS256 secret for both sides, as a JSON Web Key. Whoever verifies with it can sign with it, too: each machine that holds it
 * can send requests to every other one, and prove to be any of them.
 */
export interface SharedSecretKey {
  readonly kty: "oct"
  readonly alg: "HS256"
  readonly kid: string
  /** At least 32 bytes as base64url (RFC 7518 §3.2). */
  readonly k: string
}

/** Signs tickets. The public half of a pair is not one. */
export type SigningKey = EdDsaSigningKey | SharedSecretKey

/** Verifies tickets. The private half of a pair is not one: a machine runs other people's code and must not be able to sign. */
export type VerificationKey = EdDsaVerificationKey | SharedSecretKey

/** A fresh EdDSA pair: the private half for the router, the public half for the machines. `kid` must not be empty. */
export const generateTicketKeys = async (
  kid: string,
): Promise<{ readonly signing: EdDsaSigningKey; readonly verification: EdDsaVerificationKey }> => {
  if (typeof kid !== "string" || kid === "") throw new TypeError("kid must be a non-empty string")
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"])
  const { x, d } = (await crypto.subtle.exportKey("jwk", pair.privateKey)) as { x: string; d: string }
  const verification: EdDsaVerificationKey = { kty: "OKP", crv: "Ed25519", x, kid, alg: "EdDSA" }
  return { signing: { ...verification, d }, verification }
}

/** What is wrong with a value that should be a {@link SigningKey}, never its content; `undefined` for a good one. */
export const validateSigningKey = (value: unknown): string | undefined => signingProblem(value) ?? pointProblem(value)

/** What is wrong with a value that should be a {@link VerificationKey}, never its content; `undefined` for a good one. */
export const validateVerificationKey = (value: unknown): string | undefined =>
  verificationProblem(value) ?? pointProblem(value)

const signingProblem = (value: unknown): string | undefined => {
  const problem = validateKey(value)
  if (problem !== undefined) return problem
  const key = value as Readonly<Record<string, unknown>>
  if (key["kty"] === "oct") return undefined
  if (!("d" in key)) return `an EdDSA key that signs must be the private half, with "d"`
  return byteLength(key["d"]) === 32 ? undefined : `d of an EdDSA key must be 32 bytes in base64url`
}

const verificationProblem = (value: unknown): string | undefined => {
  const problem = validateKey(value)
  if (problem !== undefined) return problem
  if ("d" in (value as object)) return `an EdDSA key must be the public half, without "d"`
  const { machineSecret } = value as { readonly machineSecret?: unknown }
  return machineSecret === undefined || byteLength(machineSecret) === 32
    ? undefined
    : "machineSecret of a key must be 32 bytes in base64url"
}

/**
 * A key for WebCrypto, imported once. Rejects with a `TypeError` for a key that is invalid, or whose halves do not belong
 * together.
 */
export const importSigningKey = (key: SigningKey): Promise<CryptoKey> => importOnce(key, signingProblem)

/** A key for WebCrypto, imported once. Rejects with a `TypeError` for a key that is invalid. */
export const importVerificationKey = (key: VerificationKey): Promise<CryptoKey> => importOnce(key, verificationProblem)

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
  const problem = pointProblem(key)
  if (problem !== undefined) throw new TypeError(problem)
  const { kty, crv, x, d } = key
  const jwk = { kty, crv, x, ...(d === undefined ? {} : { d }) }
  try {
    return await crypto.subtle.importKey("jwk", jwk, "Ed25519", false, [d === undefined ? "verify" : "sign"])
  } catch (cause) {
    // The lengths were right, so it must be this; the cause is only "invalid".
    throw new TypeError("x and d of an EdDSA key must belong together", { cause })
  }
}

/** What takes too long to be looked at for each ticket. Of a key that has the right members. */
const pointProblem = (value: unknown): string | undefined => {
  const key = value as SigningKey | VerificationKey
  return key.kty === "oct" || isEd25519Point(base64url.decode(key.x))
    ? undefined
    : "x of an EdDSA key must be a public key: its 32 bytes are no point of Ed25519, so it would verify nothing"
}

/** What both kinds have in common. */
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
