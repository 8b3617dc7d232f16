import { base64url } from "jose"
import { framed } from "./framed.ts"
import { validateSigningKey } from "./ticket-keys.ts"
import type {
  EdDsaSigningKey,
  EdDsaVerificationKey,
  SharedSecretKey,
  SigningKey,
  VerificationKey,
} from "./ticket-keys.ts"

/** What one machine holds: it verifies the tickets of the key, and proves with its own secret that it is that machine. */
export interface MachineKey extends EdDsaVerificationKey {
  readonly machineSecret: string
}

/**
 * The verification key of one machine: the public half and the machine's own secret, which is derived from the private half
 * (HKDF-SHA-256, RFC 5869), so that a platform stores no further secret and a router knows each machine's. Whoever has one
 * machine's secret learns nothing about another's.
 *
 * Of an HS256 key it is the key itself: every machine derives every machine's secret from it, as it can sign every ticket.
 * Rejects with a `TypeError` for a key that cannot sign, or an empty machine.
 */
export const machineKey: {
  (key: EdDsaSigningKey, machine: string): Promise<MachineKey>
  (key: SharedSecretKey, machine: string): Promise<SharedSecretKey>
  (key: SigningKey, machine: string): Promise<MachineKey | SharedSecretKey>
} = (async (key: SigningKey, machine: string): Promise<MachineKey | SharedSecretKey> => {
  const problem = validateSigningKey(key)
  if (problem !== undefined) throw new TypeError(problem)
  if (typeof machine !== "string" || machine === "") throw new TypeError("machine must be a non-empty string")
  if (key.kty === "oct") return key
  const { d: _, ...verification } = key
  return { ...verification, machineSecret: base64url.encode(await derive(key, machine)) }
}) as typeof machineKey

/** The secret of a machine as the router has it, for HMAC. */
export const secretOfMachine = async (key: SigningKey, machine: string): Promise<CryptoKey> =>
  hmacKey(await derive(key, machine))

/** The secret of a machine as the machine has it; `undefined` for a key with which it can verify and prove nothing. */
export const secretOfKey = async (key: VerificationKey, machine: string): Promise<CryptoKey | undefined> => {
  if (key.kty === "oct") return secretOfMachine(key, machine)
  return key.machineSecret === undefined ? undefined : hmacKey(new Uint8Array(base64url.decode(key.machineSecret)))
}

const derive = (key: SigningKey, machine: string): Promise<Uint8Array<ArrayBuffer>> =>
  derivedBytes(key, "project-ingress/machine-secret/1", machine)

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
