import { base64url, jwtVerify, SignJWT } from "jose"
import { secretOfKey, secretOfMachine } from "../machine-secret.ts"
import type { SigningKey, VerificationKey } from "../ticket-keys.ts"

/** The `typ` of a proof, which a ticket never has. */
const PROOF_TYPE = "project-ingress-relay+jwt"
const MAX_AGE_S = 60
const CLOCK_SKEW_S = 30

/** A machine's proof that is valid. */
export interface VerifiedRelayProof {
  /** Its own id, for whoever accepts each one once. */
  readonly id: string
  /** Until when it would be accepted, in ms since 1970. */
  readonly until: number
}

/**
 * What a proof is for: the connection of a machine to the relay at a host, or the one WebSocket that has this token. One of the second
 * kind never passes for the first, so that only the first has to be remembered.
 */
export const relayAudience = (host: string, token: string | null): string =>
  token === null ? host : `${host}?socket=${token}`

/**
 * A machine's proof that it is that machine, for one relay: a JWT by the secret that its stamps are made with, valid for a minute.
 * `undefined` for a key with which a machine can prove nothing.
 */
export const signRelayProof = async (
  key: VerificationKey,
  claims: { readonly machine: string; /** Of `relayAudience`. */ readonly relay: string },
): Promise<string | undefined> => {
  const secret = await secretOfKey(key, claims.machine)
  if (secret === undefined) return undefined
  const id = base64url.encode(crypto.getRandomValues(new Uint8Array(16)))
  return new SignJWT()
    .setProtectedHeader({ alg: "HS256", typ: PROOF_TYPE, kid: key.kid })
    .setSubject(claims.machine)
    .setAudience(claims.relay)
    .setJti(id)
    .setIssuedAt()
    .setExpirationTime(`${MAX_AGE_S}s`)
    .sign(secret)
}

/** Checks a proof for one machine and one relay. `undefined`: it is invalid. Whether it was used before is for the caller to know. */
export const verifyRelayProof = async (
  proof: string,
  { machine, relay }: { readonly machine: string; readonly relay: string },
  keys: readonly SigningKey[],
): Promise<VerifiedRelayProof | undefined> => {
  if (proof.length > 2_048) return undefined
  for (const key of keys) {
    try {
      // The key says the algorithm, never the token (RFC 8725 §3.1).
      const { payload } = await jwtVerify(proof, await secretOfMachine(key, machine), {
        algorithms: ["HS256"],
        typ: PROOF_TYPE,
        subject: machine,
        audience: relay,
        clockTolerance: CLOCK_SKEW_S,
        maxTokenAge: MAX_AGE_S,
        requiredClaims: ["exp", "jti"],
      })
      const { jti, iat } = payload
      if (jti === undefined || !/^[\w-]{22}$/.test(jti)) return undefined
      return { id: jti, until: (iat! + MAX_AGE_S + CLOCK_SKEW_S) * 1_000 }
    } catch {
      // Of another key, or of nobody.
    }
  }
  return undefined
}
